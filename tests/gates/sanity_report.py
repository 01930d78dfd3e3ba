"""Say how many sanity tests ran, by the JUnit files of ansible-test, and fail when one of the list is missing.

Usage: sanity_report.py FOLDER NAME...
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

#: What ansible-test says of a test that has no file to look at, such as pslint without a PowerShell script.
NOTHING_TO_TEST = "No tests applicable."


def verdicts(folder: Path) -> dict[str, str]:
    """Return by the name of a test what came of it: passed, failed, the reason why it was skipped."""
    found = {}
    for path in folder.glob("*.xml"):
        for case in ET.parse(path).iter("testcase"):
            name = re.sub(r"-python-[\d.]+$", "", case.attrib["name"])
            skipped = case.find("skipped")
            if skipped is not None:
                found[name] = skipped.text or "skipped"
            else:
                found[name] = "passed" if len(case) == 0 else "failed"
    return found


def main(folder: Path, expected: list[str]) -> int:
    """Print the report. Returns the exit status."""
    found = {**dict.fromkeys(expected, "did not run"), **verdicts(folder)}
    passed = [name for name, verdict in found.items() if verdict == "passed"]
    nothing = [name for name, verdict in found.items() if verdict == NOTHING_TO_TEST]
    failed = {name: verdict for name, verdict in found.items() if name not in {*passed, *nothing}}
    print(f"{len(expected)} sanity tests; no file here for: {', '.join(nothing) or 'none'}")
    for name, verdict in failed.items():
        print(f"sanity test {name}: {verdict}")
    print(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
