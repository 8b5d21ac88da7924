#!/usr/bin/env python3
"""The arithmetic of the benchmark's report."""
import pathlib
import sys
import unittest
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "boot")]

import chart  # noqa: E402
import goals  # noqa: E402
import memory  # noqa: E402
import report  # noqa: E402
import subjects  # noqa: E402

TIMES = {
    "native": {"compute/a": [1, 3, 2], "compute/b": [4],
                  "smp/one thread": [3],
               "smp/two threads": [3]},
    "mynah jit": {"boot/bzImage, later": [1.0], "compute/a": [4], "compute/b": [4], "smp/one thread": [3],
                  "smp/two threads": [4]},
    "qemu tcg": {"boot/bzImage, later": [5.0], "compute/a": [40]},
}


class Report(unittest.TestCase):
    def setUp(self):
        self.results = report.Results(TIMES, {"mynah jit": [1024, 4096, 2048]})

    def test_ratios_are_of_medians(self):
        self.assertEqual(self.results.share("compute/a", "mynah jit"), 0.5)
        self.assertEqual(self.results.gain("compute/a"), 10)
        self.assertIsNone(self.results.gain("compute/b"))
        self.assertEqual(self.results.scaling("native"), 2)
        self.assertEqual(self.results.scaling("mynah jit"), 1.5)
        self.assertIsNone(self.results.scaling("qemu tcg"))

    def test_means_are_geometric_and_leave_out_what_is_missing(self):
        metrics = self.results.metrics("compute")
        self.assertEqual(metrics, ["compute/a", "compute/b"])
        share = self.results.mean(metrics, lambda each: self.results.share(each, "mynah jit"))
        self.assertAlmostEqual(share, 0.5 ** 0.5)
        self.assertAlmostEqual(self.results.mean(metrics, self.results.gain), 10)
        self.assertIsNone(self.results.mean([], self.results.gain))

    def test_table_has_a_row_for_every_metric(self):
        table = report.table(self.results)
        self.assertIn("| compute: a ", table)
        self.assertIn("50 %", table)
        self.assertIn("4 MiB", table)
        self.assertEqual(len({line.count("|") for line in table.split("\n")}), 1)

    def test_goals_are_judged(self):
        value = {goal.name: goal.value(self.results) for goal in goals.GOALS}
        self.assertEqual(value["boot from the stock bzImage, time over qemu's: later boots"], 0.2)
        self.assertIsNone(value["kernel, times qemu's speed"])
        text = report.goal_table(self.results)
        self.assertRegex(text, r"stock bzImage.* met ")
        self.assertRegex(text, r"two threads.*\*\*missed\*\*")
        self.assertIn("Slower than qemu tcg: nothing.", text)

    def test_only_one_subject(self):
        results = report.Results({"mynah jit": {"compute/a": [1]}}, {})
        self.assertIn("compute: a", report.table(results))
        self.assertEqual(report.goal_table(results), "")

    def test_chart_is_well_formed_and_bars_grow_with_speed(self):
        root = xml.fromstring(chart.svg(self.results, "a <processor> & more"))
        bars = [float(bar.get("width")) for bar in root.iter() if bar.get("class") == "ours"
                and bar.get("rx")]
        self.assertEqual(len(bars), 6)   # two means, two programs each
        self.assertLess(bars[1], bars[2])


class Parsing(unittest.TestCase):
    def test_lines_of_programs(self):
        problems = []
        found = subjects.parse("x", "@@measure compute/a b 7 0.250000000 0123456789abcdef\n"
                               "@@broken kernel/c: status 0xb\n", problems)
        self.assertEqual(found, {"compute/a b": (0.25, "0123456789abcdef")})
        self.assertEqual(problems, ["x: kernel/c: status 0xb"])

    def test_memory_beyond_the_guest(self):
        text = ("7f00-7f10 rw-s 00000000 00:01 5   /memfd:guest-memory (deleted)\n"
                "Size:  1024 kB\nRss:   900 kB\nPss:   900 kB\n"
                "7f10-7f20 r-xs 00000000 00:01 6   /memfd:code (deleted)\n"
                "Size:  64 kB\nRss:   40 kB\nPss:   20 kB\n"
                "7f20-7f30 rw-p 00000000 00:00 0 \n"
                "Size:  1024 kB\nRss:   30 kB\nPss:   30 kB\n")
        found = memory.mappings(text)
        self.assertEqual(memory.beyond_guest_of(found, "mynah", 1024), 50)
        self.assertEqual(memory.beyond_guest_of(found, "qemu", 1024), 920)


if __name__ == "__main__":
    unittest.main()
