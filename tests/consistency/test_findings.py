"""Each finding of docs/security.md has tests, which are there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from parts import choose, parts, touched
from repository import CHECKOUT

FINDINGS = json.loads((CHECKOUT / "molecule/shared/security/findings.json").read_text())


def test_all_of_them_are_in_the_table() -> None:
    assert sorted({row["number"] for row in FINDINGS}) == list(range(1, 22))


@pytest.mark.parametrize("row", FINDINGS, ids=lambda row: row["finding"][:40])
def test_its_tests_are_there_and_a_part_runs_them(row: dict[str, Any]) -> None:
    for file, what in row["tests"]:
        assert what in (CHECKOUT / file).read_text(), f"{file} has no {what!r}"
        ran = {part.name for part in choose(parts(), touched([file]))}
        assert [name for name in ran if name.startswith(("molecule", "unit", "plugin", "bad-input", "lint-lua"))], file


def test_every_attack_of_the_tables_is_named_by_the_program_that_tries_it() -> None:
    attacks = json.loads((CHECKOUT / "molecule/shared/security/attacks.json").read_text())
    program = (CHECKOUT / "molecule/shared/security/attacks.py").read_text()
    assert [row["attack"] for row in attacks if row["attack"] not in program] == []
