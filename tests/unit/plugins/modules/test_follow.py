# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module follow: one look, which ends as soon as there is something to say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._systemd import State
from ansible_collections.wheelhouse.devpi.plugins.modules import follow
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run

RUNS = State("devpi.service", "active", "running", "success", 0, "0", False, "")
WORKS = dataclasses.replace(RUNS, unit="devpi-switch.service", active="activating", sub="start")
ENDED = dataclasses.replace(WORKS, active="inactive", sub="dead")
FAILED = dataclasses.replace(WORKS, active="failed", sub="failed", result="exit-code", status="1")


@pytest.fixture(name="states")
def _states(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    """What systemd says, one look after the other; the last one for all that follow."""
    states: list[State] = []
    monkeypatch.setattr(follow, "state_of", lambda _run, _unit: states.pop(0) if len(states) > 1 else states[0])
    monkeypatch.setattr(follow, "last_words", lambda _run, unit: f"words of {unit}")
    monkeypatch.setattr(follow, "PAUSE", 0.01)
    return states


def look(run: Run, **options: Any) -> dict[str, Any]:
    """Run the module, which takes no options of a connection."""
    return run(follow, **{"url": None, "login_password": None, **options})


def test_unit_at_work_is_waited_for(run: Run, states: list[State]) -> None:
    states += [WORKS, WORKS, WORKS, ENDED]
    result = look(run, units=["devpi-switch.service"])
    assert (result["finished"], result["changed"]) == (True, False)


def test_look_ends_with_nothing_new(run: Run, states: list[State]) -> None:
    states.append(WORKS)
    result = look(run, units=["devpi-switch.service"], look={"seconds": 0.05})
    assert (result["finished"], result["told"]) == (False, "")


def test_new_stage_ends_the_look_at_once(run: Run, states: list[State], tmp_path: Path) -> None:
    states.append(WORKS)
    (tmp_path / "progress").write_text("first\nsnapshot: 3 of 9\n\n")
    options: dict[str, Any] = {"units": ["devpi-switch.service"], "progress": str(tmp_path / "progress")}
    assert look(run, **options)["told"] == "snapshot: 3 of 9"
    seen = look(run, **options, look={"told": "snapshot: 2 of 9", "seconds": 0.05})
    assert (seen["told"], seen["finished"]) == ("snapshot: 3 of 9", False)


def test_unit_that_failed_says_why(run: Run, states: list[State]) -> None:
    states += [WORKS, FAILED]
    result = look(run, units=["devpi-switch.service"])
    assert result["failed"]
    assert result["msg"].startswith("devpi-switch.service failed (exit-code, status 1). The last lines of its journal:")
    assert result["msg"].endswith("\nwords of devpi-switch.service")


def test_api_is_waited_for(run: Run, states: list[State], devpi: FakeDevpi) -> None:
    states.append(RUNS)
    assert look(run, units=["devpi.service"], answer=devpi.url)["finished"]


def test_old_server_is_not_taken_for_the_new_one(run: Run, states: list[State], devpi: FakeDevpi) -> None:
    states.append(dataclasses.replace(RUNS, has_job=True))
    assert not look(run, units=["devpi.service"], answer=devpi.url, look={"seconds": 0.05})["finished"]
    assert devpi.seen == []


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (dataclasses.replace(RUNS, active="activating", sub="auto-restart"), "tries it again and again"),
        (dataclasses.replace(RUNS, active="failed"), "failed"),
        (dataclasses.replace(RUNS, active="inactive"), "does not run"),
        (dataclasses.replace(RUNS, restarts=1), "started it again"),
    ],
)
def test_api_of_a_unit_that_ended_is_not_waited_for(
    run: Run, states: list[State], free_port: int, after: State, reason: str
) -> None:
    states += [RUNS, RUNS, after]
    result = look(run, units=["devpi.service"], answer=f"http://127.0.0.1:{free_port}", look={"seconds": 60})
    assert result["failed"]
    assert reason in result["msg"]
    assert result["msg"].endswith("words of devpi.service")


def test_restarts_of_former_looks_count(run: Run, states: list[State], free_port: int) -> None:
    states.append(dataclasses.replace(RUNS, restarts=7))
    url = f"http://127.0.0.1:{free_port}"
    first = look(run, units=["devpi.service"], answer=url, look={"seconds": 0.05})
    assert first["restarts"] == 7
    assert look(run, units=["devpi.service"], answer=url, look={"restarts": 6})["failed"]


def test_api_that_never_answers_has_a_limit(run: Run, states: list[State], free_port: int) -> None:
    states.append(RUNS)
    url = f"http://127.0.0.1:{free_port}"
    result = look(run, units=["devpi.service"], answer=url, timeout=60, look={"spent": 61})
    assert result["msg"].startswith(f"devpi.service runs, and its API does not answer at {url} within 60 s (timeout).")


def test_one_of_both_is_wanted(run: Run) -> None:
    assert look(run)["failed"]
    assert look(run, units=["a.service"], job="1.2")["failed"]
