# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of the modules that tell how far they are: with -v it is shown while they run."""

from __future__ import annotations

import os
import secrets
import shlex
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import PROGRESS_FILE

display = Display()

LIMIT = 7 * 24 * 60 * 60
"""Seconds after which ansible.legacy.async_wrapper, which cannot do without a limit, ends the module."""

PAUSES = (0.2, 0.5, 1.0)
"""Seconds between two looks at the module; the last one for all that follow."""

LOOKS = 10
"""Looks after which it is asked whether the module still runs: who kills it leaves no result."""

JOB_KEYS = ("ansible_job_id", "finished", "results_file", "started", "stderr", "stderr_lines", "stdout", "stdout_lines")
"""What ansible.legacy.async_status adds to the result of a module."""

Result = dict[str, t.Any]


class WatchedAction(ActionBase):
    """Runs the module of the name of the task. A module has it by an action plugin of its own name."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Run the module and return its result, which is the same with -v and without."""
        result: Result = super().run(tmp, task_vars)
        shown = display.verbosity > 0 and not (self._task.no_log or self._task.check_mode)
        in_background = bool(self._task.async_val) and not self._connection.has_native_async
        if shown and not self._task.async_val:
            result.update(self._run_and_show(task_vars))
            return result
        result.update(self._execute_module(task_vars=task_vars, wrap_async=in_background))
        if not in_background:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _run_and_show(self, task_vars: Result | None) -> Result:
        """Run the module in the background, and show what it tells, until it ends."""
        folder = self.get_shell_option("async_dir", default="~/.ansible_async")
        name = f"progress-{secrets.token_hex(8)}"
        self._task.environment = [*(self._task.environment or []), {PROGRESS_FILE: f"{folder}/{name}"}]
        self._task.async_val = LIMIT
        try:
            job: Result = self._execute_module(task_vars=task_vars, wrap_async=True)
        finally:
            # Otherwise Ansible would wait for the job again after this action.
            self._task.async_val = 0
        if job.get("failed"):
            return job
        # The folder may begin with "~", which only the managed host can read.
        progress = shlex.quote(f"{os.path.dirname(job['results_file'])}/{name}")
        try:
            return self._wait_for({"jid": job["ansible_job_id"], "_async_dir": folder}, progress, task_vars)
        finally:
            self._low_level_execute_command(f"rm -f {progress}")

    def _wait_for(self, job: Result, progress: str, task_vars: Result | None) -> Result:
        shown, looks = "", 0
        while True:
            time.sleep(PAUSES[min(looks, len(PAUSES) - 1)])
            looks += 1
            found: Result = self._execute_module("ansible.legacy.async_status", job, task_vars=task_vars)
            told = self._low_level_execute_command(f"tail -n 1 {progress}")["stdout"].strip()
            if told != shown:
                display.v(told, host=(task_vars or {}).get("inventory_hostname"))
                shown = told
            # Without the key it is async_status itself that failed.
            if found.get("finished", True):
                self._execute_module("ansible.legacy.async_status", {**job, "mode": "cleanup"}, task_vars=task_vars)
                return {key: value for key, value in found.items() if key not in JOB_KEYS}
            if looks % LOOKS == 0:
                look = {"seconds": 0, "job_file": f"{job['_async_dir']}/{job['jid']}"}
                followed = {"job": job["jid"], "look": look}
                alive: Result = self._execute_module("wheelhouse.devpi.follow", followed, task_vars=task_vars)
                if alive.get("failed"):
                    return {"failed": True, "msg": alive["msg"]}
