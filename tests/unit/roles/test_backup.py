# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What backup.py tells of long stages and of restic, and what a restore leaves where it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

backup = load("roles/devpi_backup/files/backup.py")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A backup of a host whose folders are below tmp_path, with nothing of /etc."""
    monkeypatch.setattr(backup, "SETTINGS", tmp_path / "etc/settings.json")
    monkeypatch.setattr(backup, "OTHERS", ())
    for folder in ("etc", "work", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "etc/repository").write_text("/nowhere\n")
    settings = {"server_directory": tmp_path / "data", "directory": tmp_path / "work", "install_directory": tmp_path}
    return backup.Backup(settings)


def _restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "restic").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "restic").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_a_long_stage_tells_files_bytes_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    far = backup.Far("restored")
    far(1, 10, 2**20, 4 * 2**20)
    assert capsys.readouterr().out == ""
    moment += backup.PROGRESS
    far(2, 10, 2**20, 4 * 2**20)
    far(3, 10, 2 * 2**20, 4 * 2**20)
    moment += backup.PROGRESS
    far(9, 10)
    assert capsys.readouterr().out.splitlines() == [
        "restored 2 of 10 files, 1.0 MiB of 4.0 MiB, 30 s left",
        "restored 9 of 10 files, 2 s left",
    ]


def test_each_line_of_restic_is_told_at_once(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _restic(tmp_path, monkeypatch, "echo one; echo two")
    told: list[str] = []
    assert host.restic("backup", told=told.append) == ""
    assert told == ["one", "two"]
    assert host.restic("snapshots") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Fatal: wrong password or no key found", "devpi_backup_password"),
        ("Fatal: unable to open config file: Stat: The request signature does not match", "signature does not match"),
        ("Fatal: something else", "restic snapshots failed: Fatal: something else"),
    ],
)
def test_restic_fails_with_its_reason(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: str
) -> None:
    _restic(tmp_path, monkeypatch, f"echo '{said}' >&2; exit 1")
    with pytest.raises(backup.FailedError, match=meant):
        host.restic("snapshots")


def test_a_restore_moves_all_data_aside_and_leaves_the_snapshots_of_switches(host: Any, tmp_path: Path) -> None:
    data, new = tmp_path / "data", tmp_path / "data/.before/restore/new"
    new.mkdir(parents=True)
    for name in (".nodeinfo", ".sqlite"):
        (data / name).touch()
        (new / name).touch()
    planned = host.moves({"data": str(new)})
    assert [Path(old).name for old, _kept in planned["away"]] == [".nodeinfo", ".sqlite"]
    assert all(Path(kept).is_relative_to(data / ".before") for _old, kept in planned["away"])
    # What marks data as complete comes last.
    assert [Path(place).name for _new, place in planned["moves"]] == [".sqlite", ".nodeinfo"]
