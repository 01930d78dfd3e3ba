"""devpi_user against a live devpi-server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_user
from live import Devpi


def test_a_new_user_is_there_and_no_secret_is_shown(devpi: Devpi) -> None:
    options = {"name": "alice", "email": "alice@example.com", "title": "", "password": "first-word"}
    proof = devpi.proves(["create user alice"], devpi_user, **options)
    assert proof.end["users"]["alice"]["email"] == "alice@example.com"
    assert proof.applied["diff"][0]["before"] == ""
    assert proof.applied["diff"][0]["after"] == {"email": "alice@example.com", "password": "(new)"}
    assert "first-word" not in str(proof.results)


def test_other_settings_leave_the_rest(devpi: Devpi) -> None:
    options = {"title": "Builds", "description": "D", "custom_data": {"team": 3}, "password": "first-word"}
    changes = ["update user alice (custom_data, description, title)"]
    proof = devpi.proves(changes, devpi_user, name="alice", **options)
    assert proof.end["users"]["alice"]["email"] == "alice@example.com"
    assert proof.end["users"]["alice"]["custom_data"]["team"] == 3
    assert proof.applied["diff"][0]["before"] == {}
    assert proof.applied["diff"][0]["after"]["title"] == "Builds"


def test_empty_text_removes_a_setting(devpi: Devpi) -> None:
    proof = devpi.proves(["update user alice (title)"], devpi_user, name="alice", title="")
    assert "title" not in proof.end["users"]["alice"]


def test_another_password_works_and_is_not_shown(devpi: Devpi) -> None:
    proof = devpi.proves(["update user alice (password)"], devpi_user, name="alice", password="second-word")
    devpi.info(login_user="alice", login_password="second-word")
    assert "-word" not in str(proof.results)
    kept = devpi.run(devpi_user, name="alice", password="third-word", update_password="on_create")
    assert not kept["changed"]


@pytest.fixture(scope="module", name="indexes")
def _indexes(devpi: Devpi) -> None:
    """Give alice an index that is a base of another and holds a release, and one that is not volatile."""
    devpi.run(devpi_index, name="alice/dev", acl_upload=["alice"])
    devpi.run(devpi_index, name="alice/prod", bases=["alice/dev"], volatile=False)
    devpi.upload("alice/dev", "alice", "second-word")


@pytest.mark.usefixtures("indexes")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "bob"}, "User 'bob' does not exist yet: a new user needs a password; write one."),
        ({"name": "bob", "password": ""}, "password: it is empty or no text; write one that is not, or leave it out."),
        (
            {"name": "bob+1", "password": "x"},
            "name: 'bob+1' is not a user name; write letters, digits and - . @ _ only.",
        ),
        (
            {"name": "root", "state": "absent", "force": True},
            "name: root cannot be deleted; devpi-server needs this user.",
        ),
        (
            {"name": "alice", "state": "absent"},
            "User 'alice' still has indexes (dev, prod): write force: true to delete them too",
        ),
        (
            {"name": "carol", "password": "x", "login_user": "alice", "login_password": "second-word"},
            "User 'alice' may not do this (PUT {url}/carol).",
        ),
        (
            {"name": "alice", "title": "Mine", "login_user": "alice", "login_password": "second-word"},
            "User 'alice' may not do this (PATCH {url}/alice).",
        ),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, options: dict[str, Any], message: str) -> None:
    with devpi.unchanged():
        devpi.refuses(message, devpi_user, **options)


@pytest.mark.usefixtures("indexes")
def test_a_user_with_indexes_goes_when_it_must(devpi: Devpi) -> None:
    changes = ["delete index alice/prod", "delete index alice/dev", "delete user alice"]
    proof = devpi.proves(changes, devpi_user, name="alice", state="absent", force=True)
    assert list(proof.end["users"]) == ["root"]
    assert list(proof.end["indexes"]) == ["root/pypi"]


def test_a_user_without_indexes_goes(devpi: Devpi) -> None:
    devpi.run(devpi_user, name="dave", password="x")
    devpi.proves(["delete user dave"], devpi_user, name="dave", state="absent")


def test_another_password_of_root_by_the_one_that_still_holds(devpi: Devpi) -> None:
    changed = devpi.run(devpi_user, name="root", password="next-root-word")
    assert changed["changes"] == ["update user root (password)"]
    again = devpi.run(devpi_user, name="root", password="next-root-word", login_password="next-root-word")
    assert not again["changed"]
    assert again["serial"] == changed["serial"]
