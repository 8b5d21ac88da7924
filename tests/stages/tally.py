"""Counting tests from what the programs that ran them left behind."""
import dataclasses
import pathlib
import re
import xml.etree.ElementTree as xml

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Tally(self.passed + other.passed, self.failed + other.failed,
                     self.skipped + other.skipped)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def from_summary(text):
    """The counts of the last line of the form this project's runners print, or None."""
    for line in reversed(text.splitlines()):
        if match := SUMMARY.match(line.strip()):
            return Tally(*map(int, match.groups()))
    return None


def from_ctest(junit, cases_directory):
    """Counts of a ctest run. A program of GoogleTest counts by its cases, which it wrote to
    `cases_directory`; every other program counts as one, and so does one that crashed."""
    total, programs = Tally(), xml.parse(junit).getroot().iter("testcase")
    for program in programs:
        status = program.get("status")
        cases = _cases(cases_directory, program.get("name"))
        if cases is None or (status == "fail" and not cases.failed):
            cases = (cases or Tally()) + Tally(passed=status == "run", failed=status == "fail",
                                               skipped=status not in ("run", "fail"))
        total += cases
    return total


def failures(junit):
    """Names of the ctest programs that failed."""
    return [program.get("name") for program in xml.parse(junit).getroot().iter("testcase")
            if program.get("status") == "fail"]


def _cases(directory, name):
    for candidate in (f"{name}_test.xml", f"{name}.xml"):
        path = pathlib.Path(directory) / candidate
        if path.exists():
            try:
                root = xml.parse(path).getroot()
            except xml.ParseError:
                return None
            count = {key: int(root.get(key, 0)) for key in ("tests", "failures", "disabled")}
            skipped = sum(case.get("result") == "skipped" for case in root.iter("testcase"))
            return Tally(count["tests"] - count["failures"] - count["disabled"] - skipped,
                         count["failures"], count["disabled"] + skipped)
    return None
