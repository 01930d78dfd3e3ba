# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for what takes its time, and show how far it is.

It is a loop, because a tasks file that includes itself ends in a recursion error at its 244th round.
"""

from __future__ import annotations

import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._watched_action import JOB_KEYS

display = Display()

MODULE = "wheelhouse.devpi.follow"
STATUS = "ansible.legacy.async_status"

Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action that carries the name of the module, which Ansible therefore runs in its place."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Look until it has ended. Returns what came of it."""
        result: Result = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "Check mode starts nothing, so there is nothing to wait for."}
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        job = self._task.args.get("job")
        found = self._follow(f"{folder}/{job}" if job else None, task_vars)
        if found.get("failed") or not job:
            return {**result, **found}
        return {**result, **self._outcome({"jid": job, "_async_dir": folder}, task_vars)}

    def _follow(self, job_file: str | None, task_vars: Result | None) -> Result:
        """Call the module until it has ended, and show what it tells."""
        began, restarts, told = time.monotonic(), None, ""
        while True:
            look = {"spent": time.monotonic() - began, "told": told, "restarts": restarts, "job_file": job_file}
            found: Result = self._execute_module(MODULE, {**self._task.args, "look": look}, task_vars=task_vars)
            if found.get("told", "") not in ("", told):
                told = found["told"]
                display.display(f"{(task_vars or {}).get('inventory_hostname')}: {told}")
            if found.get("failed") or found.get("finished", True):
                return {key: value for key, value in found.items() if key not in ("finished", "restarts")}
            restarts = found.get("restarts")

    def _outcome(self, job: Result, task_vars: Result | None) -> Result:
        """Return the result of a job that has ended, and forget the job."""
        outcome: Result = self._execute_module(STATUS, job, task_vars=task_vars)
        self._execute_module(STATUS, {**job, "mode": "cleanup"}, task_vars=task_vars)
        # The lines that the job printed are of use, and its numbers are not.
        keys = set(JOB_KEYS) - {"stdout", "stdout_lines", "stderr", "stderr_lines"}
        return {key: value for key, value in outcome.items() if key not in keys}
