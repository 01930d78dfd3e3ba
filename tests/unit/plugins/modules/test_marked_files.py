# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked files come, change and go, and nothing else does. The rights of other users are tried in the scenarios."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _accounts, _readers
from ansible_collections.wheelhouse.devpi.plugins.modules import marked_files
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import Run

SELF = pwd.getpwuid(os.geteuid()).pw_name
MARK = "Managed by a test"

Keep = Callable[..., dict[str, Any]]


@pytest.fixture(name="keep")
def _keep(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Run the module with files below a temporary folder, in which others may write, and with a record there."""
    monkeypatch.setattr(_accounts, "_check_folder", lambda folder, path: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(_accounts.Account, "is_root", False)
    monkeypatch.setattr(_accounts, "account_of", lambda _name: _accounts.Account(SELF, 0, os.getgid(), str(tmp_path)))
    monkeypatch.setattr(_readers, "_path_of", lambda _account: [])

    def keep(*files: dict[str, Any], **options: Any) -> dict[str, Any]:
        return run(
            marked_files,
            **{
                "url": None,
                "login_password": None,
                "mark": MARK,
                "record": f"{tmp_path}/record.json",
                "files": [{"user": SELF, **file} for file in files],
                **options,
            },
        )

    return keep


CONF = {"path": "~/pip.conf", "content": "[global]\ntimeout = 1\n", "reader": "pip"}
NETRC = {
    "path": "~/.netrc",
    "secret": "machine a\nlogin b\npassword S3CRET\n",
    "mode": "0600",
    "block": True,
    "reader": "netrc",
}


def test_whole_files_come_and_go(keep: Keep, tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    checked = keep(CONF, check_mode=True)
    assert checked["written"] == [str(path)]
    assert not path.exists()
    assert keep(CONF)["diff"] == checked["diff"]
    assert path.read_text() == f"# {MARK}: what is changed here by hand is lost.\n[global]\ntimeout = 1\n"
    assert not keep(CONF)["changed"]
    path.chmod(0o600)
    assert keep(CONF)["changed"]
    assert _accounts.mode_of(str(path)) == 0o644
    gone = keep(check_mode=True)
    assert gone["removed"] == [str(path)]
    assert path.exists()
    assert keep()["removed"] == [str(path)]
    assert not path.exists()
    assert not keep()["changed"]


def test_what_something_else_wrote_is_kept(keep: Keep, tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_text("[global]\nindex-url = https://me:S3CRET@example.org/\n")
    result = keep(CONF)
    (backup,) = result["backups"]
    assert Path(backup).read_text() == "[global]\nindex-url = https://me:S3CRET@example.org/\n"
    assert "S3CRET" not in json.dumps(result)
    assert keep(CONF)["backups"] == []


def test_what_has_no_mark_is_not_removed(keep: Keep, tmp_path: Path) -> None:
    keep(CONF)
    (tmp_path / "pip.conf").write_text("[global]\n")
    assert not keep()["changed"]
    assert (tmp_path / "pip.conf").read_text() == "[global]\n"


@pytest.mark.parametrize("before", [b"", b"default login x password y", b"\n\nmachine x\r\nlogin y\n"])
def test_a_block_comes_and_goes(keep: Keep, tmp_path: Path, before: bytes) -> None:
    path = tmp_path / ".netrc"
    path.write_bytes(before)
    path.chmod(0o640)
    result = keep(NETRC)
    assert path.read_bytes().endswith(b"password S3CRET\n# END Managed by a test\n" + before)
    assert _accounts.mode_of(str(path)) == 0o600
    assert "S3CRET" not in json.dumps(result)
    assert not keep(NETRC)["changed"]
    result = keep()
    assert result["removed"] == [str(path)]
    assert path.read_bytes() == before
    assert not keep()["changed"]


def test_a_file_of_others_keeps_its_mode(keep: Keep, tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("A=b\n")
    (tmp_path / "environment").chmod(0o640)
    keep({"path": "~/environment", "content": "C=d\n", "block": True})
    assert _accounts.mode_of(f"{tmp_path}/environment") == 0o640


def test_a_diff_of_a_block_shows_nothing_else(keep: Keep, tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("PASSWORD=S3CRET\n")
    assert "S3CRET" not in json.dumps(keep({"path": "~/environment", "content": "C=d\n", "block": True}))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ({**CONF, "content": "timeout = 1\n"}, "pip does not read the new one: File contains no section headers"),
        ({"path": "~/uv.toml", "content": "a = None\n", "reader": "uv"}, "uv does not read the new one: Invalid value"),
        ({"path": "~/ca.crt", "content": "words\n", "reader": "certificate"}, "certificate does not read the new one"),
        ({**NETRC, "secret": "machine a login b S3CRET c\n"}, "netrc does not read the new one: it cannot be read"),
        ({"path": "~/.pypirc", "secret": "[a]\n[a]\n", "reader": "pypirc"}, "pypirc does not read the new one"),
    ],
)
def test_what_its_tool_does_not_read_changes_nothing(
    keep: Keep, tmp_path: Path, file: dict[str, Any], sentence: str
) -> None:
    result = keep({"path": "~/first", "content": "x"}, file)
    assert result["failed"]
    assert sentence in result["msg"]
    assert "S3CRET" not in json.dumps(result)
    assert list(tmp_path.iterdir()) == []


def test_the_tool_of_the_host_reads_it(keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text('#!/bin/sh\n[ "$1 $2 $3" = "cache dir --config-file" ] && grep -q good "$4"\n')
    (tmp_path / "bin" / "uv").chmod(0o755)
    monkeypatch.setattr(_readers, "_path_of", lambda _account: [f"{tmp_path}/bin"])
    good, bad = ({"path": "~/uv.toml", "content": f"{word} = 1\n", "reader": "uv"} for word in ("good", "bad"))
    assert "failed with status 1" in keep(bad)["msg"]
    assert keep(good)["changed"]


def test_torn_marks_are_told(keep: Keep, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"# BEGIN {MARK}\n")
    assert keep(NETRC)["msg"].startswith(f"{tmp_path}/.netrc: It needs one line '# BEGIN {MARK}' and after it")


def test_others_stay_where_several_runs_share_a_host(keep: Keep, tmp_path: Path) -> None:
    keep(CONF)
    other = {"path": "~/other.conf", "content": "[global]\n"}
    keep(other, remove_others=False)
    assert not keep(CONF, remove_others=False)["changed"]
    assert keep(remove_others=False, places=[{"path": "~/pip.conf", "user": SELF}])["removed"] == [
        f"{tmp_path}/pip.conf"
    ]
    assert keep()["removed"] == [f"{tmp_path}/other.conf"]


def test_a_broken_record_is_told(keep: Keep, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("[1")
    assert "record.json cannot be read: remove it" in keep(CONF)["msg"]
