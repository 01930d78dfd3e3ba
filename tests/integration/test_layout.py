"""devpi_layout against a live devpi-server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_layout
from live import Devpi

ALIYUN = "https://mirrors.aliyun.com/pypi/simple/"
USERS: list[dict[str, Any]] = [
    {
        "name": "alice",
        "email": "alice@example.com",
        "password": "alice-word",
        "indexes": [
            {"name": "prod", "type": "stage", "bases": ["alice/dev", "root/cu128"]},
            {"name": "dev", "type": "local", "bases": ["bob/base", "root/pypi"], "acl_upload": ["alice", "bob"]},
        ],
    },
    {"name": "bob", "password": "bob-word", "indexes": [{"name": "base", "acl_upload": ["bob"]}]},
    {
        "name": "root",
        "indexes": [
            {"name": "pypi", "mirror_url": ALIYUN},
            {"name": "cu128", "type": "remote", "remote_url": "https://download.pytorch.org/whl/cu128/"},
        ],
    },
]
AFTER_PURGE = [{"name": "alice", "indexes": [{"name": "dev", "bases": ["root/pypi"]}]}]


def indexes(*wanted: dict[str, Any], user: str = "alice") -> list[dict[str, Any]]:
    """Return a layout of one user."""
    return [{"name": user, "indexes": list(wanted)}]


def test_a_new_layout_is_what_was_told_before_there_was_a_server(devpi: Devpi) -> None:
    nowhere = {
        "url": f"http://127.0.0.1:{devpi.closed_port}",
        "login_password": None,
        "login_password_file": "/nonexistent/before/the/first/run",
    }
    assumed = devpi.run(devpi_layout, True, users=USERS, assume_new_server=True, **nowhere)
    changes = [
        "create user alice",
        "create user bob",
        "create index bob/base",
        devpi.said("update index root/pypi ({on_switch}{mirror_url})"),
        "create index alice/dev",
        "create index root/cu128",
        "create index alice/prod",
    ]
    proof = devpi.proves(changes, devpi_layout, users=USERS)
    assert proof.end["indexes"]["alice/prod"]["bases"] == ["alice/dev", "root/cu128"]
    # The switched mirror is on its way for a while: with devpi 6 in three steps, with 7 in one, after a look in two.
    assert proof.end["serial"] == proof.before["serial"] + len(changes) + 3
    assert assumed["changed"]
    in_six = [change.replace("remote_url", "mirror_ignore_serial_header, mirror_url") for change in changes]
    assert assumed["changes"] == in_six
    assert "-word" not in str(proof.results)


def test_a_running_server_is_compared_with_whatever_is_assumed(devpi: Devpi) -> None:
    assert not devpi.run(devpi_layout, True, users=USERS, assume_new_server=True)["changed"]


@pytest.mark.parametrize(("assume", "check"), [(True, False), (False, True)])
def test_without_a_server_the_run_fails_but_for_the_assumption_in_check_mode(
    devpi: Devpi, assume: bool, check: bool
) -> None:
    nowhere = {"url": f"http://127.0.0.1:{devpi.closed_port}", "users": USERS, "assume_new_server": assume}
    devpi.refuses("Nothing listens at", devpi_layout, check, **nowhere)


def test_a_base_that_does_not_exist_yet_and_another_password(devpi: Devpi) -> None:
    users = indexes({"name": "base", "bases": ["bob/later"]}, {"name": "later"}, user="bob")
    users[0]["password"] = "other-word"
    changes = ["update user bob (password)", "create index bob/later", "update index bob/base (bases)"]
    devpi.proves(changes, devpi_layout, users=users)


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (
            indexes({"name": "a", "bases": ["alice/b"]}, {"name": "b", "bases": ["alice/a"]}),
            "users[0].indexes[0].bases: the bases go round in a circle: alice/a -> alice/b -> alice/a.",
        ),
        (
            indexes({"name": "later", "bases": ["bob/base"]}, user="bob"),
            "The bases go round in a circle: bob/later -> bob/base -> bob/later.",
        ),
        (
            indexes({"name": "a", "bases": ["bob/nope"]}),
            "users[0].indexes[0].bases: index 'bob/nope' is neither declared nor on the server",
        ),
        (
            indexes({"name": "a", "bases": ["base"]}),
            "users[0].indexes[0].bases: 'base' is no index; write it with its user, such as root/pypi.",
        ),
        (
            indexes({"name": "alice/a"}),
            "users[0].indexes[0].name: 'alice/a' is not an index without its user, such as dev",
        ),
        ([{"name": "alice"}, {"name": "eve", "password": ""}], "users[1].password: it is empty or no text"),
        ([{"name": "eve"}], "User 'eve' does not exist yet: a new user needs a password; write one."),
        (
            indexes({"name": "m", "type": "mirror", "mirror_url": "x:hidden-word@y"}),
            "users[0].indexes[0].mirror_url: '********@y' is no URL",
        ),
        (
            indexes({"name": "dev", "mirror_url": ALIYUN}),
            "users[0].indexes[0].mirror_url: only a mirror has mirror_url",
        ),
        ([{"name": "alice"}, {"name": "alice"}], "users[1].name: user 'alice' is declared twice"),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, users: list[dict[str, Any]], message: str) -> None:
    with devpi.unchanged():
        devpi.refuses(message, devpi_layout, users=users)


def test_a_run_that_fails_in_the_middle_tells_what_was_done_and_goes_on_later(devpi: Devpi) -> None:
    first, third = {"name": "first"}, {"name": "third", "bases": ["alice/second"]}
    broken = {"name": "second", "settings": {"made_up": 1}, "bases": ["alice/first"]}
    message = "Could not create index alice/second"
    stopped = devpi.refuses(message, devpi_layout, users=indexes(first, broken, third))
    assert stopped["changed"]
    assert stopped["changes"] == ["create index alice/first"]
    assert stopped["pending"] == ["create index alice/second", "create index alice/third"]
    assert stopped["msg"].startswith(message)
    assert "does not know the setting made_up" in stopped["msg"]
    assert "Done before that: create index alice/first." in stopped["msg"]
    assert "Not done: create index alice/second; create index alice/third." in stopped["msg"]

    mended = indexes(first, {"name": "second", "bases": ["alice/first"]}, third)
    devpi.proves(["create index alice/second", "create index alice/third"], devpi_layout, users=mended)


def test_purge_takes_uploads_only_when_it_must(devpi: Devpi) -> None:
    devpi.upload("bob/later", "bob", "other-word")
    message = "Index 'bob/later' holds uploads (a-release), which would be lost"
    refused = devpi.refuses(message, devpi_layout, users=AFTER_PURGE, purge=True)
    assert "write purge_uploads" in refused["msg"]

    changes = [
        "update index alice/dev (bases)",
        "delete index alice/third",
        "delete index alice/second",
        "delete index alice/prod",
        "delete index bob/base",
        "delete index bob/later",
        "delete index alice/first",
        "delete user bob",
    ]
    proof = devpi.proves(changes, devpi_layout, users=AFTER_PURGE, purge=True, purge_uploads=True)
    # What is declared stays, and all of root.
    assert sorted(proof.end["users"]) == ["alice", "root"]
    assert sorted(proof.end["indexes"]) == ["alice/dev", "root/cu128", "root/pypi"]
    diff = proof.applied["diff"][3]
    assert (diff["before_header"], diff["before"]["bases"]) == ("index alice/prod", ["alice/dev", "root/cu128"])
    assert diff["after"] == ""
