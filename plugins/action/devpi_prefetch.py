# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the lock of a devpi_prefetch task on the controller, run the module, and with -v show how far it is."""

from __future__ import annotations

import base64
import typing as t

from ansible.module_utils.common.validation import check_type_list
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._lockfile import LockError, Read, plan
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._watched_action import Result, WatchedAction


class ActionModule(WatchedAction):
    """The action that carries the name of the module, which Ansible therefore runs in its place.

    The controller has the library packaging, and the managed host has none.
    """

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Give the module what the lock names, and return its result."""
        written = dict(self._task.args)
        path, environments = written.get("path"), written.get("environments")
        if isinstance(path, str):
            try:
                wanted = None if environments is None else [str(marker) for marker in check_type_list(environments)]
                self._task.args = {**written, "_lock": plan(path, wanted, self._reader(task_vars))}
            except LockError as reason:
                return {"failed": True, "changed": False, "msg": str(reason)}
            except TypeError as reason:
                return {"failed": True, "changed": False, "msg": f"environments: {reason}; write a list of markers."}
        try:
            result = super().run(tmp, task_vars)
        finally:
            self._task.args = written
        if isinstance(arguments := result.get("invocation", {}).get("module_args"), dict):
            arguments.pop("_lock", None)
        return result

    def _reader(self, task_vars: Result | None) -> Read:
        """Return what reads files of the managed host."""

        def read(path: str) -> bytes:
            found: dict[str, t.Any] = self._execute_module("ansible.legacy.slurp", {"src": path}, task_vars=task_vars)
            if found.get("failed"):
                reason = str(found.get("msg", "")).removesuffix(f": {path}")
                raise LockError([f"{path} cannot be read on this host ({reason}); copy it there first."])
            return base64.b64decode(found["content"])

        return read
