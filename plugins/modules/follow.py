#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at something that takes its time, until it has ended or there is news of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: follow
short_description: Wait for systemd units, an API or a job, and show how far they are
version_added: "0.1.0"
description:
  - Waits until units of systemd are no longer at work, until the API of a devpi-server answers that a unit runs, or
    until a task that was begun with C(async) has ended, however long that takes.
  - It ends as soon as systemd knows that there is nothing to wait for any more, and says why, with the last lines of
    the unit's journal; and as soon as a job was killed, of which no result will come.
  - Meanwhile it shows the last line of a file, each time that it changes.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.attributes.info
  - wheelhouse.devpi.attributes.watched
attributes:
  check_mode:
    details:
      - Check mode starts nothing, so nothing is waited for, and the task is skipped.
  action:
    details:
      - It calls the module again and again, and shows what it found.
  async:
    support: none
options:
  units:
    description:
      - The units to wait for. Without O(answer), the task waits until none of them is starting or stopping, as a
        C(oneshot) unit does for as long as it works, and fails where one failed.
    type: list
    elements: str
  answer:
    description:
      - The URL of a devpi-server that the first of the O(units) runs, such as V(unix:///run/devpi/devpi.sock). The
        task waits until its API answers, and fails where the unit ends or O(timeout) is over.
    type: str
  timeout:
    description:
      - The seconds that O(answer) may take. Everything else may take as long as it does.
    type: int
    default: 60
  job:
    description:
      - RV(ignore:ansible_job_id) of a task that was begun with C(async). What came of it is the result of this task.
    type: str
  progress:
    description:
      - A file on the managed host whose last line tells how far it is.
    type: path
  look:
    description:
      - What the action tells the module from one look to the next. Leave it out.
    type: dict
    suboptions:
      seconds:
        description: How long this look may take where there is no news.
        type: float
        default: 10
      spent:
        description: The seconds since the first look.
        type: float
        default: 0
      told:
        description: What the file of O(progress) said at the last look.
        type: str
        default: ""
      restarts:
        description: How often systemd had started the unit of O(answer) again at the first look.
        type: int
      job_file:
        description: The file in which the job keeps its result.
        type: path
"""

EXAMPLES = r"""
- name: Begin the migration
  ansible.builtin.systemd_service:
    name: devpi-migrate.service
    state: started
    no_block: true

- name: Follow the migration
  wheelhouse.devpi.follow:
    units: [devpi-migrate.service]
    progress: /var/lib/devpi-migrate/progress

- name: Wait until the API answers
  wheelhouse.devpi.follow:
    units: [devpi.service]
    answer: unix:/run/devpi/devpi.sock
"""

RETURN = r"""
told:
  description: The last line of O(progress) at the end.
  returned: where there is one
  type: str
  sample: devpi 6.20.3 runs.
"""

import contextlib
import json
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._local_http import is_devpi
from ansible_collections.wheelhouse.devpi.plugins.module_utils._systemd import (
    Run,
    State,
    SystemdError,
    last_words,
    state_of,
)

PAUSE = 0.3
"""Seconds between two looks at systemd."""

LONGEST_LINE = 500
"""Characters of a line of progress that are shown."""

Found = dict[str, t.Any]


def last_line(path: str | None) -> str:
    """Return the last line of a file that is not empty; nothing where there is none."""
    if path is None:
        return ""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 8 * LONGEST_LINE))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:LONGEST_LINE] for line in reversed(lines) if line.strip()), "")


def has_ended(job_file: str) -> bool:
    """Whether a job has written its result. While it writes, the file is no JSON."""
    try:
        said = json.loads(Path(job_file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        # Then async_status says so.
        return True
    except (OSError, ValueError):
        return False
    # Without the key it is the result of what could not begin.
    return not isinstance(said, dict) or bool(said.get("finished", True))


def is_abandoned(job_file: str) -> bool:
    """Whether nobody is left who would write the result of a job.

    Ansible's wrapper of the job, and what runs the module for it, have the name of the job among their arguments.
    """
    name = Path(job_file).name.rpartition(".")[0].encode()
    processes = list(Path("/proc").glob("[0-9]*/cmdline"))
    for process in processes:
        with contextlib.suppress(OSError):
            if name in process.read_bytes().split(b"\0"):
                return False
    # It may have ended between the two looks.
    return bool(processes) and not has_ended(job_file)


def failure(run: Run, trouble: str, unit: str) -> Found:
    """Return the result for a unit that nobody has to wait for any more."""
    words = last_words(run, unit)
    return {"failed": True, "msg": f"{trouble} The last lines of its journal:\n{words}" if words else trouble}


class Look:
    """One look, which lasts until there is news."""

    def __init__(self, params: Found, run: Run) -> None:
        self.run = run
        self.units: list[str] = params["units"] or []
        self.answer: str | None = params["answer"]
        self.timeout: int = params["timeout"]
        self.look: Found = params["look"]

    def result(self) -> Found | None:
        """Return what came of it, None where it goes on. Raises SystemdError."""
        if self.look["job_file"]:
            return self.job(self.look["job_file"])
        states = [state_of(self.run, unit) for unit in self.units]
        if self.answer is not None:
            return self.answered(states[0])
        if any(state.is_at_work() for state in states):
            return None
        failed = next((state for state in states if state.active == "failed"), None)
        if failed is not None:
            return failure(self.run, failed.trouble(failed.restarts) or "", failed.unit)
        return {"finished": True}

    def job(self, file: str) -> Found | None:
        """Return what came of a job."""
        if has_ended(file):
            return {"finished": True}
        if is_abandoned(file):
            return {
                "failed": True,
                "msg": f"The job of {file} was killed before it ended, so nobody will write its result: see in the "
                "journal of the host who did it (the kernel, where memory ran out), and run the playbook again.",
            }
        return None

    def answered(self, state: State) -> Found | None:
        """Return what came of a server that starts."""
        if self.look["restarts"] is None:
            self.look["restarts"] = state.restarts
        # Until its job is done, it may be the old server that answers.
        if not state.has_job:
            trouble = state.trouble(self.look["restarts"])
            if trouble is not None:
                return failure(self.run, trouble, state.unit)
            if is_devpi(str(self.answer), timeout=10):
                return {"finished": True}
        if self.look["spent"] > self.timeout:
            return failure(
                self.run,
                f"{state.unit} runs, and its API does not answer at {self.answer} within {self.timeout} s (timeout).",
                state.unit,
            )
        return None


def look_until_news(params: Found, run: Run) -> Found:
    """Look again and again, and return what came of it, or what is new."""
    look = Look(params, run)
    began, spent = time.monotonic(), params["look"]["spent"]
    while True:
        found = look.result()
        told = last_line(params["progress"])
        passed = time.monotonic() - began
        # A new stage at once, and how far one is now and then.
        is_news = told.split(":")[0] != params["look"]["told"].split(":")[0]
        if found is not None or is_news or passed >= params["look"]["seconds"]:
            return {"finished": False, **(found or {}), "told": told, "restarts": look.look["restarts"]}
        time.sleep(PAUSE)
        look.look["spent"] = spent + time.monotonic() - began


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str"},
            "answer": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
            "job": {"type": "str"},
            "progress": {"type": "path"},
            "look": {
                "type": "dict",
                "apply_defaults": True,
                "options": {
                    "seconds": {"type": "float", "default": 10},
                    "spent": {"type": "float", "default": 0},
                    "told": {"type": "str", "default": ""},
                    "restarts": {"type": "int"},
                    "job_file": {"type": "path"},
                },
            },
        },
        required_one_of=[("units", "job")],
        mutually_exclusive=[("units", "job")],
        required_by={"answer": "units"},
        supports_check_mode=True,
    )
    try:
        module.exit_json(changed=False, **look_until_news(module.params, module.run_command))
    except SystemdError as reason:
        module.fail_json(msg=str(reason))


if __name__ == "__main__":
    main()
