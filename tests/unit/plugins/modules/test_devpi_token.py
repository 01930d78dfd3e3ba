# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_token: the file, the tokens on the server, and what it tells."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._tokens import marker
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_token
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run, serving

DAY = 86400


def macaroon(identifier: str, restrictions: list[str]) -> str:
    """Write a token as devpi-tokens does. Its signature is that of nobody."""
    data = b"\x02\x01\x00" + field(identifier) + b"\x00"
    for text in restrictions:
        data += field(text) + b"\x00"
    data += b"\x00\x06\x20" + b"s" * 32
    return "devpi-" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def field(text: str) -> bytes:
    """Write one field of type 2; its length in groups of seven bits."""
    length, groups = len(text), []
    while length >= 0x80:
        groups.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([2, *groups, length]) + text.encode()


class TokenDevpi(FakeDevpi):
    """A devpi-server with devpi-tokens. ``issued`` holds the restrictions of its tokens by user and id."""

    def __init__(self) -> None:
        super().__init__()
        self.has_plugin = True
        self.users["ci"] = {"username": "ci", "indexes": {}}
        self.issued: dict[str, dict[str, list[str]]] = {"ci": {}}
        self.secret_was_lost = False

    def answer(self, method: str, path: str, body: Any, user: str | None) -> tuple[int, dict[str, Any] | bytes]:
        """Answer what the plugin answers, and leave the rest to devpi-server."""
        match = re.fullmatch(r"/(\w+)/\+token(s|-create)(?:/(\w+))?", path)
        if not match:
            return super().answer(method, path, body, user)
        if not self.has_plugin:
            return 404, {"message": f"The resource could not be found. {path}"}
        tokens = self.issued[match[1]]
        if method == "GET":
            return 200, {"result": {"tokens": {name: {"restrictions": texts} for name, texts in tokens.items()}}}
        self.serial += 1
        if method == "DELETE":
            del tokens[match[3]]
            return 200, {"message": "deleted"}
        token_id = f"id{self.serial:06}"
        texts = {key: ",".join(sorted(value)) if isinstance(value, list) else value for key, value in body.items()}
        tokens[token_id] = [f"{key}={texts[key]}" for key in sorted(texts)]
        return 200, {"result": {"token": self.token(token_id)}}

    def token(self, token_id: str) -> str:
        """Return the token with this id, as a client has it."""
        return macaroon(f"ci-{token_id}", self.issued["ci"][token_id])

    def who_asks(self, user: str, secret: str) -> str | None:
        """Return the user whose token this is."""
        known = not self.secret_was_lost and secret in map(self.token, self.issued["ci"])
        return user if known and user == "ci" else super().who_asks(user, secret)


@pytest.fixture(name="devpi")
def _devpi() -> Iterator[TokenDevpi]:
    fake = TokenDevpi()
    with serving(fake):
        yield fake


@pytest.fixture(name="options")
def _options(tmp_path: Path) -> dict[str, Any]:
    return {
        "user": "ci",
        "path": str(tmp_path / "token"),
        "indexes": ["team/dev"],
        "projects": ["Our.Tool"],
        "permissions": ["upload"],
        "lifetime": "90d",
        "renew_before": "30d",
        "name": "proof",
    }


def only(devpi: TokenDevpi) -> str:
    """Return the id of the only token there is."""
    (token_id,) = devpi.issued["ci"]
    return token_id


