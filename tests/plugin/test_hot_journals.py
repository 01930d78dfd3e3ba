# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A devpi was killed in a commit: each program of the host that opens its data goes on, with the real devpi-server."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from devpi import MAJOR, ROOT, ROOT_PASSWORD, STAGE, Devpi
from devpi_ctl import http as local_http
from devpi_ctl import snapshot, sqlite
from webob import Request

ROLES = Path(__file__).resolve().parents[2] / "roles"
SERVER, BACKUP = ROLES / "devpi_server/files", ROLES / "devpi_backup/files"
#: Kills a writer in a commit, as the scenario `upgrade` does on a host.
DIES = ROLES.parent / "molecule/upgrade/hot_journal.py"
BIN = Path(sys.prefix) / "bin"
DATABASE = ".sqlite" if MAJOR == 6 else ".sqlite_alchemy"
ME = pwd.getpwuid(os.geteuid())
SECRET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
# A start takes a second with these, and eight without. It is without the plugin, as that of a drill is.
CLEAN = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "DEVPISERVER_ARGON2_MEMORY_COST": "8192",
    "DEVPISERVER_ARGON2_TIME_COST": "1",
    "DEVPISERVER_ARGON2_PARALLELISM": "1",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a devpi with a release, which has ended."""
    folder = tmp_path_factory.mktemp("whole")
    for server in Devpi.started(folder):
        server.manage("PUT", "/root/dev", {"type": STAGE, "bases": []})
        fields = {":action": "file_upload", "name": "pkg", "version": "1.0", "filetype": "sdist", "pyversion": "source"}
        upload = Request.blank("/root/dev/", POST={**fields, "content": ("pkg-1.0.tar.gz", b"bytes")}, headers=ROOT)
        assert upload.get_response(server.app).status_code == 200
    return folder / "data"


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """The same data, with a hot journal."""
    made = tmp_path / "data"
    shutil.copytree(whole, made)
    subprocess.run([sys.executable, "-I", DIES, made / DATABASE], check=True)
    assert tables(made) is None
    return made


def tables(data: Path) -> set[str] | None:
    """Return the tables as devpi reads them, without the right to write. None where a hot journal wants that."""
    with contextlib.closing(sqlite3.connect(f"file:{data / DATABASE}?mode=ro", uri=True)) as database:
        try:
            return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        except sqlite3.OperationalError as reason:
            if "readonly database" not in str(reason):
                raise
            return None


def is_healed(data: Path) -> bool:
    """Whether devpi can read, and nothing is there of what was never committed."""
    return "junk" not in (tables(data) or {"junk"})


def devpi(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of devpi."""
    return subprocess.run(
        [BIN / f"devpi-{command}", *arguments], env=CLEAN, capture_output=True, text=True, check=False
    )


