"""The suite itself: which parts a change touches, and in which order parts begin."""

from __future__ import annotations

import fnmatch
import json
import re

import durations
import pytest
import run
from parts import LINT, TOUCHES, Part, choose, parts, scenarios, touched
from repository import CHECKOUT, files
from typed import groups

PATHS = [path.relative_to(CHECKOUT).as_posix() for path in files()]


@pytest.mark.parametrize(
    ("path", "expected", "spared"),
    [
        ("plugins/module_utils/_api.py", ["unit", "gate-trixie", "molecule-default", "docs"], ["bench-front"]),
        ("roles/devpi_nginx/templates/devpi.conf.j2", ["molecule-tls", "bench-front", "bad-input"], ["gate-trixie"]),
        ("molecule/tls/verify.yml", ["molecule-tls"], ["molecule-default", "unit", "gate-trixie"]),
        ("molecule/shared/converge.yml", ["molecule-tls", "molecule-default"], ["unit", "gate-trixie"]),
        ("tests/integration/conftest.py", ["gate-bookworm"], ["molecule-default"]),
        ("README.md", ["consistency", "lint-yaml"], ["unit", "gate-trixie", "molecule-default"]),
    ],
)
def test_a_change_touches_the_parts_that_look_at_it(path: str, expected: list[str], spared: list[str]) -> None:
    chosen = {part.name for part in choose(parts(), touched([path]))}
    assert set(expected) <= chosen
    assert not set(spared) & chosen


def test_every_part_is_touched_by_something_and_every_rule_touches_some_part() -> None:
    called = {name for _pattern, names in TOUCHES for name in names if "{" not in name}
    for name in called:
        choose(parts(), [name])
    reached = choose(parts(), [*called, *LINT, *(f"molecule-{scenario}" for scenario in scenarios())])
    assert {part.name for part in reached} == {part.name for part in parts()}


def test_every_rule_is_the_first_one_for_some_file() -> None:
    firsts = {next(pattern for pattern, _names in TOUCHES if fnmatch.fnmatchcase(path, pattern)) for path in PATHS}
    assert [pattern for pattern, _names in TOUCHES if pattern not in firsts] == []


def test_a_file_of_each_scenario_touches_its_scenario() -> None:
    for scenario in scenarios():
        assert f"molecule-{scenario}" in touched([f"molecule/{scenario}/verify.yml"])


def test_the_types_of_each_program_are_checked_once() -> None:
    checked = [program for group in groups() for program in group.programs()]
    assert sorted(checked) == [path for path in PATHS if path.endswith(".py")]


def test_every_program_of_python_has_its_ending() -> None:
    others = (path for path in files() if path.suffix != ".py")
    assert [path for path in others if re.match(rb"#!.*python", path.read_bytes())] == []


def test_longest_first_and_the_unknown_among_the_long() -> None:
    names = ["short", "new", "long"]
    order = durations.longest_first([Part(name, []) for name in names], {"short": 2, "long": 900})
    assert [part.name for part in order] == ["long", "new", "short"]


def test_what_grew_by_half_is_told() -> None:
    before = {"same": 100.0, "grown": 100.0, "short": 2.0}
    taken = {"same": 149.0, "grown": 151.0, "short": 9.0, "new": 500.0}
    assert durations.grown(before, taken) == ["grown took 151 s, and 100 s the last time"]


def test_committed_durations_are_of_parts_that_are_there() -> None:
    assert set(json.loads(durations.COMMITTED.read_text())) <= {part.name for part in parts()}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", ""),
        ("collected 5 items\n\ntests/a.py ...\n", "tests/a.py ..."),
        ("TASK [Write the unit] *****\n<host> SSH: EXEC ssh\nok: [host]\n", "TASK [Write the unit]"),
        ("TASK [Old] **\n\x1b[0;33mRUNNING HANDLER [New] ***\x1b[0m\nok\n", "RUNNING HANDLER [New]"),
    ],
)
def test_how_far_a_part_is(output: str, expected: str) -> None:
    assert run.latest(output) == expected
