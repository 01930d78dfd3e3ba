# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read, write and see data: the answers to nginx, by a real devpi with its plugins."""

from __future__ import annotations

import base64
import importlib
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from devpi import MAJOR, ROOT, ROOT_PASSWORD, Devpi, basic
from devpi_wheelhouse import identity
from devpi_wheelhouse.bounded import Guesses
from pluggy import HookimplMarker
from test_paths import ODD

PRIVATE = ["/team/dev/+simple/hidden/", "/team/inherited/+simple/hidden/", "/team/between", "/team/dev/+f/a/b/c.whl"]
PRIVATE += ["/team/inherited/+f/a/b/c.whl.metadata", "/team/dev/hidden/1.0/+doc/index.html", "/team%2Fd%65v/hidden"]
PUBLIC = ["/team/public/+simple/plain/", "/team/mirror/+simple/far/", "/team/nothing/+simple/", "/+api", "/team/+api"]
PUBLIC += ["/+login", "/+searchhelp", "/+static-5.1.1/style.css", "/team/nothing"]
LISTS = ["/", "/team", "/team/", "/closed", "/alice"]
WRONG = basic("alice", "wrong")


def right(user: str) -> dict[str, str]:
    """Return the login of a user."""
    return basic(user, f"password of {user}")


def logins(devpi: Devpi) -> dict[str, dict[str, str] | None]:
    """Return each kind of login."""
    ten_hours = devpi.log_in("alice")
    return {
        "nobody": None,
        "alice": right("alice"),
        "by ten hours": basic("alice", ten_hours),
        "by X-Devpi-Auth": {"X-Devpi-Auth": basic("alice", ten_hours)["Authorization"].partition(" ")[2]},
        "by cookie": devpi.cookie("alice"),
        "bob": right("bob"),
        "owner": right("team"),
        "root": ROOT,
        "wrong": WRONG,
        "unknown": basic("eve", "password"),
        "odd": {"Authorization": "Negotiate abc"},
    }


@pytest.mark.parametrize("uri", PRIVATE)
def test_private_index(shared: Devpi, uri: str) -> None:
    wanted = {"nobody": 401, "bob": 403, "wrong": 401, "unknown": 401, "odd": 401}
    given = logins(shared)
    assert {name: shared.may(uri, login) for name, login in given.items()} == dict.fromkeys(given, 204) | wanted
    # Twice, and in the other order: what one was told is for nobody else.
    for name in reversed(given):
        assert shared.may(uri, given[name]) == wanted.get(name, 204)


@pytest.mark.parametrize("uri", PUBLIC)
def test_public_paths_are_for_everybody(shared: Devpi, uri: str) -> None:
    assert {shared.may(uri, login) for login in logins(shared).values()} == {204}


@pytest.mark.parametrize("uri", LISTS)
def test_lists_are_for_whoever_is_logged_in(shared: Devpi, uri: str) -> None:
    for name, login in logins(shared).items():
        assert shared.may(uri, login) == (401 if name in {"nobody", "wrong", "unknown", "odd"} else 204)


def test_search_is_for_those_who_read_all(shared: Devpi) -> None:
    uri = "/+search?query=hidden"
    assert [shared.may(uri, login) for login in (None, WRONG, right("bob"), right("alice"), ROOT)] == [
        401,
        401,
        403,
        204,
        204,
    ]
    # Its user is a reader of her own index alone.
    assert shared.may(uri, right("team")) == 204
    assert shared.may("/%2Bsearch/?query=hidden", right("bob")) == 403


@pytest.mark.parametrize(
    ("uri", "login", "method", "status"),
    [
        ("/team/public/", None, "POST", 401),
        ("/team/public/", WRONG, "POST", 403),
        ("/team/public/", right("bob"), "POST", 204),
        ("/team/public/+f/a/b/c.whl", None, "POST", 401),
        ("/team/public/+simple/", None, "GET", 204),
        ("/team/public/+simple/", WRONG, "GET", 204),
        ("/team/public/+simple/", None, "OPTIONS", 401),
        ("/team/public/hidden/refresh", None, "POST", 401),
        ("/team/dev/", right("bob"), "POST", 403),
        ("/team/dev/", right("alice"), "POST", 204),
        ("/team/dev/", None, "GET", 401),
        ("/team/dev/", right("bob"), "GET", 403),
        ("/alice", None, "PUT", 401),
        ("/alice", right("bob"), "PATCH", 204),
    ],
)
def test_writing(shared: Devpi, uri: str, login: dict[str, str] | None, method: str, status: int) -> None:
    assert shared.may(uri, login, "write", method) == status


