# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that switches to another release: what it does to files, wherever it is interrupted.

The scenario `upgrade` of molecule has the rest: a real devpi, systemd and nginx.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import pwd
import shutil
import sqlite3
import stat
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.hot_journal import make_hot
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

PATHS = ("rename", "replace", "unlink", "mkdir")
PROGRAM = "roles/devpi_server/files/switch.py"
load(PROGRAM)
files, snapshot = (importlib.import_module(f"devpi_ctl.{name}") for name in ("files", "snapshot"))


class PowerLossError(BaseException):
    """Nothing of the program runs any more."""


def done_here(_account: Any, work: Any, told: Any = None) -> Any:
    """Do the work of another account in this process."""
    return work(told or (lambda *_given: None))


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Return the program, with a systemd that does nothing and a server that answers well."""
    module: ModuleType = load(PROGRAM)
    seen = {"version": "2", "serial": 7, "users": {"root": {"indexes": {"up": {"type": "mirror"}}}}}
    monkeypatch.setattr(module, "TRIAL", tmp_path / "systemd")
    monkeypatch.setattr(snapshot, "SPARE", 0)
    # What is interrupted here is the program as a whole; test_privileges.py has the process of its own.
    monkeypatch.setattr(module.privileges, "done_as", done_here)
    monkeypatch.setattr(module, "systemctl", lambda *words: "")
    active = module.systemd.State("devpi.service", "active", "running", "success", 0, "0", False, "")
    monkeypatch.setattr(module.systemd, "state_of", lambda unit: active)
    monkeypatch.setattr(module, "await_answer", lambda *given: "2")
    monkeypatch.setattr(module, "version_of", lambda release: "2")
    monkeypatch.setattr(module.Server, "version", lambda self: "1")
    monkeypatch.setattr(module.Server, "look", lambda self: seen)
    return module


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Return a folder with the data of a devpi, two releases, and other data for it."""
    tmp_path /= "host"
    tmp_path.mkdir()
    for name, content in (("data", b"old"), ("other", b"new")):
        files = tmp_path / name / "+files/root/up/+f"
        files.mkdir(parents=True)
        (tmp_path / name / "+files").chmod(0o2750)
        (files / "a-1.0.txt").write_bytes(content)
        (tmp_path / name / ".nodeinfo").write_bytes(content)
        with contextlib.closing(sqlite3.connect(tmp_path / name / ".sqlite")) as database:
            database.execute("PRAGMA journal_mode=wal")
            database.execute("CREATE TABLE changelog (serial INTEGER PRIMARY KEY, data)")
            database.execute("INSERT INTO changelog VALUES (7, ?)", [content])
            database.commit()
    (tmp_path / "data/.only-old").touch()
    for release in ("one", "two"):
        (tmp_path / "releases" / release / "bin").mkdir(parents=True)
        (tmp_path / "releases" / release / "bin/devpi-server").touch()
    (tmp_path / "current").symlink_to(tmp_path / "releases/one")
    (tmp_path / "configuration").write_text("old")
    (tmp_path / "configuration.other").write_text("new")
    (tmp_path / "state").mkdir()
    return tmp_path


def plan(host: Path, **more: Any) -> None:
    """Write the plan of a switch from release one to release two."""
    names = {"release": "releases/two", "current": "current", "data": "data", "configuration": "configuration"}
    user = pwd.getpwuid(os.geteuid()).pw_name
    paths = {name: str(host / path) for name, path in names.items()}
    rest = {
        "user": user,
        "unit": "devpi.service",
        "api": "unix:///run/none/devpi.sock",
        "start_timeout": "5",
        "limit": "60",
        "kept": "2",
    }
    (host / "state/plan.json").write_text(json.dumps({**paths, **rest, **more}))


