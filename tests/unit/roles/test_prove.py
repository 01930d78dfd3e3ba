# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that stores a file, fetches it through nginx and removes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

FILES = "/root/wheelhouse-proof/+f/07a/1a27/"


@pytest.fixture
def program() -> ModuleType:
    """Return the program."""
    return cast("ModuleType", load("roles/devpi_nginx/files/prove.py"))


class FakeIndex:
    """A devpi behind nginx, with the answers that a test gives in the place of its own."""

    def __init__(self, program: ModuleType, **answers: list[Any]) -> None:
        self.program, self.answers = program, answers
        self.index: dict[str, Any] | None = None
        self.file = b""
        self.requests: list[str] = []

    def ask(self, front: Any, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """Answer a request."""
        short = path.partition("?")[0].removeprefix("/root/wheelhouse-proof") or "index"
        name = f"{method} {short}"
        self.requests.append(name)
        if self.answers.get(name):
            return self.answers[name].pop(0)
        result = self.answer(name, body, front)
        return result if isinstance(result, self.program.Answer) else self.program.Answer(*result)

    def answer(self, name: str, body: bytes | None, front: Any) -> Any:
        """Answer as devpi does."""
        if name == "POST /+login":
            given = json.loads(body or b"")
            return (
                (200, b'{"result": {"password": "token"}}')
                if given["password"] == "right"
                else (401, b"not that: right")
            )
        if name == "GET /+api":
            return 200, b"{}"
        assert front.login
        if name == "PUT index":
            assert self.index is None
            self.index = json.loads(body or b"")
            return 200, b"{}"
        if self.index is None:
            return 404, b"no such index"
        if name == "DELETE index":
            self.index, self.file = None, b""
            return 201, b"{}"
        if name == "POST /":
            _part, _other, after = (body or b"").partition(b'filename="wheelhouse_proof-1.0-py3-none-any.whl"')
            self.file = after.partition(b"\r\n\r\n")[2][: len(self.program.make_wheel())]
            return 200, b""
        if name.startswith("GET /+simple/"):
            link = f"../../+f/07a/1a27/{self.program.FILE}#sha256=07a"
            return 200, f'<a href="{link}">{self.program.FILE}</a>'.encode()
        if name.startswith("GET /+f/"):
            return 200, self.file
        return 200, json.dumps({"result": self.index}).encode()


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """Return a plan for a host that has devpi."""
    (tmp_path / "password").write_text("right\n", "utf-8")
    return {
        "domain": "index.test",
        "port": "443",
        "trust": str(tmp_path / "ca.crt"),
        "password_file": str(tmp_path / "password"),
        "read_only": str(tmp_path / "read-only"),
        "files": str(tmp_path / "files"),
    }


def prove(program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any], fake: FakeIndex) -> str:
    """Run the program against the fake."""

    def ask(front: Any, *given: Any) -> Any:
        return fake.ask(front, *given)

    monkeypatch.setattr(program.ssl.SSLContext, "load_verify_locations", lambda self, path: None)
    monkeypatch.setattr(program.Front, "ask", ask)
    monkeypatch.setattr(program.time, "sleep", lambda seconds: None)
    return cast("str", program.main(json.dumps(plan)))


def test_a_file_is_stored_fetched_and_removed(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program)
    assert prove(program, monkeypatch, plan, fake) == "A file was stored, fetched through nginx and removed."
    assert fake.index is None
    assert [name for name in fake.requests if name.startswith("GET /+f/")]


def test_what_a_run_left_that_ended_in_the_middle_is_removed(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program)
    fake.index = {"title": program.TITLE}
    assert prove(program, monkeypatch, plan, fake).startswith("A file was stored")
    assert fake.index is None


def test_an_index_of_somebody_is_not_touched(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program)
    fake.index = {"title": "mine"}
    with pytest.raises(program.Failed, match="root/wheelhouse-proof is not ours"):
        prove(program, monkeypatch, plan, fake)
    assert fake.index == {"title": "mine"}


@pytest.mark.parametrize(
    ("request_that_fails", "answer", "said"),
    [
        ("POST /", (413, b"<html>too large"), "no file can be stored: .* 413 <html>too large"),
        ("GET /+simple/wheelhouse-proof/", (200, b"<html></html>"), "does not list"),
        ("GET /+simple/wheelhouse-proof/", (502, b""), "the page of the file"),
        (
            f"GET {FILES.removeprefix('/root/wheelhouse-proof')}wheelhouse_proof-1.0-py3-none-any.whl",
            (200, b"x"),
            "bytes",
        ),
    ],
)
def test_a_failure_in_the_middle_leaves_nothing(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    plan: dict[str, Any],
    request_that_fails: str,
    answer: tuple[int, bytes],
    said: str,
) -> None:
    fake = FakeIndex(program, **{request_that_fails: [program.Answer(*answer)]})
    with pytest.raises(program.Failed, match=said):
        prove(program, monkeypatch, plan, fake)
    assert fake.index is None


def test_without_a_devpi_on_this_host_only_the_api_is_asked(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program)
    plan["password_file"] += ".none"
    assert "No file was stored" in prove(program, monkeypatch, plan, fake)
    assert fake.requests == ["GET /+api"]


def test_while_nobody_may_write_only_the_api_is_asked(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program)
    Path(plan["read_only"]).write_text("", "utf-8")
    assert "being migrated" in prove(program, monkeypatch, plan, fake)
    assert fake.requests == ["GET /+api"]


def test_a_root_that_may_make_no_index_is_told(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program, **{"PUT index": [program.Answer(403, b"")]})
    assert "devpi_server_restrict_modify" in prove(program, monkeypatch, plan, fake)


def test_too_many_logins_are_waited_for(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    fake = FakeIndex(program, **{"POST /+login": [program.Answer(429, b"", 5)] * 2})
    assert prove(program, monkeypatch, plan, fake).startswith("A file was stored")


def test_a_wrong_password_is_told_without_what_devpi_says(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    Path(plan["password_file"]).write_text("secret", "utf-8")
    with pytest.raises(program.Failed, match="root cannot log in") as caught:
        prove(program, monkeypatch, plan, FakeIndex(program))
    assert "secret" not in str(caught.value)
    assert "not that" not in str(caught.value)


def test_where_nobody_answers_there_is_another_status(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, plan: dict[str, Any]
) -> None:
    def refuse(address: tuple[str, int], seconds: float) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(program.ssl.SSLContext, "load_verify_locations", lambda self, path: None)
    monkeypatch.setattr(program.socket, "create_connection", refuse)
    said = {"systemctl": "activating\n", "journalctl": "bind() failed\n"}

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, said[command[0]], "")

    monkeypatch.setattr(program.subprocess, "run", run)
    with pytest.raises(program.NoAnswer, match=r"GET /.api has no answer"):
        program.main(json.dumps(plan))
    # What systemd knows is not waited for.
    said["systemctl"] = "failed\n"
    with pytest.raises(
        program.Failed, match=r"GET /.api has no answer.*, because nginx.service is failed: bind"
    ) as caught:
        program.main(json.dumps(plan))
    assert not isinstance(caught.value, program.NoAnswer)


def test_empty_folders_are_removed_as_their_owner(program: ModuleType, plan: dict[str, Any]) -> None:
    folder = Path(plan["files"], FILES.lstrip("/"))
    folder.mkdir(parents=True)
    (folder.parents[2] / "other").mkdir()
    program.remove_folders(program.Plan(**plan), f"{FILES}{program.FILE}")
    assert not folder.parents[0].exists()
    assert (folder.parents[2] / "other").exists()
