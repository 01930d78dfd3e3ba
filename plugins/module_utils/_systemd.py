# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd knows of a unit, so that nobody waits longer than it makes sense."""

from __future__ import annotations

import dataclasses
import typing as t

#: The last lines of its journal that tell why a unit failed.
LINES = 12
PROPERTIES = ("ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus", "Job", "InvocationID")


Run = t.Callable[[list[str]], tuple[int, str, str]]
"""Runs a command, as the method run_command of a module does. Returns its status and what it printed."""


class SystemdError(Exception):
    """systemctl refused; the message is the reason, for a person."""


def systemctl(run: Run, *words: str) -> str:
    """Call systemctl and return what it prints. Raises SystemdError."""
    status, said, complaint = run(["systemctl", *words])
    if status != 0:
        raise SystemdError(f"systemctl {' '.join(words)}: {complaint.strip() or said.strip()}")
    return said


@dataclasses.dataclass(frozen=True)
class State:
    """A unit at one moment, in the words of systemctl show."""

    unit: str
    active: str
    sub: str
    result: str
    restarts: int
    status: str
    has_job: bool
    invocation: str

    def is_at_work(self) -> bool:
        """Whether a oneshot unit is about to begin, goes on, or is about to end."""
        return self.has_job or self.active in ("activating", "deactivating", "reloading")

    def trouble(self, restarts: int = 0) -> str | None:
        """Return why there is nothing to wait for any more, None where there is.

        `restarts` is how often systemd had started the unit again when the waiting began.
        """
        # A command before the main one that failed leaves no status.
        why = self.result if self.status == "0" else f"{self.result}, status {self.status}"
        if self.sub.startswith("auto-restart"):
            return f"{self.unit} ended ({why}), and systemd tries it again and again."
        if self.restarts > restarts:
            return f"{self.unit} ended, and systemd started it again."
        if self.active == "failed":
            return f"{self.unit} failed ({why})."
        if self.active == "inactive" and not self.has_job:
            return f"{self.unit} does not run."
        return None


def state_of(run: Run, unit: str) -> State:
    """Return what systemd knows of a unit. Raises SystemdError."""
    said = systemctl(run, "show", f"--property={','.join(PROPERTIES)}", unit)
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return State(
        unit=unit,
        active=shown.get("ActiveState", ""),
        sub=shown.get("SubState", ""),
        result=shown.get("Result", ""),
        # A unit of another kind than a service has none.
        restarts=int(shown.get("NRestarts") or 0),
        status=shown.get("ExecMainStatus", "?"),
        has_job=shown.get("Job", "0") not in ("", "0"),
        invocation=shown.get("InvocationID", ""),
    )


def last_words(run: Run, unit: str) -> str:
    """Return the end of what a unit, and systemd of it, wrote into the journal."""
    command = ["journalctl", "--unit", unit, "--lines", str(LINES), "--no-pager", "--output", "cat"]
    _status, said, _complaint = run(command)
    return said.strip()