@contextlib.contextmanager
def started(data: Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start devpi-server itself."""
    socket, secret = folder / "devpi.sock", folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    options: list[str | Path] = [
        "--secretfile",
        secret,
        "--unix-socket",
        socket,
        "--offline-mode",
        "--indexer-backend",
        "null",
    ]
    command = [BIN / "devpi-server", "--serverdir", data, *options]
    with subprocess.Popen(command, env=CLEAN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            yield f"unix:{socket}", server
        finally:
            server.kill()


def load(path: Path) -> ModuleType:
    """Return the module of a program."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program of backups, as it lies on a host, for the account of this test in place of devpi's."""
    place = tmp_path / "programs"
    place.mkdir()
    for name in ("backup.py", "data.py"):
        shutil.copy(BACKUP / name, place)
    (place / "devpi_ctl").symlink_to(SERVER / "devpi_ctl")
    (tmp_path / "install").mkdir()
    (tmp_path / "install/current").symlink_to(sys.prefix)
    module = load(place / "backup.py")
    monkeypatch.setattr(module, "USER", ME.pw_name)
    own = {"env": CLEAN, "cwd": "/", "stdin": subprocess.DEVNULL}
    monkeypatch.setattr(module.Backup, "devpi_user", lambda _self: own)
    paths = {"server_directory": tmp_path / "data", "directory": tmp_path / "work"}
    made = module.Backup(
        {**{name: str(path) for name, path in paths.items()}, "install_directory": tmp_path / "install"}
    )
    return module, made


def test_without_help_devpi_reads_nothing_more(data: Path, tmp_path: Path) -> None:
    assert devpi("fsck", "--serverdir", data).returncode != 0
    assert devpi("export", "--serverdir", data, tmp_path / "export").returncode != 0
    with started(data, tmp_path) as (_url, server):
        said, _nothing = server.communicate(timeout=120)
    assert server.returncode != 0
    assert "readonly database" in said


def test_the_unit_heals_before_each_start(data: Path, tmp_path: Path) -> None:
    unit = (ROLES / "devpi_server/templates/devpi.service.j2").read_text()
    assert re.search(r"^ExecStartPre=\S.* -I {{ devpi_server_heal_program }} .*\n(.*\n)*ExecStart=", unit, re.MULTILINE)
    subprocess.run([sys.executable, "-I", SERVER / "heal.py", data], check=True)
    assert is_healed(data)
    with started(data, tmp_path) as (url, server):
        end = time.monotonic() + 120
        while not local_http.is_devpi(url, 5):
            assert server.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        status, _headers, page = local_http.get(url, "/root/dev/+simple/pkg/", {"Accept": "text/html"}, 60)
    assert (status, b"pkg-1.0.tar.gz" in page) == (200, True)


def test_a_backup_heals_and_copies(data: Path, tmp_path: Path, backup: Any) -> None:
    _module, program = backup
    (tmp_path / "copy").mkdir()
    holds = program.data("copy", data, tmp_path / "copy", "yes")
    assert (holds["releases"], holds["files"], holds["missing"]) == (1, 1, 0)
    assert is_healed(data)
    assert is_healed(tmp_path / "copy")
    assert devpi("fsck", "--serverdir", tmp_path / "copy").returncode == 0


def test_a_drill_and_a_restore_heal_what_they_fetched(
    data: Path, whole: Path, tmp_path: Path, backup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, program = backup
    manifest = {"data": "/srv/copy", "holds": program.data("count", whole)}
    monkeypatch.setattr(module, "CONFIGURATION", Path("/etc/devpi"))
    target = tmp_path / "drill"
    fetched = {
        "manifest": target / program.manifest.relative_to("/"),
        "secret": target / "etc/devpi/secret",
        "password": target / "etc/devpi/root-password",
    }
    for path, content in zip(fetched.values(), (json.dumps(manifest), SECRET, ROOT_PASSWORD), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o600)
    (target / "srv").mkdir()
    data.rename(target / "srv/copy")
    assert tables(target / "srv/copy") is None
    assert program.prove(target)["newest"]["file"] == "pkg-1.0.tar.gz"
    assert is_healed(target / "srv/copy")


def test_fsck_heals(data: Path, backup: Any) -> None:
    _module, program = backup
    program.fsck(data, 1)
    assert is_healed(data)


def test_the_snapshot_of_a_switch_heals(data: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    progress = snapshot.Progress(tmp_path / "state")
    snapshot.snapshot(data, tmp_path / "copy", ME, snapshot.check_room(data, ME, progress), progress)
    assert is_healed(tmp_path / "copy")
    assert devpi("fsck", "--serverdir", tmp_path / "copy").returncode == 0
    assert sqlite.last_serial(data) == sqlite.last_serial(tmp_path / "copy")


def test_a_migration_heals_before_it_exports(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate = load(SERVER / "migrate.py")
    (tmp_path / "state").mkdir()
    plan: dict[str, Any] = {
        "data": str(data),
        "current": sys.prefix,
        "release": sys.prefix,
        "user": ME.pw_name,
        "packages": [],
    }
    plan |= {"read_only": str(tmp_path / "read_only"), "mirrored_files": True}
    migration = migrate.Migration(tmp_path / "state", plan)
    monkeypatch.setattr(migrate, "plugins_of", lambda _release: set())
    monkeypatch.setattr(migration, "refuses_writes", lambda: None)
    monkeypatch.setattr(migration, "let_writes_end", lambda: "1")
    if MAJOR == 7:
        # There is nothing to migrate, and it opens nothing.
        with pytest.raises(migrate.MigrationError, match=r"has no \.sqlite"):
            migration.run()
        assert tables(data) is None
        return
    stage = migration.stage

    def exports_alone(name: str, *given: Any) -> None:
        if name == "import":
            raise KeyboardInterrupt
        stage(name, *given)

    monkeypatch.setattr(migration, "stage", exports_alone)
    with pytest.raises(KeyboardInterrupt):
        migration.run()
    assert is_healed(data)
    assert "root/dev" in migrate.indexes_of(migration.export)
    assert list(migration.export.rglob("pkg-1.0.tar.gz"))


def test_an_export_goes_on_after_it(data: Path, tmp_path: Path) -> None:
    sqlite.heal(data)
    exported = devpi("export", "--serverdir", data, tmp_path / "export")
    assert exported.returncode == 0, exported.stdout + exported.stderr
    assert list((tmp_path / "export").rglob("pkg-1.0.tar.gz"))
