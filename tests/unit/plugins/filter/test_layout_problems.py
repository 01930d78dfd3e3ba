# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the preflight."""

from __future__ import annotations

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
