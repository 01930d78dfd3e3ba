# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a unit from what systemctl says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _systemd

RUNS = _systemd.State("devpi.service", "active", "running", "success", 0, "0", False, "")


@pytest.mark.parametrize(
    ("now", "trouble"),
    [
        ({}, None),
        ({"active": "activating", "sub": "start-pre"}, None),
        ({"active": "inactive", "sub": "dead", "has_job": True}, None),
        ({"active": "inactive", "sub": "dead"}, "devpi.service does not run."),
        ({"active": "failed", "result": "oom-kill", "status": "9"}, "devpi.service failed (oom-kill, status 9)."),
        (
            {"active": "activating", "sub": "auto-restart", "result": "exit-code", "status": "3"},
            "devpi.service ended (exit-code, status 3), and systemd tries it again and again.",
        ),
        ({"restarts": 3}, "devpi.service ended, and systemd started it again."),
    ],
)
def test_trouble(now: dict[str, Any], trouble: str | None) -> None:
    assert dataclasses.replace(RUNS, **now).trouble(2) == trouble


def test_state_of_a_unit() -> None:
    said = "Result=success\nNRestarts=4\nExecMainStatus=0\nActiveState=activating\nSubState=start\nJob=92\n"
    state = _systemd.state_of(lambda _command: (0, said, ""), "a.service")
    assert (state.restarts, state.has_job, state.is_at_work()) == (4, True, True)
    said = "ActiveState=inactive\nSubState=dead\nJob=\n"
    state = _systemd.state_of(lambda _command: (0, said, ""), "a.timer")
    assert (state.restarts, state.has_job, state.is_at_work()) == (0, False, False)
