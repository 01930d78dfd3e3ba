# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of two exports: it passes what devpi 7 makes of data of devpi 6, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

ROOT = Path(__file__).parents[3]
DIALECT = ROOT / "plugins/module_utils/_dialect.py"
FILE = "team/base/own/1.0/own-1.0-py3-none-any.whl"

migrate = load("roles/devpi_server/files/migrate.py")


def _dump(config: dict[str, Any], mirror: dict[str, Any], whitelisted: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256(b"content").hexdigest()
    file = {
        "type": "releasefile",
        "projectname": "own",
        "version": "1.0",
        "relpath": FILE,
        "entrymapping": {"hashes": {"sha256": digest}},
    }
    projects = {"own": {"config": {}, "versions": {"1.0": {}}}, **whitelisted}
    return {
        "users": {"root": {"pwhash": "one"}, "team": {"pwhash": "two", "email": "team@example.org"}},
        "indexes": {
            "root/up": {"indexconfig": mirror},
            "team/base": {"indexconfig": config, "projects": projects, "files": [file]},
        },
    }


@pytest.fixture
def exports(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Two exports as devpi 6.20.3 and 7.0.0b4 write them, and the second's index to change."""
    old = _dump(
        {
            "type": "stage",
            "bases": ["root/up"],
            "acl_upload": ["team"],
            "mirror_whitelist": ["wanted"],
            "mirror_whitelist_inheritance": "intersection",
            "volatile": False,
            "of_a_plugin": ["kept"],
        },
        {"type": "mirror", "mirror_url": "https://mirror.example.org/simple/", "mirror_ignore_serial_header": True},
        {},
    )
    # devpi 6 keeps no settings of a project.
    old["indexes"]["team/base"]["projects"] = {"own": {"1.0": {}}}
    new = _dump(
        {
            "type": "local",
            "bases": ["root/up"],
            "acl_upload": ["team"],
            "project_inheritance_rules": ["block type:remote if local_exists"],
            "volatile": False,
            "of_a_plugin": ["kept"],
        },
        {"type": "remote", "remote_url": "https://mirror.example.org/simple/"},
        {"wanted": {"config": {"inheritance_rules": ["allow all"]}, "versions": {}}},
    )
    for name, dump in (("old", old), ("new", new)):
        (tmp_path / name / FILE).parent.mkdir(parents=True)
        (tmp_path / name / FILE).write_bytes(b"content")
        (tmp_path / name / "dataindex.json").write_text(json.dumps(dump))
    return tmp_path / "old", tmp_path / "new", new


def _compare(old: Path, new: Path, dump: dict[str, Any] | None = None) -> str:
    if dump is not None:
        (new / "dataindex.json").write_text(json.dumps(dump))
    sizes: list[int] = []
    said: str = migrate.compare(old, new, migrate.load_words(DIALECT), "7.0.0b4", sizes.append)
    # One file on each side.
    assert sizes == [len(b"content")] * 2
    return said


def test_the_same_in_the_new_words(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """What devpi 7 makes of the settings is the same."""
    assert _compare(*exports[:2]).startswith("2 users, 2 indexes with ")


def test_a_lost_password(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """Each setting of a user counts."""
    exports[2]["users"]["team"]["pwhash"] = "three"
    with pytest.raises(migrate.MigrationError, match="pwhash of the user team"):
        _compare(*exports)


def test_a_lost_index(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """No index is missing."""
    del exports[2]["indexes"]["root/up"]
    with pytest.raises(migrate.MigrationError, match="root/up"):
        _compare(*exports)


@pytest.mark.parametrize(
    ("name", "value"), [("acl_upload", []), ("volatile", True), ("bases", []), ("type", "remote"), ("of_a_plugin", [])]
)
def test_another_setting(exports: tuple[Path, Path, dict[str, Any]], name: str, value: object) -> None:
    """Each setting of an index counts."""
    exports[2]["indexes"]["team/base"]["indexconfig"][name] = value
    with pytest.raises(migrate.MigrationError, match=f"The setting {name} of team/base"):
        _compare(*exports)


def test_a_project_that_is_no_longer_exempt(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """What devpi 6 keeps in mirror_whitelist, devpi 7 keeps at the project."""
    exports[2]["indexes"]["team/base"]["projects"]["wanted"]["config"] = {}
    with pytest.raises(migrate.MigrationError, match="wanted of team/base"):
        _compare(*exports)


def test_bytes_that_are_not_those_of_the_digest(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """The digest is computed from the bytes."""
    (exports[1] / FILE).write_bytes(b"damaged")
    with pytest.raises(migrate.MigrationError, match="has not the SHA-256"):
        _compare(*exports[:2])


def test_a_write_past_nginx(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """A release that the old server got after the export is missed."""
    exports[2]["indexes"]["team/base"]["files"] = []
    with pytest.raises(migrate.MigrationError, match="wrote past nginx"):
        _compare(*exports)


def test_a_version_without_a_file(exports: tuple[Path, Path, dict[str, Any]]) -> None:
    """A release may be registered alone."""
    exports[2]["indexes"]["team/base"]["projects"]["own"]["versions"] = {}
    with pytest.raises(migrate.MigrationError, match="The versions in team/base"):
        _compare(*exports)


def _plan(data: Path, packages: list[str]) -> dict[str, Any]:
    return {"data": str(data), "current": "/nowhere", "packages": packages}


def test_refuses_data_without_a_database(tmp_path: Path) -> None:
    """What is not in SQLite is not exported from there."""
    with pytest.raises(migrate.MigrationError, match="devpi-postgresql"):
        migrate.check(_plan(tmp_path, []))


def test_refuses_a_plugin_that_would_be_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin may keep data that its absence would hide."""
    (tmp_path / ".sqlite").touch()
    monkeypatch.setattr(migrate, "plugins_of", lambda _release: {"devpi-web", "devpi-postgresql"})
    with pytest.raises(migrate.MigrationError, match=r": devpi-postgresql\."):
        migrate.check(_plan(tmp_path, ["devpi-server", "devpi-web"]))


def test_refuses_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room that is missing is told."""
    (tmp_path / ".sqlite").touch()
    monkeypatch.setattr(migrate, "plugins_of", lambda _release: set())
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    monkeypatch.setattr(migrate, "needed", lambda _data: free + 1024**4)
    with pytest.raises(migrate.MigrationError, match="are missing"):
        migrate.check(_plan(tmp_path, []))