def test_cookie_writes_nothing(shared: Devpi) -> None:
    cookie = shared.cookie("alice")
    assert shared.may("/team/dev/", cookie, "write", "POST") == 401
    assert shared.may("/team/dev/", cookie, "read", "DELETE") == 401
    assert shared.may("/team/dev/", cookie, "write", "HEAD") == 204


@pytest.mark.parametrize("uri", ["/", "/team", "/team/mirror", "/team/public"])
def test_data_need_a_login(shared: Devpi, uri: str) -> None:
    assert [shared.may(uri, login, "login") for login in (None, WRONG, right("bob"))] == [401, 403, 204]


def test_data_of_a_private_index_are_for_its_readers(shared: Devpi) -> None:
    for uri in ("/team/dev", "/team/inherited?no_projects="):
        assert [shared.may(uri, login, "login") for login in (None, right("bob"), right("alice"))] == [401, 403, 204]


@pytest.mark.parametrize("need", ["read", "write", "login"])
@pytest.mark.parametrize("uri", [uri for uri in ODD if uri.isascii() and uri])
def test_odd_paths_are_refused_to_all(shared: Devpi, uri: str, need: str) -> None:
    assert {shared.may(uri, login, need) for login in (None, right("alice"), ROOT)} == {403}


def test_odd_paths_are_for_devpi_where_nothing_is_private(devpi: Devpi) -> None:
    assert devpi.may("//team/dev") == 204
    assert devpi.may("//team/dev", None, "write", "POST") == 401
    assert devpi.may("//team/dev", ROOT, "login") == 403


@pytest.mark.parametrize("missing", ["X-Need", "X-Method", "X-Uri"])
def test_question_is_whole(shared: Devpi, missing: str) -> None:
    headers = {"X-Need": "read", "X-Method": "GET", "X-Uri": "/", "X-Real-IP": "192.0.2.1"}
    del headers[missing]
    assert shared.ask("/+wheelhouse/auth", headers).status_code == 400
    assert (
        shared.ask("/+wheelhouse/auth", headers | {"X-Need": "all", "X-Method": "GET", "X-Uri": "/"}).status_code == 400
    )


def test_headers_of_an_answer(shared: Devpi) -> None:
    serial = str(shared.xom.keyfs.get_current_serial())
    for login in (None, right("bob"), right("alice")):
        answer = shared.answer("/team/dev", login)
        assert (answer.headers["Cache-Control"], answer.headers["X-Devpi-Serial"]) == ("no-store", serial)
        assert ("basic" in answer.headers.get("WWW-Authenticate", "").lower()) == (answer.status_code == 401)
        assert answer.body == b""


def test_most_exact_rule_decides(devpi: Devpi) -> None:
    for user in ("alice", "bob", "team"):
        devpi.add_user(user)
    for index in ("team/dev", "team/open", "alice/own"):
        devpi.add_index(index)
    devpi.write_rules([{"name": "*"}, {"name": "team", "readers": ["bob"]}, {"name": "team/dev", "readers": ["alice"]}])
    got = {
        name: [devpi.may(f"/{index}", right(name)) for index in ("team/dev", "team/open", "alice/own")]
        for name in ("alice", "bob")
    }
    assert got == {"alice": [204, 403, 204], "bob": [403, 204, 204]}
    assert devpi.may("/no/such/+simple/") == 401
    assert devpi.may("/team/nothing/+simple/", right("alice")) == 403


def test_groups_read(shared: Devpi) -> None:
    class Groups:
        """A directory, as devpi-ldap asks one."""

        @HookimplMarker("devpiserver")
        def devpiserver_auth_request(self, request: Any, userdict: Any, username: str, password: str) -> Any:
            if username not in {"guest", "newcomer"}:
                return None
            return {"status": "ok", "groups": ["guests"]} if password == "of the directory" else {"status": "reject"}

    plugin = Groups()
    shared.config.pluginmanager.register(plugin)
    try:
        for user in ("guest", "newcomer"):
            assert shared.may(PRIVATE[0], basic(user, "of the directory")) == 204
            assert shared.may(PRIVATE[0], basic(user, f"password of {user}")) == 401
    finally:
        shared.config.pluginmanager.unregister(plugin)
    assert shared.may(PRIVATE[0], right("guest")) == 403


def test_without_its_rules_nobody_is_let_in(devpi: Devpi, tmp_path: Path) -> None:
    devpi.add_index("root/open")
    assert devpi.may("/root/open") == 204
    devpi.rules.write_text("{")
    assert devpi.may("/root/open", ROOT) == 503
    devpi.rules.write_text("[{}]")
    assert devpi.may("/root/open", ROOT) == 503
    devpi.rules.unlink()
    assert devpi.may("/root/open", ROOT) == 503
    devpi.write_rules([])
    assert devpi.may("/root/open") == 204


