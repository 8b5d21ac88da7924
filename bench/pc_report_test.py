"""Tests of what bench/pc says about its bars, and of the programs it boots."""
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "boot")]

import pc_guest  # noqa: E402
import pc_measures  # noqa: E402
import pc_report  # noqa: E402

RANDOM = "AHCI/4 KiB random, depth 1"


class Report(unittest.TestCase):
    def word(self, metric, ours, peer):
        return pc_report.verdict(metric, ours, peer)[1]

    def test_seconds_are_judged_alone(self):
        self.assertEqual(self.word(pc_measures.SEABIOS, 0.3, None), "met")
        self.assertEqual(self.word(pc_measures.SEABIOS, 0.31, 9), "**missed**")

    def test_shares_need_the_peer(self):
        self.assertEqual(self.word(pc_measures.LOGIN, 5, 10), "met")
        self.assertEqual(self.word(pc_measures.LOGIN, 5.1, 10), "**missed**")
        self.assertEqual(self.word(pc_measures.LOGIN, 5, None), "no peer")

    def test_rates(self):
        self.assertEqual(self.word(RANDOM, 1500, 1000), "met")
        self.assertEqual(self.word(RANDOM, 1499, 1000), "**missed**")
        self.assertEqual(self.word("virtio-blk/4 KiB random, depth 1", 3999, 1000), "**missed**")
        self.assertEqual(self.word("virtio-blk qcow2/4 KiB random, depth 1", 1, 1000), "")

    def test_processor_time(self):
        metric = "virtio-net/" + pc_measures.UPLOAD_TIME
        self.assertEqual(self.word(metric, 5, 10), "met")
        self.assertEqual(self.word(metric, 6, 10), "**missed**")

    def test_report_names_what_is_missed(self):
        text = pc_report.report({"date": "2026-01-02 03:04"}, [RANDOM, pc_measures.SEABIOS],
                                {"mynah jit": {RANDOM: 100.0}, "qemu tcg": {RANDOM: 100.0}})
        self.assertIn(f"Missed: {RANDOM}.", text)
        self.assertIn("not measured", text)

    def test_boot_sector_is_one(self):
        with tempfile.TemporaryDirectory() as directory:
            content = pc_guest.boot_sector(pathlib.Path(directory) / "disk").read_bytes()
        self.assertEqual((len(content), content[510:512]), (1 << 20, b"\x55\xaa"))


if __name__ == "__main__":
    unittest.main()
