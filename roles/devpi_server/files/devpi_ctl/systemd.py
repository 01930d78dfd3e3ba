"""What systemd knows of a unit, asked by the programs of the host. unit_states.py is what the modules have as well."""

from __future__ import annotations

import subprocess

from devpi_ctl import unit_states
from devpi_ctl.unit_states import State, SystemdError

__all__ = ["State", "SystemdError", "last_words", "state_of", "systemctl"]


def run(command: list[str]) -> tuple[int, str, str]:
    """Run a command. Returns its status and what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def systemctl(*words: str) -> str:
    """Call systemctl and return what it prints. Raises SystemdError."""
    return unit_states.systemctl(run, *words)


def state_of(unit: str) -> State:
    """Return what systemd knows of a unit. Raises SystemdError."""
    return unit_states.state_of(run, unit)


def last_words(unit: str) -> str:
    """Return the end of what a unit, and systemd of it, wrote into the journal."""
    return unit_states.last_words(run, unit)
