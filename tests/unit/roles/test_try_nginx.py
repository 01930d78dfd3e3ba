# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that tries nginx and puts it back. The scenario `lived_in` of molecule has a real nginx."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load


@pytest.fixture
def program() -> ModuleType:
    """Return the program."""
    return cast("ModuleType", load("roles/devpi_nginx/files/try_nginx.py"))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return the folder of an nginx with a site of somebody and a default site that is a file."""
    etc = tmp_path / "nginx"
    for name in ("sites-enabled", "sites-available", "conf.d"):
        (etc / name).mkdir(parents=True)
    (etc / "nginx.conf").write_text("http {}", "utf-8")
    (etc / "sites-available/one").write_text("one", "utf-8")
    (etc / "sites-enabled/one").symlink_to(etc / "sites-available/one")
    (etc / "sites-enabled/default").write_text("default", "utf-8")
    return etc


@pytest.fixture
def plan(program: ModuleType, tmp_path: Path, etc: Path) -> Any:
    """Return a plan for that folder."""
    sandbox = tmp_path / "nginx.service.d/devpi.conf"
    sandbox.parent.mkdir()
    return program.Plan(
        removes_default=True, sandbox=str(sandbox), kept=str(tmp_path / "kept"), read=[str(etc)], etc=str(etc)
    )


def snapshot(folder: Path) -> dict[str, str]:
    """Return all of a folder: what files have in them, where links lead, and modes."""
    return {
        str(path.relative_to(folder)): f"-> {os.readlink(path)}"
        if path.is_symlink()
        else f"{stat.S_IMODE(path.stat().st_mode):o} {path.read_text('utf-8') if path.is_file() else ''}"
        for path in sorted(folder.rglob("*"))
    }


def change(plan: Any, etc: Path) -> None:
    """Do what a run of the role does."""
    (etc / "sites-available/devpi.conf").write_text("ours", "utf-8")
    (etc / "sites-enabled/devpi.conf").symlink_to(etc / "sites-available/devpi.conf")
    (etc / "sites-enabled/default").unlink()
    Path(plan.sandbox).write_text("[Service]", "utf-8")


@pytest.mark.parametrize("times", [1, 2])
def test_what_a_run_changed_is_put_back(program: ModuleType, plan: Any, etc: Path, times: int) -> None:
    (etc / "sites-enabled/default").chmod(0o640)
    before = snapshot(etc.parent)
    program.keep(plan)
    change(plan, etc)
    assert len(program.put_back(plan)) == 4
    for _again in range(times - 1):
        assert program.put_back(plan) == []
    after = snapshot(etc.parent)
    assert {name: what for name, what in after.items() if not name.startswith("kept")} == before


def test_a_link_comes_back_as_a_link(program: ModuleType, plan: Any, etc: Path) -> None:
    default = etc / "sites-enabled/default"
    default.unlink()
    default.symlink_to("/nowhere/default")
    program.keep(plan)
    change(plan, etc)
    program.put_back(plan)
    assert os.readlink(default) == "/nowhere/default"


def test_the_newest_state_is_the_one_that_is_kept(program: ModuleType, plan: Any, etc: Path) -> None:
    program.keep(plan)
    change(plan, etc)
    program.keep(plan)
    (etc / "sites-available/devpi.conf").write_text("broken", "utf-8")
    assert program.put_back(plan) == [etc / "sites-available/devpi.conf"]
    assert (etc / "sites-available/devpi.conf").read_text("utf-8") == "ours"
    assert not (etc / "sites-enabled/default").exists()


def test_the_tree_is_what_will_run(program: ModuleType, plan: Any, etc: Path, tmp_path: Path) -> None:
    (tmp_path / "candidate").write_text("ours", "utf-8")
    program.make_tree(plan, tmp_path / "candidate", tmp_path / "tree")
    tree = snapshot(tmp_path / "tree")
    change(plan, etc)
    real = snapshot(etc)
    assert tree == real


def test_a_default_of_somebody_stays_in_the_tree(program: ModuleType, plan: Any, tmp_path: Path) -> None:
    (tmp_path / "candidate").write_text("ours", "utf-8")
    plan = program.Plan(**{**vars(plan), "removes_default": False})
    program.make_tree(plan, tmp_path / "candidate", tmp_path / "tree")
    assert (tmp_path / "tree/sites-enabled/default").read_text("utf-8") == "default"


def test_the_trial_has_the_sandbox_of_all_drop_ins(program: ModuleType, plan: Any) -> None:
    folder = Path(plan.sandbox).parent
    (folder / "devpi.conf").write_text("[Service]\nRestart=always\nProtectSystem=strict\n# ProtectHome=no\n", "utf-8")
    (folder / "local.conf").write_text("[Service]\nReadWritePaths=/srv/log\n", "utf-8")
    assert program.properties(plan) == ["--property=ProtectSystem=strict", "--property=ReadWritePaths=/srv/log"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('[emerg] unknown directive "lua_shared_dict" in /etc/nginx/x:3', "modules-enabled"),
        ('[emerg] "lua_max_running_timers" directive is duplicate in x:3', "may stand once only"),
        ("[emerg] a duplicate default server for 0.0.0.0:80 in x:3", "default_server"),
        ("[emerg] something else", ""),
    ],
)
def test_hints_say_what_to_write(program: ModuleType, said: str, hint: str) -> None:
    assert hint in "".join(program.hints(said))


def test_a_sandbox_that_stops_another_site_is_named(
    program: ModuleType, plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(plan.sandbox).write_text("[Service]\nProtectSystem=strict\n", "utf-8")
    (tmp_path / "candidate").write_text("ours", "utf-8")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        refused = "--property=ProtectSystem=strict" in command
        return subprocess.CompletedProcess(command, int(refused), "", "open() /srv/log failed" if refused else "")

    monkeypatch.setattr(program, "run", run)
    monkeypatch.setattr(program.tempfile, "tempdir", str(tmp_path))
    folder = program.tempfile.TemporaryDirectory
    monkeypatch.setattr(program.tempfile, "TemporaryDirectory", lambda prefix, dir: folder(prefix=prefix))
    with pytest.raises(program.Failed, match=r"(?s)open\(\) /srv/log failed.*ReadWritePaths="):
        program.try_candidate(plan, tmp_path / "candidate")


def test_an_nginx_older_than_its_files_is_told(program: ModuleType, plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"systemctl": "active\n", "tail": "bind() failed\n"}
    monkeypatch.setattr(program, "run", lambda *command: subprocess.CompletedProcess(command, 0, said[command[0]], ""))
    monkeypatch.setattr(program, "workers_since", lambda: time.time() - 100)
    with monkeypatch.context() as patched:
        patched.setattr(program, "PATIENCE", 0)
        with pytest.raises(program.Failed, match=r"0 s ago: bind\(\) failed"):
            program.check(plan)
    # What systemd knows is not waited for.
    said["systemctl"] = "failed\n"
    monkeypatch.setattr(program.time, "sleep", None)
    with pytest.raises(program.Failed, match=r"nginx.service is failed: bind\(\) failed"):
        program.check(plan)
    monkeypatch.setattr(program, "workers_since", time.time)
    program.check(plan)


def test_a_file_from_the_future_is_not_waited_for(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("", "utf-8")
    os.utime(tmp_path / "x", (time.time() + 1000,) * 2)
    assert program.changed_at([str(tmp_path / "x"), "/nowhere"]) == 0
