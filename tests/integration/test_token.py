"""devpi_token against a live devpi-server."""

from __future__ import annotations

import base64
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_token, devpi_user
from live import ROOT_PASSWORD, Devpi

A_TOKEN = re.compile(r"devpi-[\w-]{40}")


@pytest.fixture(scope="module", autouse=True)
def _user(devpi: Devpi) -> None:
    devpi.run(devpi_user, name="ci", password="ci-password")
    for index in ("ci/dev", "ci/other"):
        devpi.run(devpi_index, name=index, type="stage", acl_upload=["ci"])


@pytest.fixture(scope="module", name="path")
def _path(devpi: Devpi) -> Path:
    return devpi.folder / "token"


@pytest.fixture(name="longer")
def _longer(path: Path) -> dict[str, Any]:
    indexes = ["ci/dev", "ci/other"]
    return {"user": "ci", "path": str(path), "indexes": indexes, "lifetime": "3650d", "renew_before": "91d"}


def only_token(devpi: Devpi, path: Path) -> str:
    """Return the id of the only token that the user has."""
    [token] = devpi.run(devpi_token, True, user="ci", path=str(path))["tokens"]
    return str(token["id"])


def test_a_new_token_is_in_its_file_and_nobody_prints_it(devpi: Devpi, path: Path) -> None:
    options = {
        "indexes": ["ci/dev"],
        "projects": ["Our.Tool", "another"],
        "permissions": ["upload"],
        "lifetime": "90d",
        "renew_before": "30d",
    }
    proof = devpi.proves([f"create token of ci in {path}"], devpi_token, user="ci", path=str(path), **options)
    assert re.fullmatch(r"devpi-[\w-]{100,}\n", path.read_text())
    assert path.stat().st_mode & 0o7777 == 0o600
    assert not A_TOKEN.search(str(proof.results))
    assert [len(result["tokens"]) for result in proof.results] == [0, 1, 1, 1]
    [listed] = proof.applied["tokens"]
    assert listed["id"] == proof.applied["id"]
    assert listed["indexes"] == ["ci/dev"]
    assert listed["projects"] == ["another", "our-tool"]
    assert listed["permissions"] == ["upload"]
    assert listed["expires"] == proof.applied["expires"]
    expires = datetime.datetime.fromisoformat(proof.applied["expires"])
    assert (expires - datetime.datetime.now(datetime.UTC)).days in {89, 90}


def test_other_limits_make_another_token_and_the_diff_says_what_differs(devpi: Devpi, path: Path) -> None:
    before = only_token(devpi, path)
    changes = [
        f"update token of ci in {path} (expires, indexes, permissions, projects)",
        f"revoke token {before} of ci",
    ]
    options = {"indexes": ["ci/dev", "ci/other"], "lifetime": "90d"}
    proof = devpi.proves(changes, devpi_token, user="ci", path=str(path), **options)
    made, revoked = proof.applied["diff"]
    assert made["before"]["permissions"] == ["upload"]
    assert made["after"]["permissions"] is None
    assert made["after"]["indexes"] == ["ci/dev", "ci/other"]
    assert made["after"]["expires"] == "90d after it is made"
    assert revoked["after"] == ""


def test_a_token_of_which_little_lifetime_is_left(devpi: Devpi, path: Path, longer: dict[str, Any]) -> None:
    before = only_token(devpi, path)
    changes = [f"update token of ci in {path} (expires)", f"revoke token {before} of ci"]
    devpi.proves(changes, devpi_token, **longer)


def test_a_token_whose_file_was_lost(devpi: Devpi, path: Path, longer: dict[str, Any]) -> None:
    before = devpi.run(devpi_token, **longer)["id"]
    path.unlink()
    changes = [f"create token of ci in {path}", f"revoke token {before} of ci, whose file was lost"]
    devpi.proves(changes, devpi_token, **longer)


def test_a_token_that_the_server_does_not_know(devpi: Devpi, path: Path, longer: dict[str, Any]) -> None:
    before = devpi.run(devpi_token, **longer)["id"]
    revoked = devpi.run(devpi_token, user="ci", ids=[before], state="absent")
    assert revoked["changes"] == [f"revoke token {before} of ci"]
    assert revoked["tokens"] == []
    devpi.proves([f"update token of ci in {path} (accepted, expires)"], devpi_token, **longer)


def test_a_token_that_the_server_does_not_accept(devpi: Devpi, path: Path, longer: dict[str, Any]) -> None:
    before = devpi.run(devpi_token, **longer)["id"]
    path.write_text(re.sub(r".{6}$", "AAAAAA", path.read_text()))
    changes = [f"update token of ci in {path} (accepted, expires)", f"revoke token {before} of ci"]
    devpi.proves(changes, devpi_token, **longer)


def test_a_file_that_others_may_read_is_closed_and_nothing_else_changes(
    devpi: Devpi, path: Path, longer: dict[str, Any]
) -> None:
    before = devpi.run(devpi_token, **longer)
    path.chmod(0o644)
    results = [devpi.run(devpi_token, check, **longer) for check in (True, False, False, True)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[1]["changes"] == [f"update file {path} (mode)"]
    assert results[0]["diff"] == results[1]["diff"]
    assert results[1]["diff"][0]["after"]["mode"] == "0600"
    assert {(result["id"], result["serial"]) for result in results} == {(before["id"], before["serial"])}


def test_revoking_one_leaves_those_of_other_files_and_means(devpi: Devpi, path: Path, longer: dict[str, Any]) -> None:
    mine = devpi.run(devpi_token, **longer)["id"]
    devpi.run(devpi_token, user="ci", path=f"{path}-2")
    login = {"user": "root", "password": ROOT_PASSWORD}
    session = devpi.ask("+login", method="POST", body=login).result["password"]
    header = {"X-Devpi-Auth": base64.b64encode(f"root:{session}".encode()).decode()}
    devpi.ask("ci/+token-create", method="POST", body={"expires": "never"}, headers=header)

    changes = [f"revoke token {mine} of ci", f"delete file {path}"]
    proof = devpi.proves(changes, devpi_token, user="ci", path=str(path), state="absent")
    assert not path.exists()
    others = proof.applied["tokens"]
    assert len(others) == 2
    assert [token["expires"] for token in others].count("never") == 1

    ids = [token["id"] for token in others]
    devpi.proves([f"revoke token {one} of ci" for one in ids], devpi_token, user="ci", ids=ids, state="absent")


NOT_A_TOKEN = "path: /etc/passwd holds something that is no token: write another path, or move the file away."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user": "nobody"}, "User 'nobody' does not exist: create the user first."),
        ({"path": "/nowhere/token"}, "path: the folder /nowhere does not exist on this host: make it first."),
        ({"path": "/etc/passwd"}, NOT_A_TOKEN),
        ({"path": "/etc/passwd", "state": "absent"}, NOT_A_TOKEN),
        ({"indexes": []}, "indexes: the list is empty, which would allow nothing; leave it out to limit nothing."),
        (
            {"lifetime": 90},
            "lifetime: '90' is no span of time; write a number and m, h, d or w (minutes, hours, days or weeks)",
        ),
        (
            {"login_user": "ci", "login_password": "ci-password"},
            "User 'ci' may not do this (GET {url}/ci/+tokens).",
        ),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, options: dict[str, Any], message: str) -> None:
    with devpi.unchanged():
        devpi.refuses(message, devpi_token, **{"user": "ci", "path": str(devpi.folder / "none"), **options})
