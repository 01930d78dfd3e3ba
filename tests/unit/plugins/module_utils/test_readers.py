# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tool that is not what it seems to be neither hangs nor fills anything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _readers
from ansible_collections.wheelhouse.devpi.plugins.module_utils._accounts import Account

SELF = Account("#self", os.geteuid(), os.getegid(), "/nowhere")


def said_by(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Return what is said of a file when the host has this as uv."""
    (folder / "uv").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "uv").chmod(0o755)
    monkeypatch.setattr(_readers, "_path_of", lambda _account: [str(folder)])
    monkeypatch.setattr(_readers, "SECONDS", 2)
    monkeypatch.setattr(_readers, "_NOBODY", SELF)
    return _readers.problem("uv", "/nowhere/uv.toml", b"a = 1\n", SELF)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", None),
        ("exit 3", "/uv failed with status 3"),
        ("printf 'no\\n\\033[2Jsuch https://me:S3CRET@x.test key'; exit 1", "no [2Jsuch https://***@x.test key"),
        ("sleep 60", "took longer than 2 s"),
        ("yes", "y y y"),
        # Its child goes on with the pipe open.
        ("(trap '' HUP; sleep 5) & exit 0", None),
    ],
)
def test_what_a_tool_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str | None) -> None:
    found = said_by(script, tmp_path, monkeypatch)
    assert found == said if said is None else said in str(found)
    assert "S3CRET" not in str(found)


def test_nothing_of_this_process_reaches_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "S3CRET")
    assert "S3CRET" not in str(said_by("env; exit 1", tmp_path, monkeypatch))


def test_the_file_is_the_tool_s_alone_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a folder that no test beside this one uses.
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    said = said_by('stat --format=%a "$4"; cat "$4"; echo "$4" >&2; exit 1', tmp_path, monkeypatch)
    assert said == "600 a = 1 the file"
    assert list(temporary.iterdir()) == []
