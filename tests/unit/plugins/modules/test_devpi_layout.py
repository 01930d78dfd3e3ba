# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_layout: order, purge, failure in the middle, and a server that is yet to be installed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_layout
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run

URL = "https://mirrors.aliyun.com/pypi/simple/"
USERS: list[dict[str, Any]] = [
    {
        "name": "alice",
        "password": "alice-password",
        "email": "a@example.com",
        "indexes": [{"name": "prod", "bases": ["alice/dev", "root/pypi"]}, {"name": "dev", "bases": ["bob/dev"]}],
    },
    {"name": "bob", "password": "bob-password", "indexes": [{"name": "dev", "acl_upload": ["alice"]}]},
    {"name": "root", "indexes": [{"name": "pypi", "type": "mirror", "mirror_url": URL}]},
]
CHANGES = [
    "create user alice",
    "create user bob",
    "create index bob/dev",
    "create index alice/dev",
    "create index root/pypi",
    "create index alice/prod",
]


def test_order_follows_from_the_bases(devpi: FakeDevpi, run: Run) -> None:
    check = run(devpi_layout, check_mode=True, users=USERS)
    assert check["changes"] == CHANGES
    assert devpi.written == []
    result = run(devpi_layout, users=USERS)
    assert result["changes"] == CHANGES
    assert result["diff"] == check["diff"]
    assert [path for _method, path in devpi.written] == [
        "/alice", "/bob", "/bob/dev", "/alice/dev", "/root/pypi", "/alice/prod",
    ]  # fmt: skip
    assert "-password" not in str(result)