def test_bases_are_those_of_the_configuration(devpi: Devpi) -> None:
    """Data of an index that look like what it inherits say nothing."""
    devpi.add_user("team")
    devpi.add_index("team/dev")
    devpi.add_index("team/hides", ["team/dev"])
    devpi.manage(
        "PATCH", "/team/hides", {**devpi.manage("GET", "/team/hides?no_projects="), "custom_data": {"bases": []}}
    )
    devpi.add_index("team/shows", [])
    devpi.manage(
        "PATCH",
        "/team/shows",
        {**devpi.manage("GET", "/team/shows?no_projects="), "custom_data": {"bases": ["team/dev"]}},
    )
    devpi.write_rules([{"name": "team/dev"}])
    assert [devpi.may(f"/{index}/+simple/x/") for index in ("team/hides", "team/shows")] == [401, 204]


def test_indexes_that_inherit_each_other(devpi: Devpi) -> None:
    devpi.add_user("team")
    devpi.add_index("team/a")
    devpi.add_index("team/b", ["team/a"])
    devpi.add_index("team/dev")
    devpi.inherit("team/a", ["team/b", "team/dev"])
    devpi.write_rules([{"name": "team/dev"}])
    assert [devpi.may(f"/team/{name}") for name in "ab"] == [401, 401]


def test_index_that_inherits_what_is_gone(devpi: Devpi) -> None:
    devpi.add_user("team")
    devpi.add_index("team/dev")
    devpi.add_index("team/later", ["team/dev"])
    devpi.write_rules([{"name": "team/dev"}])
    devpi.manage("DELETE", "/team/dev")
    assert devpi.may("/team/later/+simple/") == 401


class TestTokens:
    """A token holds what it is limited to, on every route."""

    READS = (
        "/team/dev/+simple/hidden/",
        "/team/inherited/hidden",
        "/",
        "/team",
        "/+search?query=hidden",
        "/team/public/+simple/",
    )

    def reads(self, devpi: Devpi, need: str = "read", **restrictions: Any) -> list[int]:
        """Return what a token of alice reads."""
        token = devpi.token("alice", **restrictions)
        return [devpi.may(uri, token, need) for uri in self.READS]

    def test_wide(self, shared: Devpi) -> None:
        assert self.reads(shared) == [204] * 6
        assert self.reads(shared, "login") == [204] * 6

    def test_for_uploads(self, shared: Devpi) -> None:
        assert self.reads(shared, allowed=["upload"]) == [403, 403, 403, 403, 403, 204]
        assert self.reads(shared, "login", allowed=["upload"]) == [403] * 6
        token = shared.token("alice", allowed=["upload"])
        assert shared.may("/team/dev/", token, "write", "POST") == 204

    def test_for_another_index(self, shared: Devpi) -> None:
        assert self.reads(shared, indexes=["team/public"]) == [403, 403, 403, 403, 403, 204]
        token = shared.token("alice", indexes=["team/public"])
        assert shared.may("/team/dev/", token, "write", "POST") == 403
        assert [shared.may(f"/team/{name}", token, "login") for name in ("public", "mirror", "nothing")] == [
            204,
            403,
            403,
        ]

    def test_for_the_private_index(self, shared: Devpi) -> None:
        assert self.reads(shared, indexes=["team/dev"])[:5] == [204, 204, 403, 403, 403]

    def test_for_all_private_indexes(self, shared: Devpi) -> None:
        token = shared.token("alice", indexes=["team/dev", "closed/any"])
        assert shared.may("/+search?query=hidden", token) == 204

    def test_for_uploads_where_there_is_no_index(self, shared: Devpi) -> None:
        token = shared.token("alice", allowed=["upload"])
        assert [shared.may("/alice", login, "login") for login in (token, shared.token("alice"))] == [403, 204]

    def test_expired(self, shared: Devpi) -> None:
        assert self.reads(shared, not_before=4102444800)[:5] == [403] * 5

    def test_of_another_user(self, shared: Devpi) -> None:
        secret = shared.token("bob")
        assert shared.may(PRIVATE[0], secret) == 403
        stolen = basic("alice", base64.b64decode(secret["Authorization"][6:]).decode().partition(":")[2])
        assert shared.may(PRIVATE[0], stolen) == 403


