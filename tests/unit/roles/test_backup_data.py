# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What data.py takes along in a backup: plain files, and a database that it heals first."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.hot_journal import make_hot
from ansible_collections.wheelhouse.devpi.tests.unit.program import load


@pytest.fixture(name="data")
def _data(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program, which devpi's own Python runs elsewhere."""
    package, fileutil = ModuleType("devpi_server"), ModuleType("devpi_server.fileutil")
    vars(fileutil)["loads"] = lambda _bytes: ({}, 0)
    monkeypatch.setitem(sys.modules, "devpi_server", package)
    monkeypatch.setitem(sys.modules, "devpi_server.fileutil", fileutil)
    return load("roles/devpi_backup/files/data.py")


def test_only_plain_files_are_linked(data: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder/plain").write_text("content")
    (source / "folder/link").symlink_to("/etc/passwd")
    (source / "to-folder").symlink_to("/etc")
    os.mkfifo(source / "fifo")
    assert data.link(source, tmp_path / "copy") is False
    assert sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")) == [
        "folder",
        "folder/plain",
    ]
    assert data.size_of(source / "folder/link") is None
    assert data.size_of(source / "folder/plain") == 7


@pytest.mark.parametrize("name", [".sqlite", ".sqlite_alchemy"])
def test_a_copy_is_made_over_a_hot_journal(
    data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "+files").mkdir(parents=True)
    copy.mkdir()
    with contextlib.closing(sqlite3.connect(source / name)) as made:
        made.execute("CREATE TABLE kv (key, keyname, serial)")
        made.execute("CREATE TABLE ulid_info (ulid, parent_ulid, name, keytype, deleted_at_serial)")
        made.execute("CREATE TABLE ulid_latest_serial (ulid, latest_serial)")
        made.execute("CREATE TABLE ulid_changelog (serial INTEGER PRIMARY KEY, data, ulid, value)")
        made.commit()
    for beside in data.BESIDE:
        (source / beside).write_text("{}")
    make_hot(source / name)
    # Counting what they hold is for a devpi that is installed.
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "6.20.3")
    data.main("copy", str(source), str(copy), "yes")
    with contextlib.closing(sqlite3.connect(f"file:{copy / name}?mode=ro", uri=True)) as database:
        assert "junk" not in [table for (table,) in database.execute("SELECT name FROM sqlite_master")]
