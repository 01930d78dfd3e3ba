# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin follow: it goes on for as long as it takes, and shows what is new."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.release import __version__ as ansible_version
from ansible_collections.wheelhouse.devpi.plugins.action import follow
from ansible_collections.wheelhouse.devpi.plugins.modules import follow as module

FINISHED = {"changed": False, "finished": True, "told": "", "restarts": None}


class Action(follow.ActionModule):
    """The action on a managed host that plays back what the module finds."""

    def __init__(self, found: list[dict[str, Any]], check_mode: bool = False, **args: Any) -> None:
        self._task = SimpleNamespace(args=args, check_mode=check_mode)
        self.found = found
        self.looks: list[dict[str, Any]] = []
        self.ran: list[tuple[str, dict[str, Any]]] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_how: Any) -> dict[str, Any]:
        if module_name == follow.MODULE:
            self.looks.append(module_args["look"])
        self.ran.append((module_name, module_args))
        return self.found.pop(0)

    def get_shell_option(self, _option: str, default: str = "") -> str:
        """Return the default of an option of the shell plugin."""
        return default


@pytest.fixture(name="shown", autouse=True)
def _shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_args: {})
    monkeypatch.setattr(follow, "display", SimpleNamespace(display=shown.append))
    return shown


def test_a_thousand_rounds_and_each_that_is_new_is_shown(shown: list[str]) -> None:
    rounds = [{**FINISHED, "finished": False, "told": f"snapshot: {number // 2}"} for number in range(1000)]
    action = Action([*rounds, {**FINISHED, "told": "It runs."}], units=["devpi-switch.service"])
    assert action.run(task_vars={"inventory_hostname": "devpi"}) == {"changed": False, "told": "It runs."}
    assert len(action.looks) == 1001
    assert shown == [*(f"devpi: snapshot: {number}" for number in range(500)), "devpi: It runs."]


def test_a_look_knows_what_the_one_before_found() -> None:
    action = Action([{**FINISHED, "finished": False, "told": "one", "restarts": 3}, FINISHED], units=["devpi.service"])
    action.run()
    assert [(look["told"], look["restarts"]) for look in action.looks] == [("", None), ("one", 3)]
    assert action.looks[0]["spent"] <= action.looks[1]["spent"]


def test_failure_ends_it() -> None:
    failed = {"failed": True, "msg": "devpi.service failed."}
    assert Action([{**FINISHED, "finished": False}, failed], units=["devpi.service"]).run() == failed


def test_the_result_of_a_job_is_the_result() -> None:
    outcome = {"changed": True, "rc": 1, "stdout": "said", "failed": True, "finished": 1, "ansible_job_id": "j1.2"}
    action = Action([{**FINISHED, "finished": False}, FINISHED, outcome, {}], job="j1.2")
    assert action.run() == {"changed": True, "rc": 1, "stdout": "said", "failed": True}
    assert action.looks[0]["job_file"] == "~/.ansible_async/j1.2"
    job = {"jid": "j1.2", "_async_dir": "~/.ansible_async"}
    assert action.ran[-2:] == [(follow.STATUS, job), (follow.STATUS, {**job, "mode": "cleanup"})]


def test_nothing_is_waited_for_in_check_mode() -> None:
    action = Action([], check_mode=True, units=["devpi.service"])
    assert action.run()["skipped"]
    assert action.ran == []


@pytest.fixture(name="job")
def _job(tmp_path: Path) -> Iterator[Path]:
    """The file of a job of some seconds, which Ansible's own wrapper runs: tests of modules have none."""
    program = tmp_path / "module"
    program.write_text("#!/bin/sh\nexec sleep 10\n")
    program.chmod(0o700)
    # Since ansible-core 2.21, whether the module's folder is kept comes first, and its command in place of a file.
    is_new = tuple(map(int, ansible_version.split(".")[:2])) >= (2, 21)
    arguments = ["true", str(program), str(program)] if is_new else [str(program), "_"]
    command = [sys.executable, "-m", "ansible.modules.async_wrapper", f"j{time.time_ns()}", "60", *arguments]
    environment = {**os.environ, "ANSIBLE_ASYNC_DIR": str(tmp_path / "jobs")}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    file = Path(json.loads(said)["results_file"])
    yield file
    kill(file)


def kill(job: Path) -> None:
    """Kill the wrapper of a job, and what runs its module."""
    name = job.name.partition(".")[0].encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if name in process.read_bytes().split(b"\0"):
                os.kill(int(process.parent.name), signal.SIGKILL)


def look(job: Path, seconds: float) -> dict[str, Any]:
    """Look at a job as the module does on its host."""
    told = {"seconds": seconds, "spent": 0, "told": "", "restarts": None, "job_file": str(job)}
    params = {"units": None, "answer": None, "timeout": 60, "progress": None, "look": told}
    return module.look_until_news(params, lambda _command: (1, "", ""))


def test_job_is_waited_for(job: Path) -> None:
    assert not look(job, 0.05)["finished"]
    # While it is written.
    job.write_text("{")
    assert not look(job, 0.05)["finished"]
    job.write_text(json.dumps({"rc": 0}))
    assert look(job, 0.05)["finished"]
    job.unlink()
    assert look(job, 0.05)["finished"]


def test_job_that_was_killed_is_not_waited_for(job: Path) -> None:
    kill(job)
    result = look(job, 60)
    assert result["failed"]
    assert f"The job of {job} was killed before it ended" in result["msg"]