def found(host: Path) -> dict[str, Any]:
    """Return everything that must be as before, or wholly new."""
    data = host / "data"
    with contextlib.closing(sqlite3.connect(data / ".sqlite")) as database:
        rows = database.execute("SELECT * FROM changelog").fetchall()
    return {
        "release": (host / "current").resolve().name,
        "configuration": (host / "configuration").read_text(),
        "names": sorted(path.name for path in data.iterdir() if path.name != ".before" and "sqlite-" not in path.name),
        "nodeinfo": (data / ".nodeinfo").read_bytes(),
        "file": (data / "+files/root/up/+f/a-1.0.txt").read_bytes(),
        "mode": oct(stat.S_IMODE((data / "+files").stat().st_mode)),
        "rows": rows,
    }


def spoil(host: Path) -> None:
    """Do what a bad release may do to the data."""
    (host / "data/.nodeinfo").unlink()
    (host / "data/.sqlite").write_text("nonsense")
    (host / "data/.new").touch()
    shutil.rmtree(host / "data/+files")


def test_a_snapshot_links_the_files_and_copies_the_database(switch: ModuleType, host: Path) -> None:
    progress, account = switch.Progress(host / "state"), pwd.getpwuid(os.geteuid())
    whole = switch.check_room(host / "data", account, progress)
    switch.snapshot(host / "data", host / "copy", account, whole, progress)
    file = "+files/root/up/+f/a-1.0.txt"
    assert os.path.samefile(host / "data" / file, host / "copy" / file)
    assert not os.path.samefile(host / "data/.nodeinfo", host / "copy/.nodeinfo")
    assert stat.S_IMODE((host / "copy/+files").stat().st_mode) == 0o2750
    with contextlib.closing(sqlite3.connect(host / "copy/.sqlite")) as database:
        assert database.execute("SELECT serial FROM changelog").fetchall() == [(7,)]


