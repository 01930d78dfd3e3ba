# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins devpi_release and devpi_prefetch: what they show, and that the result is that of the module."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.action import devpi_prefetch, devpi_release
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import PROGRESS_FILE
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _watched_action

RESULT = {"changed": True, "msg": "2 files uploaded.", "diff": [], "invocation": {}}
STARTED = {"started": 1, "finished": 0, "ansible_job_id": "j1.2", "results_file": "/async/j1.2", "changed": True}


class Action(_watched_action.WatchedAction):
    """The action on a managed host that plays back what is given: results of a job, and lines of progress."""

    def __init__(self, **task: Any) -> None:
        shell = SimpleNamespace(tmpdir="/tmp/of-the-task")
        self._connection = SimpleNamespace(_shell=shell, has_native_async=False)
        self._task = SimpleNamespace(no_log=False, check_mode=False, async_val=0, environment=None)
        vars(self._task).update(task)
        self.started: dict[str, Any] = STARTED
        self.states: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.ran: list[tuple[str, Any]] = []
        self.environment: Any = None

    def _execute_module(self, module_name: str = "", module_args: Any = None, **how: Any) -> dict[str, Any]:
        if module_name:
            self.ran.append((module_name, module_args))
            return {} if module_args.get("mode") == "cleanup" else self.states.pop(0)
        self.ran.append(("the module", how["wrap_async"]))
        self.environment = self._task.environment
        return self.started if how["wrap_async"] else RESULT

    def _low_level_execute_command(self, cmd: str, **_how: Any) -> dict[str, Any]:
        self.ran.append(("command", cmd))
        return {"stdout": f"{self.lines.pop(0)}\n" if cmd.startswith("tail ") else ""}

    def get_shell_option(self, _option: str, default: str = "") -> str:
        """Return the default of an option of the shell plugin."""
        return default

    def _remove_tmp_path(self, path: str, **_how: Any) -> None:
        self.ran.append(("remove", path))


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watched_action, "PAUSES", (0,))
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_args: {})


@pytest.fixture(name="shown")
def _shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown, with -v."""
    shown: list[str] = []
    verbose = SimpleNamespace(verbosity=1, v=lambda text, host: shown.append(f"<{host}> {text}"))
    monkeypatch.setattr(_watched_action, "display", verbose)
    return shown


def test_each_new_line_is_shown_once_until_the_module_ends(shown: list[str]) -> None:
    action = Action(environment=[{"LANG": "C"}])
    finished = {**RESULT, **STARTED, "finished": 1, "stderr": "", "stdout": ""}
    action.states, action.lines = [STARTED, STARTED, finished], ["1 of 2", "1 of 2", "2 of 2"]
    assert action.run(task_vars={"inventory_hostname": "devpi"}) == RESULT
    assert shown == ["<devpi> 1 of 2", "<devpi> 2 of 2"]
    progress = action.environment[1][PROGRESS_FILE]
    assert progress.startswith("~/.ansible_async/progress-")
    assert action.environment[0] == {"LANG": "C"}
    job = {"jid": "j1.2", "_async_dir": "~/.ansible_async"}
    assert [args for name, args in action.ran if name == "ansible.legacy.async_status"] == [
        job,
        job,
        job,
        {**job, "mode": "cleanup"},
    ]
    assert action.ran[-1] == ("command", f"rm -f {progress.replace('~/.ansible_async', '/async')}")
    assert action._task.async_val == 0


def test_failure_of_the_module_is_its_result(shown: list[str]) -> None:
    action = Action()
    failed = {"failed": True, "changed": True, "msg": "It broke off."}
    action.states, action.lines = [{**failed, "finished": 1, "ansible_job_id": "j1.2"}], ["1 of 2"]
    assert action.run() == failed
    assert shown == ["<None> 1 of 2"]


def test_module_that_was_killed_ends_the_action(shown: list[str]) -> None:
    action = Action()
    looks = _watched_action.LOOKS
    killed = {"failed": True, "msg": "It was killed."}
    action.states = [*[STARTED] * looks, {"finished": False}, *[STARTED] * looks, killed]
    action.lines = ["1 of 2"] * (2 * looks)
    assert action.run() == killed
    assert [args["look"]["job_file"] for name, args in action.ran if name == "wheelhouse.devpi.follow"] == [
        "~/.ansible_async/j1.2"
    ] * 2


def test_module_that_cannot_begin_ends_the_action(shown: list[str]) -> None:
    action = Action()
    action.started = {"failed": True, "msg": "no python"}
    assert action.run() == action.started
    assert shown == []


@pytest.mark.parametrize("task", [{"no_log": True}, {"check_mode": True}])
def test_nothing_is_shown_of_a_task_without_log_or_in_check_mode(shown: list[str], task: dict[str, Any]) -> None:
    action = Action(**task)
    assert action.run() == RESULT
    assert action.ran == [("the module", False), ("remove", "/tmp/of-the-task")]
    assert shown == []


def test_without_v_the_module_runs_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watched_action, "display", SimpleNamespace(verbosity=0))
    action = Action()
    assert action.run() == RESULT
    assert action.ran == [("the module", False), ("remove", "/tmp/of-the-task")]


def test_task_with_async_stays_in_the_background(shown: list[str]) -> None:
    action = Action(async_val=60)
    assert action.run() == STARTED
    assert action.ran == [("the module", True)]
    assert shown == []


@pytest.mark.parametrize("plugin", [devpi_prefetch, devpi_release])
def test_modules_that_tell_how_far_they_are_have_the_action(plugin: ModuleType) -> None:
    assert issubclass(plugin.ActionModule, _watched_action.WatchedAction)
