# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What heals a database that a killed devpi left half written, by the real SQLite."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.hot_journal import make_hot
from ansible_collections.wheelhouse.devpi.tests.unit.program import ROOT, load

HEAL = ROOT / "roles/devpi_server/files/heal.py"
shared = load("roles/devpi_server/files/devpi_ctl/sqlite.py")


def read_only(database: Path) -> list[str]:
    """Return the tables of a database as devpi reads them."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        return [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]


@pytest.mark.parametrize("name", [".sqlite", ".sqlite_alchemy"])
def test_what_a_killed_writer_left_half_is_undone(tmp_path: Path, name: str) -> None:
    make_hot(tmp_path / name)
    with pytest.raises(sqlite3.OperationalError, match="readonly database"):
        read_only(tmp_path / name)
    healed = subprocess.run([sys.executable, "-I", HEAL, tmp_path], capture_output=True, text=True, check=True)
    assert f"{tmp_path / name} was killed in a commit" in healed.stdout
    assert read_only(tmp_path / name) == ["changelog", "kv", "ulid_changelog"]
    again = subprocess.run([sys.executable, "-I", HEAL, tmp_path], capture_output=True, text=True, check=True)
    assert again.stdout == ""


def test_data_without_a_database_need_nothing(tmp_path: Path) -> None:
    assert shared.heal(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".sqlite").write_text("nonsense" * 100)
    failed = subprocess.run([sys.executable, "-I", HEAL, tmp_path], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == f"SQLite cannot open the database in {tmp_path}: file is not a database.\n"


def test_the_last_change_is_read_and_a_copy_is_made_over_a_hot_journal(tmp_path: Path) -> None:
    make_hot(tmp_path / ".sqlite")
    shared.back_up(tmp_path / ".sqlite", tmp_path / "copy", lambda size: None)
    assert read_only(tmp_path / "copy") == ["changelog", "kv", "ulid_changelog"]
    make_hot(tmp_path / ".sqlite")
    assert shared.last_serial(tmp_path) == 7


def test_the_journal_of_a_writer_that_lives_is_left_alone(tmp_path: Path) -> None:
    make_hot(tmp_path / ".sqlite")
    shared.heal(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / ".sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE wanted (key)")
        assert (tmp_path / ".sqlite-journal").exists()
        assert shared.heal(tmp_path) == []
        writer.execute("COMMIT")
    assert "wanted" in read_only(tmp_path / ".sqlite")
    assert os.listdir(tmp_path) == [".sqlite"]
