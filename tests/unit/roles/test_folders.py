# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of the data: made, checked, and through no link."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

folders = load("roles/devpi_server/files/folders.py")
USER = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name


def test_they_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "below/data"
    assert folders.main("check", str(data), USER, GROUP) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{data} would be made as it has to be.",
        f"{data}/.before would be made as it has to be.",
        f"{data}/+files would be made as it has to be.",
    ]
    assert not data.exists()
    assert folders.main("make", str(data), USER, GROUP) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for path, mode in ((data, 0o1771), (data / ".before", 0o711), (data / "+files", 0o2750)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    for action in ("make", "check"):
        assert folders.main(action, str(data), USER, GROUP) == 0
    assert capsys.readouterr().out == ""
    data.chmod(0o755)
    assert folders.main("make", str(data), USER, GROUP) == 0
    assert capsys.readouterr().out == f"{data} was made as it has to be.\n"


def test_a_link_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (tmp_path / "data").mkdir()
    for name in ("+files", ".before"):
        with contextlib.suppress(OSError):
            (tmp_path / "data" / name).rmdir()
        (tmp_path / "data" / name).symlink_to(outside)
        for action in ("check", "make"):
            assert folders.main(action, str(tmp_path / "data"), USER, GROUP) == 1
            assert f"{name} cannot be made" in capsys.readouterr().err
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_a_user_that_is_not_there_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folders.main("check", str(tmp_path / "data"), "no-such-user", GROUP) == 0
    assert "would be made" in capsys.readouterr().out
    assert folders.main("make", str(tmp_path / "data"), "no-such-user", GROUP) == 1
    assert "there is no user no-such-user" in capsys.readouterr().err
