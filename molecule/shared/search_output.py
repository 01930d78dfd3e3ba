# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail where a secret stands in what Ansible printed at -vvv and --diff.

Usage: search_output.py LOG [KEY...]
Each secret of an inventory has the word MARK in it, which nothing else has, so that it is found in any form: by itself,
in quotes, in a URL, in base64; the lines of private keys are searched as they are. What the verification does with the
secrets is its own business: searched is what tasks of roles, of playbooks and of converge.yml print, passed or failed,
and all that belongs to no task.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path

MARK = "c4nary"
#: The line that begins what a task prints, or ends it, and the one that says where it stands.
BEGIN = re.compile(r"\b(?:TASK|RUNNING HANDLER|PLAY|PLAY RECAP) (?:\[|\*)")
PATH = re.compile(r"task path: (\S+)")
OURS = re.compile(r"/(?:roles|playbooks)/|/converge\.yml:")
#: What stands in the output at -vvv, and in none that says less.
VERBOSE = ("task path: ", "invocation:", "module_args:")


def forms(mark: str) -> set[str]:
    """Return the word, and what base64 makes of it at each place in a text."""
    found = {mark}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + mark.encode()).decode()
        # But for the characters that depend on what stands before and after it.
        first = (before * 8 + 5) // 6
        found.add(text[first : (before + len(mark)) * 8 // 6])
    return found


def sections(lines: list[str]) -> Iterator[list[str]]:
    """Return the lines by task. What is printed before the heading of one, from the end of another on, is of it too."""
    section: list[str] = []
    for line in lines:
        if BEGIN.search(line) and any(PATH.search(said) for said in section):
            yield section
            section = []
        section.append(line)
    yield section


def is_searched(section: list[str]) -> bool:
    """Whether what is printed there is the collection's."""
    path = next((found.group(1) for line in section if (found := PATH.search(line))), None)
    return path is None or OURS.search(path) is not None


def lines_of(key: Path) -> set[str]:
    """Return the lines of a private key that nobody else's has."""
    lines = [line for line in key.read_text(encoding="ascii").splitlines() if not line.startswith("-----")]
    # The first ones tell of the kind alone.
    return set(lines[2:])


def leaks(text: str, secrets: set[str]) -> list[str]:
    """Return the lines that have a secret, each with the heading of its task."""
    mark = re.compile("|".join(map(re.escape, sorted(secrets))))
    return [
        f"{section[0].strip()}\n  {line.strip()[:400]}"
        for section in sections(text.splitlines())
        if section and is_searched(section)
        for line in section
        if mark.search(line)
    ]


def main(log: str, *keys: str) -> int:
    """Returns the exit status."""
    text = Path(log).read_text(encoding="utf-8", errors="replace")
    missing = [word for word in VERBOSE if word not in text]
    if missing:
        print(f"{log} is no output of -vvv: it has no {', '.join(missing)}")
        return 1
    found = leaks(text, forms(MARK).union(*(lines_of(Path(key)) for key in keys)))
    print("\n".join(found) or f"No secret in {len(text.splitlines())} lines of output.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
