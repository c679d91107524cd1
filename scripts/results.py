"""Adds up what the parts of scripts/test reported. The last line is the sum; the exit code is 0 only if all passed and each part ran."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as tree
from pathlib import Path


def from_xml(path: Path) -> tuple[int, int]:
    """Passed and failed of a JUnit report; skipped ones count as neither."""
    if not path.exists():
        return 0, 0
    cases = list(tree.parse(path).getroot().iter("testcase"))
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return len(cases) - failed - skipped, failed


def from_swift(directory: Path) -> tuple[int, int]:
    """Swift Testing and XCTest write a report each; without one the summary line of the log has to do."""
    passed = failed = 0
    for report in directory.glob("unit*.xml"):
        good, bad = from_xml(report)
        passed, failed = passed + good, failed + bad
    if passed + failed > 0:
        return passed, failed
    for log in directory.glob("unit*.log"):
        text = log.read_text(errors="replace")
        if match := re.findall(r"Test run with (\d+) tests?.*? (passed|failed)(?: after .*? with (\d+) issues?)?", text):
            count, verdict, issues = match[-1]
            bad = 0 if verdict == "passed" else max(1, int(issues or 1))
            passed, failed = passed + int(count) - min(bad, int(count)), failed + bad
    return passed, failed


def main() -> int:
    directory = Path(sys.argv[1])
    codes = dict(zip(("unit tests", "end-to-end tests", "fuzzers"), map(int, sys.argv[2:])))
    counts = {
        "unit tests": from_swift(directory), "end-to-end tests": from_xml(directory / "end-to-end.xml"),
        "fuzzers": from_xml(directory / "fuzz.xml")}
    for part, (passed, failed) in counts.items():
        if passed + failed == 0:
            print(f"    {part}: nothing ran")
            counts[part] = (0, 1)
        elif codes[part] and not failed:
            print(f"    {part}: {passed} passed, but the run itself ended with {codes[part]}")
            counts[part] = (passed, 1)
        else:
            print(f"    {part}: {passed} passed, {failed} failed")
    passed, failed = (sum(numbers) for numbers in zip(*counts.values()))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
