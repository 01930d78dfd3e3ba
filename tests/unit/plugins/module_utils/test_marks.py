# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks come and go, and nothing else of a file changes."""

from __future__ import annotations

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _marks

MARK = "Managed by a test"
BLOCK = f"# BEGIN {MARK}\nmachine a\n# END {MARK}\n".encode()


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"machine b",
        b"machine b\n\n\n",
        b"\r\nmachine b\r\n",
        b"\xff\xfe\x00",
        b"# Managed by somebody else\n",
        b"\n",
    ],
)
def test_every_other_byte_stays(before: bytes) -> None:
    after = _marks.with_block(before, "machine a\n", MARK)
    assert after == BLOCK + before
    assert _marks.with_block(after, "machine a\n", MARK) == after
    assert _marks.without_block(after, MARK) == before
    assert _marks.block_of(after, MARK) == b"machine a\n"


def test_a_block_stays_where_it_is() -> None:
    after = _marks.with_block(b"first\n" + BLOCK + b"last", "machine c\n", MARK)
    assert after == b"first\n" + BLOCK.replace(b"machine a", b"machine c") + b"last"
    assert _marks.without_block(after, MARK) == b"first\nlast"


def test_without_a_block_nothing_is_taken_away() -> None:
    assert _marks.without_block(b"machine b\n", MARK) == b"machine b\n"
    assert _marks.block_of(b"machine b\n", MARK) == b""


@pytest.mark.parametrize(
    "torn",
    [
        BLOCK.replace(b"# END", b"# and"),
        BLOCK.replace(b"# BEGIN", b"# and"),
        BLOCK + BLOCK,
        b"".join(reversed(BLOCK.splitlines(keepends=True))),
    ],
)
def test_torn_marks_are_refused(torn: bytes) -> None:
    with pytest.raises(_marks.MarkError, match="take these lines away"):
        _marks.with_block(torn, "x\n", MARK)
    with pytest.raises(_marks.MarkError):
        _marks.without_block(torn, MARK)


def test_a_whole_file_begins_with_the_mark() -> None:
    assert _marks.is_whole(_marks.whole("timeout = 1\n", MARK), MARK)
    script = _marks.whole("#!/bin/sh\necho\n", MARK)
    assert script.startswith(b"#!/bin/sh\n# Managed by a test")
    assert _marks.is_whole(script, MARK)
    # Somebody's own file, into which ours was copied.
    assert not _marks.is_whole(b"[global]\n# Managed by a test\n", MARK)
    assert not _marks.is_whole(b"#!/bin/sh", MARK)
