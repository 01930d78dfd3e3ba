# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where root goes, and what it does not open. What another user's rights forbid, the scenarios try as root."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _accounts
from ansible_collections.wheelhouse.devpi.plugins.module_utils._accounts import Account, FileError

ROOT = Account("root", 0, 0, "/root")
SELF = Account("me", os.geteuid(), os.getegid(), "/nowhere")


@pytest.fixture(name="owned")
def _owned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path, int, int], None]:
    """Let folders look as if they had another owner and mode. All others look as root's."""
    real = os.lstat
    looks: dict[str, tuple[int, int]] = {}

    def lstat(path: str | Path) -> os.stat_result:
        found: list[int] = [int(part) for part in real(path)[:10]]
        found[0] = (found[0] & ~0o7777) | 0o755
        found[4] = found[5] = 0
        if str(path) in looks:
            found[4], mode = looks[str(path)]
            found[0] = stat.S_IFMT(found[0]) | mode
        return os.stat_result(found)

    def own(path: Path, owner: int, mode: int) -> None:
        looks[str(path)] = (owner, mode)

    monkeypatch.setattr(os, "lstat", lstat)
    return own


def test_root_goes_where_only_root_writes(tmp_path: Path, owned: Callable[[Path, int, int], None]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert _accounts.real_path(f"{tmp_path}/link/missing/../file", ROOT) == f"{tmp_path}/real/file"
    assert _accounts.real_path(f"{tmp_path}/link/file", ROOT) == f"{tmp_path}/real/file"
    (tmp_path / "real" / "file").symlink_to(tmp_path / "elsewhere")
    assert _accounts.real_path(f"{tmp_path}/link/file", ROOT) == f"{tmp_path}/elsewhere"


@pytest.mark.parametrize(("owner", "mode"), [(1000, 0o755), (0, 0o777), (0, 0o1777), (0, 0o757)])
def test_root_goes_nowhere_else(tmp_path: Path, owned: Callable[[Path, int, int], None], owner: int, mode: int) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    owned(tmp_path / "folder", owner, mode)
    for path in (f"{tmp_path}/folder/file", f"{tmp_path}/link/file", f"{tmp_path}/folder/x/../../y"):
        with pytest.raises(FileError, match=r"/folder on the way to it can be written by others"):
            _accounts.real_path(path, ROOT)


def test_a_circle_of_links_ends(tmp_path: Path, owned: Callable[[Path, int, int], None]) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FileError, match="Too many levels"):
        _accounts.real_path(f"{tmp_path}/a", ROOT)


def test_a_pipe_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="is no plain file"):
        _accounts.read(str(tmp_path / "pipe"))
    with pytest.raises(FileError, match="is no plain file"):
        _accounts.read("/dev/zero")


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(_accounts.MAX_BYTES + 1)
    with pytest.raises(FileError, match="has more than"):
        _accounts.read(str(tmp_path / "large"))


def test_modes_are_as_wanted_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _accounts.write(f"{tmp_path}/a/b/file", b"x", 0o644)
    finally:
        os.umask(before)
    assert _accounts.mode_of(f"{tmp_path}/a/b/file") == 0o644
    assert _accounts.mode_of(f"{tmp_path}/a/b") == (0o755 if os.geteuid() == 0 else 0o700)
    assert os.listdir(tmp_path / "a" / "b") == ["file"]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("outside")
    (tmp_path / f".file.{os.getpid()}.new").symlink_to(tmp_path / "outside")
    _accounts.write(f"{tmp_path}/file", b"x", 0o644)
    assert (tmp_path / "outside").read_text() == "outside"
    assert (tmp_path / "file").read_text() == "x"


def test_one_s_own_rights_need_no_change() -> None:
    with _accounts.acting_as(SELF):
        assert os.geteuid() == SELF.uid
    assert _accounts.real_path("/tmp/x/../y", Account("me", 1, 1, "/")) == "/tmp/y"


def test_the_host_says_who_there_is() -> None:
    assert _accounts.account_of("root").uid == 0
    assert _accounts.owner_of("/etc").name == "root"
    with pytest.raises(FileError, match="The host has no user 'nobody-of-that-name'"):
        _accounts.account_of("nobody-of-that-name")
    with pytest.raises(FileError, match="/nowhere: No such file"):
        _accounts.owner_of("/nowhere")
