# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the second after a change was acknowledged, nobody reads who may not: 2,000 requests while it is made."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from devpi import MAJOR, Devpi, basic

PAGE = "/team/public/+simple/plain/"
REQUESTS = 2000 if MAJOR == 6 else 500
CLIENTS = 4


@pytest.fixture
def team(devpi: Devpi) -> Devpi:
    """A server with two readers, a private index and a public one."""
    for user in ("alice", "bob", "team"):
        devpi.add_user(user)
    devpi.add_index("team/dev")
    devpi.add_index("team/public")
    devpi.add_index("team/above", ["team/public"])
    devpi.write_rules([{"name": "team/dev", "readers": ["alice"]}])
    return devpi


def look(
    devpi: Devpi, uri: str, login: dict[str, str] | None, change: Callable[[], None], before: int, after: int
) -> None:
    """Ask all the time while something is changed: each question that is put after the change has the new answer."""
    changed = threading.Event()
    wrong: list[tuple[bool, int]] = []
    count = threading.Semaphore(REQUESTS)

    def client() -> None:
        while count.acquire(blocking=False):
            acknowledged = changed.is_set()
            status = devpi.may(uri, login)
            if status not in ({after} if acknowledged else {before, after}):
                wrong.append((acknowledged, status))

    assert devpi.may(uri, login) == before
    clients = [threading.Thread(target=client) for _client in range(CLIENTS)]
    for thread in clients:
        thread.start()
    threading.Event().wait(0.2)
    change()
    changed.set()
    for thread in clients:
        thread.join()
    assert wrong == []
    assert devpi.may(uri, login) == after


def test_index_becomes_private(team: Devpi) -> None:
    look(team, PAGE, None, lambda: team.write_rules([{"name": "team/public"}]), 204, 401)


def test_public_index_inherits_a_private_one(team: Devpi) -> None:
    look(team, PAGE, None, lambda: team.inherit("team/public", ["team/dev"]), 204, 401)


def test_index_inherits_one_that_begins_to_inherit_a_private_one(team: Devpi) -> None:
    look(
        team,
        "/team/above/+f/a/b",
        basic("bob", "password of bob"),
        lambda: team.inherit("team/public", ["team/dev"]),
        204,
        403,
    )


def test_user_goes_away(team: Devpi) -> None:
    look(team, "/team/dev", basic("alice", "password of alice"), lambda: team.manage("DELETE", "/alice"), 204, 401)


def test_login_of_a_user_goes_away_with_her(team: Devpi) -> None:
    look(team, "/team/dev", team.cookie("alice"), lambda: team.manage("DELETE", "/alice"), 204, 401)


def test_password_changes(team: Devpi) -> None:
    change = {"password": "another"}
    look(
        team, "/team/dev", basic("alice", "password of alice"), lambda: team.manage("PATCH", "/alice", change), 204, 401
    )


def test_token_is_revoked(team: Devpi) -> None:
    token = team.token("alice")
    (number,) = team.manage("GET", "/alice/+tokens")["tokens"]
    look(team, "/team/dev", token, lambda: team.manage("DELETE", f"/alice/+tokens/{number}"), 204, 403)


def test_reader_is_one_no_longer(team: Devpi) -> None:
    rules = [{"name": "team/dev", "readers": ["bob"]}]
    look(team, "/team/dev", basic("alice", "password of alice"), lambda: team.write_rules(rules), 204, 403)
