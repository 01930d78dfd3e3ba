# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, and blocks in files of others, that carry a mark, by which they are found again. Pure functions of bytes."""

from __future__ import annotations


class MarkError(Exception):
    """The marks in a file contradict each other, said in a sentence for people."""


def whole(content: str, mark: str) -> bytes:
    """Return a file that begins with the mark, or with what says who runs it and then with the mark."""
    first, rest = "", content
    if content.startswith("#!"):
        first, _newline, rest = content.partition("\n")
        first += "\n"
    return f"{first}# {mark}: what is changed here by hand is lost.\n{rest}".encode()


def is_whole(content: bytes, mark: str) -> bool:
    """Whether a file begins with the mark."""
    lines = content.split(b"\n", 2)
    return (lines[1] if content.startswith(b"#!") and len(lines) > 1 else lines[0]).startswith(f"# {mark}".encode())


def with_block(before: bytes, content: str, mark: str) -> bytes:
    """Return a file with the block, and with every other byte as it was.

    The block stays where it is. A new one comes first: of .netrc, clients read no further than a default entry; in
    /etc/environment, what the host's own administrator wrote comes later and wins.
    """
    begin, end = _ends(mark)
    block = begin + b"\n" + content.encode() + end + b"\n"
    found = _find(before, mark)
    if found is None:
        return block + before
    return before[: found[0]] + block + before[found[1] :]


def without_block(before: bytes, mark: str) -> bytes:
    """Return a file without the block, and with every other byte as it was."""
    found = _find(before, mark)
    return before if found is None else before[: found[0]] + before[found[1] :]


def block_of(content: bytes, mark: str) -> bytes:
    """Return what is between the lines of the mark, or nothing."""
    found = _find(content, mark)
    return b"" if found is None else b"".join(content[found[0] : found[1]].splitlines(keepends=True)[1:-1])


def _ends(mark: str) -> tuple[bytes, bytes]:
    return f"# BEGIN {mark}".encode(), f"# END {mark}".encode()


def _find(content: bytes, mark: str) -> tuple[int, int] | None:
    """Return where the block begins and ends, or None. Raises MarkError where it has no end, or there are several."""
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    begin, end = _ends(mark)
    for line in content.splitlines(keepends=True):
        if line.rstrip() == begin:
            begins.append(at)
        elif line.rstrip() == end:
            ends.append(at + len(line))
        at += len(line)
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise MarkError(
            f"It needs one line '{begin.decode()}' and after it one '{end.decode()}': take these lines away."
        )
    return begins[0], ends[0]