def test_one_login_and_one_request_decide(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    devpi.seen.clear()
    assert not run(devpi_layout, users=USERS, update_password="on_create")["changed"]
    assert devpi.seen == [("POST", "/+login"), ("GET", "/")]


def test_passwords(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    devpi.passwords["bob"] = "another"
    assert not run(devpi_layout, users=USERS, update_password="on_create")["changed"]
    assert run(devpi_layout, users=USERS)["changes"] == ["update user bob (password)"]
    assert not run(devpi_layout, users=USERS)["changed"]


def test_all_mistakes_before_the_first_write(devpi: FakeDevpi, run: Run) -> None:
    users = [
        {"name": "alice", "password": "", "indexes": [{"name": "a", "bases": ["alice/b"]}]},
        {"name": "bob", "indexes": [{"name": "m", "type": "mirror"}]},
    ]
    result = run(devpi_layout, users=users)
    assert [line.split(":")[0] for line in result["msg"].splitlines()] == [
        "users[0].password",
        "users[1].indexes[0].mirror_url",
        "users[0].indexes[0].bases",
    ]
    assert devpi.written == []


def test_failure_in_the_middle_and_going_on(devpi: FakeDevpi, run: Run) -> None:
    def fail(handler: Handler) -> None:
        handler.reply(500, json.dumps({"message": "disk full"}))

    devpi.mischief = [None, None, None, None, None, fail]
    result = run(devpi_layout, users=USERS)
    assert result["failed"]
    assert result["changed"]
    assert (result["changes"], result["pending"]) == (CHANGES[:3], CHANGES[3:])
    lines = result["msg"].splitlines()
    assert lines[0].startswith("Could not create index alice/dev: PUT")
    assert lines[0].endswith("disk full")
    assert lines[1] == f"Done before that: {'; '.join(CHANGES[:3])}."
    assert lines[2] == f"Not done: {'; '.join(CHANGES[3:])}."
    assert run(devpi_layout, users=USERS)["changes"] == CHANGES[3:]


def test_a_login_that_expires_in_the_middle(devpi: FakeDevpi, run: Run) -> None:
    def expire(handler: Handler) -> None:
        handler.fake.expire_logins()
        handler.reply(403, '{"message": "no permission"}')

    devpi.mischief = [None, None, None, expire]
    result = run(devpi_layout, users=USERS)
    assert result["changes"] == CHANGES
    assert devpi.seen.count(("POST", "/+login")) == 2


def test_purge(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    devpi.users["root"]["indexes"]["cu128"] = {"type": "mirror", "volatile": True, "mirror_url": URL}
    wanted = [{"name": "alice", "indexes": [{"name": "prod", "bases": []}]}]
    assert run(devpi_layout, users=wanted)["changes"] == ["update index alice/prod (bases)"]
    gone = ["delete index alice/dev", "delete index bob/dev", "delete user bob"]
    check = run(devpi_layout, check_mode=True, users=wanted, purge=True)
    assert check["changes"] == gone
    assert [entry["after"] for entry in check["diff"]] == ["", "", ""]
    assert run(devpi_layout, users=wanted, purge=True)["changes"] == gone
    assert not run(devpi_layout, users=wanted, purge=True)["changed"]
    assert {name: list(user["indexes"]) for name, user in devpi.users.items()} == {
        "root": ["pypi", "cu128"],
        "alice": ["prod"],
    }
    wanted.append({"name": "root", "indexes": [{"name": "pypi"}]})
    assert run(devpi_layout, users=wanted, purge=True)["changes"] == ["delete index root/cu128"]


def test_purge_leaves_indexes_alone_that_are_not_managed(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    assert not run(devpi_layout, users=[{"name": "alice"}, {"name": "bob"}], purge=True)["changed"]


def test_purge_of_uploads_needs_a_second_option(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    devpi.uploads["alice/prod"] = ["a", "b", "c", "d", "e", "f"]
    wanted = [{"name": "alice", "indexes": [{"name": "dev"}]}, {"name": "bob"}]
    devpi.seen.clear()
    result = run(devpi_layout, users=wanted, purge=True)
    assert result["msg"] == (
        "Index 'alice/prod' holds uploads (a, b, c, d, e, …), which would be lost: "
        "write purge_uploads: true to delete it with them."
    )
    assert devpi.written == []
    result = run(devpi_layout, users=wanted, purge=True, purge_uploads=True)
    assert result["changes"] == ["delete index alice/prod"]


def test_purge_of_a_base_that_an_index_keeps_is_refused(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    result = run(devpi_layout, users=[{"name": "alice"}], purge=True)
    assert result["msg"].startswith("Index 'bob/dev' cannot be deleted: it is a base of 'alice/dev', which stays.")


def test_new_server_is_assumed_in_check_mode_only(run: Run, free_port: int) -> None:
    options: dict[str, Any] = {
        "users": USERS,
        "url": f"http://127.0.0.1:{free_port}",
        "login_password": None,
        "login_password_file": "/nonexistent/yet",
    }
    assumed = run(devpi_layout, check_mode=True, assume_new_server=True, **options)
    assert sorted(assumed["changes"]) == sorted(
        [*CHANGES[:4], CHANGES[5], "update index root/pypi (mirror_ignore_serial_header, mirror_url)"]
    )
    pypi = next(entry for entry in assumed["diff"] if entry["before_header"] == "index root/pypi")
    assert pypi["before"]["mirror_url"] == "(set by devpi-init)"
    assert pypi["after"]["mirror_url"] == URL
    options["login_password_file"] = None
    options["login_password"] = "rootpw"
    for check_mode, assume in ((False, True), (True, False)):
        result = run(devpi_layout, check_mode=check_mode, assume_new_server=assume, **options)
        assert "Nothing listens at" in result["msg"]


def test_a_running_server_is_never_assumed_to_be_new(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_layout, users=USERS)
    assert not run(devpi_layout, check_mode=True, users=USERS, assume_new_server=True)["changed"]
    devpi.mischief = [lambda handler: handler.reply(502, "<html>", "text/html")]
    assert "answered 502" in run(devpi_layout, check_mode=True, users=USERS, assume_new_server=True)["msg"]


@pytest.mark.parametrize("wrong", [{"name": "x", "volatile": "maybe"}, {"bases": []}, {"name": "x", "typo": 1}])
def test_spec_of_an_index(devpi: FakeDevpi, run: Run, wrong: dict[str, Any]) -> None:
    assert run(devpi_layout, users=[{"name": "alice", "indexes": [wrong]}])["failed"]
    assert devpi.seen == []
