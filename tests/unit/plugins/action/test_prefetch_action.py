# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin devpi_prefetch: what it reads on the managed host, and gives to the module."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.action import devpi_prefetch
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _watched_action


class Action(devpi_prefetch.ActionModule):
    """The action on a managed host that is this one."""

    def __init__(self, **args: Any) -> None:
        self._task = SimpleNamespace(args=args, no_log=False, check_mode=False, async_val=0, environment=None)
        self._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/x"), has_native_async=False)
        self.given: list[dict[str, Any]] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_how: Any) -> dict[str, Any]:
        if not module_name:
            self.given.append(self._task.args)
            return {"changed": False, "invocation": {"module_args": dict(self._task.args)}}
        assert module_name == "ansible.legacy.slurp"
        path = Path(module_args["src"])
        if not path.is_file():
            return {"failed": True, "msg": f"file not found: {path}"}
        return {"content": base64.b64encode(path.read_bytes()).decode()}

    def _remove_tmp_path(self, *_path: Any, **_how: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_args: {})
    monkeypatch.setattr(_watched_action, "display", SimpleNamespace(verbosity=0))


def test_the_module_is_told_what_the_lock_and_its_includes_name(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("b==2\n", encoding="utf-16")
    (tmp_path / "lock.txt").write_text("a==1\n-r more.txt\n", encoding="utf-8")
    action = Action(index="root/pypi", path=str(tmp_path / "lock.txt"))
    result = action.run()
    (given,) = action.given
    assert [package["project"] for package in given["_lock"]["packages"]] == ["a", "b"]
    assert action._task.args == {"index": "root/pypi", "path": str(tmp_path / "lock.txt")}
    assert "_lock" not in result["invocation"]["module_args"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"path": "/nonexistent.txt"}, "/nonexistent.txt cannot be read on this host (file not found); copy it there"),
        ({"environments": ["linux"]}, "environments: that is no environment marker (Expected"),
        ({"environments": "os_name == 'os2'"}, "environments: \"os_name == 'os2'\" is true on no platform that is"),
        ({"environments": {"a": 1}}, "; write a list of markers."),
    ],
)
def test_what_is_wrong_ends_the_task_before_the_module(tmp_path: Path, args: dict[str, Any], expected: str) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("a==1\n", encoding="utf-8")
    action = Action(**{"index": "root/pypi", "path": str(lock), **args})
    result = action.run()
    assert (result["failed"], result["changed"], action.given) == (True, False, [])
    assert expected in result["msg"]


def test_a_task_without_a_path_is_for_the_module_to_refuse() -> None:
    action = Action(index="root/pypi")
    action.run()
    assert action.given == [{"index": "root/pypi"}]
