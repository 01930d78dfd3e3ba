# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does with what is devpi's.

Where root runs the tests, the other account is one without rights; otherwise it is one's own.
"""

from __future__ import annotations

import importlib
import os
import pwd
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

load("roles/devpi_server/files/heal.py")
privileges = importlib.import_module("devpi_ctl.privileges")

ACCOUNT = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def rights(_tell: Any) -> list[Any]:
    """Return who one is."""
    return [os.getresuid(), os.getresgid(), os.getgroups() if os.geteuid() != os.getuid() else []]


def test_work_is_done_as_the_account_and_told() -> None:
    told: list[Any] = []

    def work(tell: Any) -> Any:
        tell(1, "two")
        return rights(tell)

    assert privileges.done_as(ACCOUNT, work, lambda *given: told.append(given)) == [
        [ACCOUNT.pw_uid] * 3,
        [ACCOUNT.pw_gid] * 3,
        [],
    ]
    assert told == [(1, "two")]


def test_reasons_come_back() -> None:
    with pytest.raises(FileNotFoundError, match="not there"):
        privileges.done_as(ACCOUNT, lambda _tell: os.listdir("/proc/not there"))

    def fails(_tell: Any) -> None:
        raise ValueError("what it was")

    with pytest.raises(privileges.WorkError, match="what it was"):
        privileges.done_as(ACCOUNT, fails)
    with pytest.raises(privileges.WorkError, match="killed"):
        privileges.done_as(ACCOUNT, lambda _tell: os.kill(os.getpid(), signal.SIGKILL))


def test_whoever_is_stopped_leaves_nobody_at_work(tmp_path: Path) -> None:
    def told(pid: int) -> None:
        (tmp_path / "pid").write_text(str(pid))
        raise KeyboardInterrupt

    def work(tell: Any) -> None:
        tell(os.getpid())
        time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        privileges.done_as(ACCOUNT, work, told)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_folder_of_roots_own(tmp_path: Path) -> None:
    privileges.own_folder(tmp_path / "own", 0o711)
    privileges.own_folder(tmp_path / "own", 0o711)
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o711
    (tmp_path / "other").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "other")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(OSError, match="has to be a folder of root"):
            privileges.own_folder(tmp_path / name, 0o711)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o700


def test_what_is_given_is_plain(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "secret").touch(mode=0o600)
    data = tmp_path / "data"
    (data / "folder").mkdir(parents=True)
    (data / "folder/file").touch(mode=0o600)
    (data / "folder/link").symlink_to(outside / "secret")
    (data / "to-folder").symlink_to(outside)
    os.mkfifo(data / "fifo")
    removed = privileges.give(data, ACCOUNT)
    assert sorted(removed) == [f"{data}/fifo", f"{data}/folder/link", f"{data}/to-folder"]
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == ["folder", "folder/file"]
    for path, mode in ((data, 0o750), (data / "folder", 0o750), (data / "folder/file", 0o640)):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (ACCOUNT.pw_uid, mode)
    assert (outside.stat().st_uid, stat.S_IMODE(outside.stat().st_mode)) == (os.geteuid(), 0o700)
    assert stat.S_IMODE((outside / "secret").stat().st_mode) == 0o600
    privileges.give(data, ACCOUNT, ACCOUNT.pw_gid)
    assert stat.S_IMODE((data / "folder").stat().st_mode) == 0o2750


def test_what_is_frozen_keeps_its_files_and_loses_its_links(tmp_path: Path) -> None:
    (tmp_path / "copy/folder").mkdir(parents=True)
    (tmp_path / "copy/folder/file").write_text("content")
    (tmp_path / "copy/folder/file").chmod(0o640)
    (tmp_path / "copy/folder/link").symlink_to("/etc/passwd")
    assert privileges.freeze(tmp_path / "copy") == [f"{tmp_path}/copy/folder/link"]
    assert stat.S_IMODE((tmp_path / "copy/folder").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "copy/folder/file").stat().st_mode) == 0o640