class TestGuesses:
    """Those who guess passwords are told to wait, and nobody else."""

    @pytest.fixture(autouse=True)
    def stop_clock(self, shared: Devpi, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give nobody a guess back, however long the tests take."""
        monkeypatch.setattr(shared.app.app.registry["devpi_wheelhouse_judge"], "guesses", Guesses(lambda: 0.0))

    @staticmethod
    def guess(devpi: Devpi, address: str, number: int, need: str = "read") -> int:
        login = basic("alice", f"guess {number}")
        return int(devpi.answer(PRIVATE[0], login, need, "GET", address, "1").status_code)

    def test_guesses_end(self, shared: Devpi) -> None:
        got = [self.guess(shared, "198.51.100.1", number) for number in range(30)]
        assert got[:20] == [401] * 20
        assert set(got[20:]) == {429}
        # Another address, and one that logs in rightly with what it used lately.
        assert self.guess(shared, "198.51.100.2", 0) == 401
        assert shared.may(PRIVATE[0], right("alice")) == 204
        assert shared.answer(PRIVATE[0], right("alice"), address="198.51.100.1", rate="1").status_code == 204
        # Also where anybody may read, because devpi would compare the password.
        assert shared.answer("/team/public/+simple/", WRONG, "write", "GET", "198.51.100.1", "1").status_code == 429
        assert shared.answer("/team/public/+simple/", None, "write", "GET", "198.51.100.1", "1").status_code == 204

    def test_ipv6_counts_by_network(self, shared: Devpi) -> None:
        got = [self.guess(shared, f"2001:db8:0:1::{number:x}", number) for number in range(30)]
        assert set(got[20:]) == {429}
        assert self.guess(shared, "2001:db8:0:2::1", 0) == 401

    def test_right_logins_are_no_guesses(self, shared: Devpi) -> None:
        login = shared.token("alice")
        assert {
            shared.answer(PRIVATE[0], login, address="198.51.100.3", rate="0.1").status_code for _time in range(50)
        } == {204}


def test_passwords_are_compared_once(shared: Devpi, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    users = importlib.import_module("devpi_server.model" if MAJOR == 6 else "devpi_server.model.user")
    compare = users.verify_and_update_password_hash

    def count(password: str, *more: Any) -> Any:
        compared.append(password)
        return compare(password, *more)

    monkeypatch.setattr(users, "verify_and_update_password_hash", count)
    carol, wrong = shared.add_user("carol"), basic("carol", "wrong")
    assert [shared.may("/", login) for login in (carol, wrong, carol, wrong)] == [204, 401, 204, 401]
    shared.manage("PATCH", "/carol", {"password": "another"})
    assert [shared.may("/", login) for login in (carol, basic("carol", "another"), carol)] == [401, 204, 401]
    shared.manage("DELETE", "/carol")
    assert shared.may("/", basic("carol", "another")) == 401
    assert sorted(set(compared) - {ROOT_PASSWORD}) == ["another", "password of carol", "wrong"]
    assert len([password for password in compared if password != ROOT_PASSWORD]) == 4


def test_many_guesses_leave_devpi_to_others(shared: Devpi, monkeypatch: pytest.MonkeyPatch) -> None:
    users = importlib.import_module("devpi_server.model" if MAJOR == 6 else "devpi_server.model.user")
    compared, go_on = [], threading.Event()

    def wait(password: str, *_more: Any) -> Any:
        compared.append(password)
        assert go_on.wait(60)
        return False, None

    token, ten_hours, alice = shared.token("alice"), shared.cookie("alice"), right("alice")
    assert shared.may("/", alice) == 204
    monkeypatch.setattr(users, "verify_and_update_password_hash", wait)
    most = identity.HASHED_AT_ONCE + identity.WAIT_AT_ONCE
    with ThreadPoolExecutor(most + 11) as pool:
        guesses = [pool.submit(shared.may, "/", basic("alice", f"many {number}")) for number in range(most + 10)]
        # However it ends, those who wait are let go.
        pool.submit(go_on.wait, 20).add_done_callback(lambda _waited: go_on.set())
        early = [guess.result() for guess in islice(as_completed(guesses, 60), 10)]
        assert early == [429] * 10
        assert len(compared) == identity.HASHED_AT_ONCE
        # Those who need no hash do not wait.
        assert [shared.may("/", login) for login in (token, ten_hours, alice)] == [204] * 3
        go_on.set()
    assert sorted(guess.result() for guess in guesses) == [401] * most + [429] * 10


@pytest.mark.parametrize("user", ["", "a/b", "a b", "+x", "\u00e9", "a\u0000b", "x" * 5000, "..", "*"])
def test_odd_users(shared: Devpi, user: str) -> None:
    assert shared.may(PRIVATE[0], basic(user, "password")) == 401
