# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin follow: it goes on for as long as it takes, and shows what is new."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.action import follow

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