def test_create(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    file = Path(options["path"])
    check = run(devpi_token, check_mode=True, **options)
    assert (check["changes"], check["tokens"]) == ([f"create token of ci in {file}"], [])
    assert not file.exists()
    assert devpi.written == []

    result = run(devpi_token, **options)
    token_id = only(devpi)
    assert (result["changes"], result["diff"]) == (check["changes"], check["diff"])
    assert result["diff"][0]["after"]["indexes"] == ["team/dev"]
    assert file.read_text() == f"{devpi.token(token_id)}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["token"]
    assert devpi.token(token_id) not in str(result)
    assert result["id"] == token_id
    assert result["tokens"][0]["projects"] == ["our-tool"]
    limits = devpi.issued["ci"][token_id]
    assert limits[0] == "allowed=upload"
    assert limits[2:] == ["indexes=team/dev", f"not_before={marker('proof')}", "projects=our-tool"]
    assert 0 <= 90 * DAY + time.time() - int(limits[1].partition("=")[2]) < 60

    for check_mode in (False, True):
        again = run(devpi_token, check_mode=check_mode, **options)
        assert not again["changed"]
        assert (again["id"], again["expires"], again["serial"]) == (token_id, result["expires"], result["serial"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"indexes": ["team/dev", "team/prod"]}, "expires, indexes"),
        ({"indexes": None}, "expires, indexes"),
        ({"projects": ["other"]}, "expires, projects"),
        ({"permissions": ["upload", "pkg_read"]}, "expires, permissions"),
        ({"name": "another"}, "expires, not_before"),
        ({"lifetime": "80d"}, "expires"),
        ({"lifetime": "365d", "renew_before": "91d"}, "expires"),
    ],
)
def test_another_wish_makes_another_token(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    first = run(devpi_token, **options)["id"]
    wish = {**options, **change}
    check = run(devpi_token, check_mode=True, **wish)
    assert list(devpi.issued["ci"]) == [first]
    result = run(devpi_token, **wish)
    assert result["changes"] == check["changes"]
    assert result["changes"] == [f"update token of ci in {options['path']} ({expected})", f"revoke token {first} of ci"]
    assert only(devpi) != first
    assert Path(options["path"]).read_text().strip() == devpi.token(only(devpi))
    assert not run(devpi_token, **wish)["changed"]


def test_order_and_repetition_do_not_matter(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    run(devpi_token, **{**options, "permissions": ["upload", "pkg_read", "upload"], "projects": ["b", "a.a", "A_a"]})
    wish = {**options, "permissions": ["pkg_read", "upload"], "projects": ["A-a", "b"]}
    assert not run(devpi_token, **wish)["changed"]


def test_longer_lifetime_waits_until_the_token_is_renewed(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    run(devpi_token, **options)
    assert not run(devpi_token, **{**options, "lifetime": "365d"})["changed"]


def test_renewed_when_little_lifetime_is_left(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(devpi_token, **options)["id"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59 * DAY)
    assert not run(devpi_token, **options)["changed"]
    monkeypatch.setattr(time, "time", lambda: now + 60 * DAY + 60)
    changes = [f"update token of ci in {options['path']} (expires)", f"revoke token {first} of ci"]
    assert run(devpi_token, **options)["changes"] == changes


def test_a_third_of_the_lifetime_is_the_default(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del options["renew_before"]
    run(devpi_token, **options)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59 * DAY)
    assert not run(devpi_token, **options)["changed"]
    monkeypatch.setattr(time, "time", lambda: now + 61 * DAY)
    assert run(devpi_token, **options)["changed"]


@pytest.mark.parametrize("what_is_left", [None, "", "\n"])
def test_lost_file(devpi: TokenDevpi, run: Run, options: dict[str, Any], what_is_left: str | None) -> None:
    lost = run(devpi_token, **options)["id"]
    devpi.issued["ci"]["byhand"] = [*devpi.issued["ci"][lost][:-2], "projects=our-tool"]
    file = Path(options["path"])
    file.unlink()
    if what_is_left is not None:
        file.write_text(what_is_left)
    expected = [f"create token of ci in {file}", f"revoke token {lost} of ci, whose file was lost"]
    for check_mode in (True, False):
        assert run(devpi_token, check_mode=check_mode, **options)["changes"] == expected
    # A token that somebody else made is nobody's business, whatever it allows.
    assert lost not in devpi.issued["ci"]
    assert "byhand" in devpi.issued["ci"]
    assert len(devpi.issued["ci"]) == 2


def test_token_that_was_revoked_or_is_refused(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    first = run(devpi_token, **options)["id"]
    del devpi.issued["ci"][first]
    changes = [f"update token of ci in {options['path']} (accepted, expires)"]
    assert run(devpi_token, **options)["changes"] == changes
    devpi.secret_was_lost = True
    second = only(devpi)
    assert run(devpi_token, check_mode=True, **options)["changes"] == [*changes, f"revoke token {second} of ci"]


def test_token_that_somebody_limited_further(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    """The file holds a derived token: the server takes it, but it does not allow what is wanted."""
    first = run(devpi_token, **options)["id"]
    limits = devpi.issued["ci"][first]
    Path(options["path"]).write_text(macaroon(f"ci-{first}", [*limits, "projects=nothing"]))
    assert f"revoke token {first} of ci" in run(devpi_token, **options)["changes"]


def test_mode_and_owner(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    run(devpi_token, **options)
    file = Path(options["path"])
    file.chmod(0o644)
    for check_mode in (True, False):
        result = run(devpi_token, check_mode=check_mode, **options)
        assert result["changes"] == [f"update file {file} (mode)"]
        assert result["diff"][0]["after"]["mode"] == "0600"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not run(devpi_token, owner=str(os.getuid()), **options)["changed"]


def test_unknown_owner_leaves_nothing(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    assert "failed to look up user nobody-there" in run(devpi_token, owner="nobody-there", **options)["msg"]
    assert devpi.written == []
    assert list(Path(options["path"]).parent.iterdir()) == []


def test_token_that_cannot_be_written_is_revoked(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run(devpi_token, **options)
    assert "cannot be written on this host (No space left on device)" in result["msg"]
    assert not result["changed"]
    assert devpi.issued["ci"] == {}
    assert list(Path(options["path"]).parent.iterdir()) == []


def test_old_token_that_cannot_be_revoked(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    """The new one is in the file by then, and the next run goes on."""
    first = run(devpi_token, **options)["id"]
    requests_before_the_revocation = 5

    def broken(handler: Handler) -> None:
        handler.reply(500, json.dumps({"message": f"confused by {devpi.token(max(devpi.issued['ci']))}"}))

    devpi.mischief = [None] * requests_before_the_revocation + [broken]
    wish = {**options, "projects": ["other"]}
    result = run(devpi_token, **wish)
    assert f"Could not revoke token {first} of ci" in result["msg"]
    assert "confused by ****" in result["msg"]
    assert result["changed"]
    assert result["pending"] == [f"revoke token {first} of ci"]
    assert run(devpi_token, **wish)["changes"] == [f"revoke token {first} of ci, whose file was lost"]
    assert Path(options["path"]).read_text().strip() == devpi.token(only(devpi))


def test_absent(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    devpi.issued["ci"]["byhand"] = ["expires=never"]
    first = run(devpi_token, **options)["id"]
    gone = {"user": "ci", "path": options["path"], "name": "proof", "state": "absent"}
    for check_mode in (True, False):
        result = run(devpi_token, check_mode=check_mode, **gone)
        assert result["changes"] == [f"revoke token {first} of ci", f"delete file {options['path']}"]
    assert not Path(options["path"]).exists()
    assert only(devpi) == "byhand"
    assert not run(devpi_token, **gone)["changed"]


def test_absent_by_id(devpi: TokenDevpi, run: Run) -> None:
    devpi.issued["ci"] = {"one": ["expires=never", "projects=a,b"], "two": ["expires=1900000000"]}
    listed = run(devpi_token, user="ci", ids=[], state="absent")
    assert not listed["changed"]
    assert listed["tokens"] == [
        {"id": "one", "indexes": None, "projects": ["a", "b"], "permissions": None, "expires": "never"},
        {"id": "two", "indexes": None, "projects": None, "permissions": None, "expires": "2030-03-17T17:46:40Z"},
    ]
    result = run(devpi_token, user="ci", ids=["one", "unknown"], state="absent")
    assert result["changes"] == ["revoke token one of ci"]
    assert only(devpi) == "two"


def test_absent_of_a_user_who_is_gone(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    run(devpi_token, **options)
    del devpi.users["ci"]
    result = run(devpi_token, user="ci", path=options["path"], state="absent")
    assert result["changes"] == [f"delete file {options['path']}"]


def test_file_of_something_else_is_left_alone(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    file = Path(options["path"])
    for state in ("present", "absent"):
        for content in (b"root:x:0:0::/root:/bin/bash\n", b"\xff\xfe", b"devpi-" + b"A" * 60):
            file.write_bytes(content)
            assert "holds something that is no token" in run(devpi_token, **{**options, "state": state})["msg"]
            assert file.read_bytes() == content
        file.write_text(macaroon("bob-abcdefgh", []))
        assert "holds a token of user 'bob'" in run(devpi_token, **{**options, "state": state})["msg"]
    assert devpi.written == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user": "nobody"}, "User 'nobody' does not exist: create the user first."),
        ({"path": None}, "state is present but all of the following are missing: path"),
        ({"path": "/nowhere/token"}, "path: the folder /nowhere does not exist on this host: make it first."),
        ({"path": "/"}, "path: / cannot be read on this host (Is a directory)."),
        ({"indexes": []}, "indexes: the list is empty, which would allow nothing; leave it out to limit nothing."),
        ({"indexes": ["dev"]}, "indexes: 'dev' is no index; write user/index, such as alice/dev"),
        ({"indexes": ["a/b,c/d"]}, "indexes: 'a/b,c/d' is no index"),
        ({"projects": ["a,b"]}, "projects: 'a,b' is no name of a project"),
        ({"lifetime": "90"}, "lifetime: '90' is no span of time; write a number and m, h, d or w"),
        ({"lifetime": "never"}, "lifetime: 'never' is no span of time"),
        ({"renew_before": "0d"}, "renew_before: '0d' is no span of time"),
        ({"lifetime": "30d"}, "renew_before: 30d is not less than lifetime, 30d, so each run would make a new token"),
        ({"permissions": ["user_modify"]}, "value of permissions must be one or more of: del_entry"),
        ({"login_password": None}, "No password: write login_password_file"),
    ],
)
def test_refused_before_anything_changes(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    assert expected in run(devpi_token, **{**options, **change})["msg"]
    assert devpi.written == []


def test_server_without_the_plugin(devpi: TokenDevpi, run: Run, options: dict[str, Any]) -> None:
    devpi.has_plugin = False
    expected = "without the plugin devpi-tokens: write devpi_server_plugins: [tokens]"
    for check_mode in (True, False):
        assert expected in run(devpi_token, check_mode=check_mode, **options)["msg"]
    # devpi-web answers with a page of HTML.
    devpi.mischief = [None, None, lambda handler: handler.reply(404, "<!doctype html>", "text/html")]
    assert expected in run(devpi_token, **options)["msg"]


def test_check_mode_before_there_is_a_server_a_plugin_or_a_user(
    devpi: TokenDevpi, run: Run, options: dict[str, Any], free_port: int
) -> None:
    expected = [f"create token of ci in {options['path']}"]
    options["assume_new_server"] = True
    nowhere = {**options, "url": f"http://127.0.0.1:{free_port}", "login_password": None}
    assert run(devpi_token, check_mode=True, **nowhere)["changes"] == expected
    assert "Nothing listens" in run(devpi_token, **{**nowhere, "login_password": "x"})["msg"]
    devpi.has_plugin = False
    assert run(devpi_token, check_mode=True, **options)["changes"] == expected
    assert "without the plugin" in run(devpi_token, **options)["msg"]
    del devpi.users["ci"]
    assert run(devpi_token, check_mode=True, **options)["changes"] == expected
    assert "does not exist" in run(devpi_token, **options)["msg"]
