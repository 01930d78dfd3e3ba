# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_user: what it sends, and what it tells."""

from __future__ import annotations

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_user
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run


def test_create(devpi: FakeDevpi, run: Run) -> None:
    options = {"name": "alice", "email": "a@example.com", "title": "", "password": "first-password"}
    for check_mode in (True, False):
        result = run(devpi_user, check_mode=check_mode, **options)
        assert result["changes"] == ["create user alice"]
        assert result["diff"][0]["after"] == {"email": "a@example.com", "password": "(new)"}
        assert "first-password" not in str(result)
        assert ("alice" in devpi.users) is not check_mode
    assert devpi.passwords["alice"] == "first-password"
    assert not run(devpi_user, **options)["changed"]


def test_update_sends_only_what_differs(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"] = {"username": "alice", "indexes": {}, "email": "old", "title": "kept"}
    devpi.passwords["alice"] = "works"
    result = run(devpi_user, name="alice", email="new", password="works")
    assert result["changes"] == ["update user alice (email)"]
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ({"email": "old"}, {"email": "new"})
    assert devpi.written == [("PATCH", "/alice")]
    assert run(devpi_user, name="alice", email="")["changed"]
    assert devpi.users["alice"]["email"] == ""
    assert not run(devpi_user, name="alice", email="")["changed"]


def test_password_is_written_only_when_the_login_fails(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"] = {"username": "alice", "indexes": {}}
    devpi.passwords["alice"] = "old"
    assert not run(devpi_user, name="alice", password="next-one", update_password="on_create")["changed"]
    for check_mode in (True, False):
        result = run(devpi_user, check_mode=check_mode, name="alice", password="next-one")
        assert result["changes"] == ["update user alice (password)"]
        assert "next-one" not in str(result)
    assert devpi.passwords["alice"] == "next-one"
    assert not run(devpi_user, name="alice", password="next-one")["changed"]


def test_the_password_of_root_too(devpi: FakeDevpi, run: Run) -> None:
    assert run(devpi_user, name="root", password="next-one")["changes"] == ["update user root (password)"]
    assert devpi.passwords["root"] == "next-one"
    assert "refuses the password of user 'root'" in run(devpi_user, name="root", password="next-one")["msg"]
    assert not run(devpi_user, name="root", password="next-one", login_password="next-one")["changed"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "bob"}, "User 'bob' does not exist yet: a new user needs a password; write one."),
        ({"name": "b/b", "password": "x"}, "name: 'b/b' is not a user name; write letters, digits and - . @ _ only."),
        ({"name": "bob", "password": ""}, "password: it is empty or no text; write one that is not, or leave it out."),
        ({"name": "root", "state": "absent"}, "name: root cannot be deleted; devpi-server needs this user."),
        (
            {"name": "root", "state": "absent", "force": True},
            "name: root cannot be deleted; devpi-server needs this user.",
        ),
        (
            {"name": "alice", "state": "absent"},
            "User 'alice' still has indexes (dev): write force: true to delete them too, with all that they hold.",
        ),
    ],
)
def test_refused_before_anything_is_written(
    devpi: FakeDevpi, run: Run, options: dict[str, object], expected: str
) -> None:
    devpi.users["alice"] = {"username": "alice", "indexes": {"dev": {"type": "stage", "volatile": True}}}
    for check_mode in (True, False):
        assert expected in run(devpi_user, check_mode=check_mode, **options)["msg"]
    assert devpi.written == []


def test_absent(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"] = {"username": "alice", "indexes": {}, "email": "a@example.com"}
    check = run(devpi_user, check_mode=True, name="alice", state="absent")
    assert check["changes"] == ["delete user alice"]
    result = run(devpi_user, name="alice", state="absent")
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == ({"email": "a@example.com"}, "")
    assert list(devpi.users) == ["root"]
    assert not run(devpi_user, name="alice", state="absent")["changed"]


def test_absent_with_force_deletes_the_indexes_first(devpi: FakeDevpi, run: Run) -> None:
    stage = {"type": "stage", "volatile": True}
    devpi.users["alice"] = {"username": "alice", "indexes": {"dev": stage, "prod": {**stage, "bases": ["alice/dev"]}}}
    result = run(devpi_user, name="alice", state="absent", force=True)
    assert result["changes"] == ["delete index alice/prod", "delete index alice/dev", "delete user alice"]
    assert list(devpi.users) == ["root"]