def test_a_snapshot_heals_the_database_and_takes_plain_files_along(switch: ModuleType, host: Path) -> None:
    make_hot(host / "data/.sqlite")
    (host / "data/+files/root/up/+f/planted.txt").symlink_to("/etc/shadow")
    (host / "data/.planted").symlink_to("/etc")
    os.mkfifo(host / "data/+files/fifo")
    progress, account = switch.Progress(host / "state"), pwd.getpwuid(os.geteuid())
    whole = switch.check_room(host / "data", account, progress)
    switch.snapshot(host / "data", host / "copy", account, whole, progress)
    found = sorted(str(path.relative_to(host / "copy")) for path in (host / "copy").rglob("*") if not path.is_dir())
    assert found == ["+files/root/up/+f/a-1.0.txt", ".nodeinfo", ".only-old", ".sqlite"]
    with contextlib.closing(sqlite3.connect(f"file:{host / 'copy/.sqlite'}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT serial FROM changelog").fetchall() == [(7,)]


def test_a_link_in_the_place_of_the_files_is_refused(switch: ModuleType, host: Path) -> None:
    (host / "data/+files").rename(host / "elsewhere")
    (host / "data/+files").symlink_to(host / "elsewhere")
    plan(host)
    assert switch.run(host / "state", start=True) == 1
    assert "+files is no folder" in json.loads((host / "state/result.json").read_text())["message"]


def test_what_root_keeps_has_to_be_roots(switch: ModuleType, host: Path) -> None:
    (host / "other").chmod(0o700)
    (host / "data/.before").symlink_to(host / "other")
    plan(host)
    assert switch.run(host / "state", start=True) == 1
    assert "it has to be a folder of root" in json.loads((host / "state/result.json").read_text())["message"]
    assert stat.S_IMODE((host / "other").stat().st_mode) == 0o700


def test_what_others_keep_beside_the_data_stays_there(
    switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = ["backup", "before-restore-1", "restore"]
    for name in others:
        (host / "data/.before" / name).mkdir(parents=True)
        (host / "data/.before" / name / "large").touch()
    seen: list[str] = []

    def answer(*_given: Any) -> str:
        for kept in (host / "data/.before").glob("*T*Z/data"):
            seen.extend(path.name for path in kept.iterdir())
            raise switch.SwitchError("It does not start.")
        return "1"

    monkeypatch.setattr(switch, "await_answer", answer)
    plan(host)
    assert switch.run(host / "state", start=True) == 1
    assert seen
    assert ".before" not in seen
    assert all((host / "data/.before" / name / "large").exists() for name in others)


def test_what_devpi_removes_while_it_is_counted_is_no_trouble(
    switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file, and a folder of files that an index no longer has."""
    entries_of, temporary, folder = files.entries_of, host / "data/.event_serial-tmp", host / "data/+files/gone"
    account, progress = switch.pwd.getpwuid(os.geteuid()), switch.Progress(host / "progress")
    whole = switch.check_room(host / "data", account, progress)
    temporary.touch()
    folder.mkdir()

    def entries_then_gone(path: Path) -> list[os.DirEntry[str]]:
        entries: list[os.DirEntry[str]] = entries_of(path)
        temporary.unlink(missing_ok=True)
        if path == folder.parent and folder.exists():
            folder.rmdir()
        return entries

    monkeypatch.setattr(files, "entries_of", entries_then_gone)
    assert switch.check_room(host / "data", account, progress).files == whole.files
    assert not folder.exists()


def test_how_far_a_snapshot_is(switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    progress = switch.Progress(host / "state")
    monkeypatch.setattr(progress, "far", told.append)
    account = pwd.getpwuid(os.geteuid())
    whole = switch.check_room(host / "data", account, progress)
    switch.snapshot(host / "data", host / "copy", account, whole, progress)
    assert whole.files == len([path for path in (host / "data").rglob("*") if path.is_file()])
    assert any(line.startswith(f"snapshot: {whole.files} of {whole.files} files, ") for line in told)
    assert any(line.startswith("count: ") for line in told)
    assert snapshot.left(10, 1000, 4000) == ", 30 s left"
    assert snapshot.left(1, 1, 4000) == ""


def test_a_good_switch_keeps_the_data(switch: ModuleType, host: Path) -> None:
    before = found(host)
    plan(host)
    assert switch.run(host / "state", start=True) == 0
    assert found(host) == {**before, "release": "two"}
    assert sorted(path.name for path in (host / "state").iterdir()) == ["progress", "result.json"]
    assert len(list((host / "data/.before").iterdir())) == 1


def test_a_bad_release_leaves_nothing(switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_given: Any) -> str:
        if (host / "current").resolve().name == "two":
            spoil(host)
            raise switch.SwitchError("It does not start.")
        return "2"

    before = found(host)
    monkeypatch.setattr(switch, "await_answer", answer)
    plan(host)
    assert switch.run(host / "state", start=True) == 1
    assert found(host) == before
    assert json.loads((host / "state/result.json").read_text())["message"] == "It does not start."
    assert list((host / "data/.before").iterdir()) == []


@pytest.mark.parametrize("other", [False, True])
def test_a_power_loss_anywhere_leaves_the_old_or_the_new(
    switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    """The power goes at the first system call of the switch that changes a name, at the second, and so on."""
    before = found(host)
    more = {"new_data": str(host / "other"), "new_configuration": str(host / "configuration.other")} if other else {}
    shutil.copytree(host, host.parent / "again", symlinks=True, copy_function=shutil.copy2)
    outcomes = []
    for moment in itertools.count(1):
        shutil.rmtree(host)
        shutil.copytree(host.parent / "again", host, symlinks=True, copy_function=shutil.copy2)
        plan(host, **more)
        left = iter(range(moment))
        with monkeypatch.context() as patch:
            for place, name in [*((Path, name) for name in PATHS), (os, "link"), (files, "exchange")]:
                patch.setattr(place, name, losing_power(getattr(place, name), left))
            try:
                switch.run(host / "state", start=True)
            except PowerLossError:
                pass
            else:
                break
        switch.run(host / "state", start=False)
        assert not (host / "state/journal.json").exists()
        now = found(host)
        outcomes.append(now["release"])
        if now["release"] == "one":
            assert now == before
        else:
            assert now["nodeinfo"] == (b"new" if other else b"old")
    assert moment > 20
    assert set(outcomes) == {"one", "two"}
    # Once it is decided, it stays so.
    assert outcomes == sorted(outcomes)


def losing_power(real: Any, left: Any) -> Any:
    """Return a function that works as often as there is something left."""

    def call(*given: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise PowerLossError
        return real(*given, **named)

    return call


def test_the_limit_counts_while_a_server_is_asked(
    switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch.Server, "look", lambda self: time.sleep(9))
    before = found(host)
    plan(host, limit="0.2")
    assert switch.run(host / "state", start=True) == 1
    assert found(host) == before
    assert json.loads((host / "state/result.json").read_text())["message"] == "The switch took longer than 0.2 s."


def test_too_small_a_disk_is_refused_before_anything_changes(
    switch: ModuleType, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SPARE", 1 << 60)
    before = found(host)
    plan(host)
    assert switch.run(host / "state", start=True) == 1
    assert found(host) == before
    assert "MiB are missing" in json.loads((host / "state/result.json").read_text())["message"]
    assert not (host / "data/.before").exists()


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ({"serial": 7, "users": {}}, "users"),
        ({"serial": 7, "users": {"root": {"indexes": {}}}}, "indexes"),
        ({"serial": 7, "users": {"root": {"indexes": {"up": {"type": "stage"}}}}}, "type"),
        ({"serial": 6, "users": {"root": {"indexes": {"up": {"type": "mirror"}}}}}, "serial"),
    ],
)
def test_a_server_that_lost_something_is_refused(switch: ModuleType, after: dict[str, Any], reason: str) -> None:
    before = {"serial": 7, "users": {"root": {"indexes": {"up": {"type": "mirror"}}}}}
    with pytest.raises(switch.SwitchError, match=reason):
        switch.compare(before, after, False)


def test_old_releases_and_snapshots_go(switch: ModuleType, host: Path) -> None:
    for name, age in (("older", 9), ("oldest", 99)):
        (host / "releases" / name).mkdir()
        os.utime(host / "releases" / name, (age, age))
    for name in ("20200101T000000Z", "20210101T000000Z"):
        (host / "data/.before" / name).mkdir(parents=True)
    plan(host, kept=3)
    assert switch.run(host / "state", start=True) == 0
    assert sorted(path.name for path in (host / "releases").iterdir()) == ["older", "one", "two"] or sorted(
        path.name for path in (host / "releases").iterdir()
    ) == ["oldest", "one", "two"]
    assert [path.name for path in (host / "data/.before").iterdir()].count("20200101T000000Z") == 0


@pytest.mark.parametrize(("status", "refuses"), [(401, False), (502, True)])
def test_nginx_may_want_a_login(switch: ModuleType, status: int, refuses: bool) -> None:
    """A private file was asked of devpi itself. Any other refusal of nginx is one, and so is every one of devpi."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    sample = {"index": "team/dev", "project": "a", "file": "a-1.tar.gz", "sha256": ""}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(switch.SwitchError) if refuses else contextlib.nullcontext():
            switch.Front(url).install(sample)
        with pytest.raises(switch.SwitchError):
            switch.Server(url).install(sample)
        server.shutdown()


def test_what_a_migration_left_stays(switch: ModuleType, host: Path) -> None:
    """Until playbooks/migrate.yml is told to remove it: no number of releases does."""
    (host / "data/.sqlite").rename(host / "data/.sqlite_alchemy")
    of_6 = {"20200101T000000Z": "six", "20210101T000000Z": "seven"}
    for name, release in of_6.items():
        (host / "releases" / release).mkdir()
        (host / "data/.before" / name / "data").mkdir(parents=True)
        (host / "data/.before" / name / "release.json").write_text(
            json.dumps({"release": str(host / "releases" / release)})
        )
    (host / "data/.before/20200101T000000Z/data/.sqlite").touch()
    (host / "data/.before/20210101T000000Z/data/.sqlite_alchemy").touch()
    plan(host, kept=2)
    assert switch.run(host / "state", start=True) == 0
    assert sorted(path.name for path in (host / "releases").iterdir()) == ["one", "six", "two"]
    kept = sorted(path.name for path in (host / "data/.before").iterdir())
    assert kept[0] == "20200101T000000Z"
    assert len(kept) == 2
