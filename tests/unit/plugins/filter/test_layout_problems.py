# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the preflight."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.filter.layout_problems import FilterModule

layout_problems = FilterModule().filters()["layout_problems"]

USERS = [{"name": "alice", "indexes": [{"name": "dev", "bases": ["root/pypi"]}]}]


def test_names_the_variable() -> None:
    assert layout_problems(USERS) == [
        "devpi_layout_users[0].indexes[0].bases: index 'root/pypi' is neither declared nor on the server; declare it, "
        "or correct the name."
    ]
    assert layout_problems(USERS, variable="mine")[0].startswith("mine[0]")


def test_existing_indexes_as_names_or_with_types() -> None:
    assert layout_problems(USERS, ["root/pypi"]) == []
    assert layout_problems(USERS, {"root/pypi": "mirror"}) == []
    root = [{"name": "root", "indexes": [{"name": "pypi", "bases": []}]}]
    assert layout_problems(root, ["root/pypi"]) == []
    assert "only a stage" in layout_problems(root, {"root/pypi": "mirror"})[0]


def test_passwords_are_not_shown() -> None:
    users = [{"name": "a b", "password": "hidden", "indexes": [{"name": "x", "bases": ["nope"]}]}]
    assert "hidden" not in "".join(layout_problems(users))


def users(*indexes: dict[str, Any], **user: Any) -> list[dict[str, Any]]:
    """Return a layout with one user, who has these indexes."""
    return [{"name": "team", "password": "s3cret-of-team", **user, "indexes": list(indexes)}]


CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "mirror URL without scheme": (
        users({"name": "near", "type": "mirror", "mirror_url": "mirrors.aliyun.com/pypi/simple/"}),
        ["devpi_layout_users[0].indexes[0].mirror_url", "'mirrors.aliyun.com/pypi/simple/'", "https://"],
    ),
    "mirror URL with a login and a slip": (
        users({"name": "near", "type": "mirror", "mirror_url": "htps://me@corp:s3cret-of-team@host.test/simple/"}),
        ["devpi_layout_users[0].indexes[0].mirror_url", "'htps://********@host.test/simple/'", "https://"],
    ),
    "unknown index type": (
        users({"name": "dev", "type": "cache"}),
        ["devpi_layout_users[0].indexes[0].type", "'cache'", "mirror", "stage"],
    ),
    "base that is nowhere": (
        users({"name": "dev", "type": "stage", "bases": ["team/missing"]}),
        ["devpi_layout_users[0].indexes[0].bases", "'team/missing'", "declare"],
    ),
    "base without its user": (
        users({"name": "dev", "type": "stage", "bases": ["pypi"]}),
        ["devpi_layout_users[0].indexes[0].bases", "'pypi'", "root/pypi"],
    ),
    "circle of bases": (
        users({"name": "a", "bases": ["team/b"]}, {"name": "b", "bases": ["team/a"]}),
        ["devpi_layout_users", "team/a", "team/b", "circle"],
    ),
    "mirror key on a stage": (
        users({"name": "dev", "type": "stage", "mirror_url": "https://mirrors.aliyun.com/pypi/simple/"}),
        ["devpi_layout_users[0].indexes[0].mirror_url", "mirror"],
    ),
    "empty password of a user": (users(password=""), ["devpi_layout_users[0].password", "empty"]),
    "user that is a number": (users(name=2024), ["devpi_layout_users[0].name: YAML reads 2024 there", "in quotes"]),
    "user that is a boolean": (users(name=False), ["devpi_layout_users[0].name: YAML reads False there", "in quotes"]),
    "index that is a number": (users({"name": 1.0}), ["devpi_layout_users[0].indexes[0].name: YAML reads 1.0 there"]),
    "user with a blank": (
        users(name="my team"),
        ["devpi_layout_users[0].name: 'my team' is not a user name", "digits"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mistake_is_said_in_a_sentence(name: str) -> None:
    layout, parts = CASES[name]
    (sentence,) = layout_problems(layout, {"root/pypi": "mirror"})
    for part in parts:
        assert part in sentence
    assert "s3cret-of-team" not in sentence


def test_names_that_devpi_takes() -> None:
    for name in ("ünï.code", "Team", "a@b.test", "x-1_2", "..."):
        assert layout_problems(users({"name": name}, name=name)) == []
