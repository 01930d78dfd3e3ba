"""A real devpi-server on loopback, and the modules of the collection run against it, in this process.

Ansible brings a module to a host and starts a Python for it, which takes a second; the module itself takes some
milliseconds. What Ansible adds is tested by tests/integration/targets, once for each module.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils import basic
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_info, devpi_prefetch
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._lockfile import LockError, plan

HERE = Path(__file__).parent
ROOT_PASSWORD = "the-root-password"
JSON = "application/json"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
#: Seconds that a server has to start, on a machine that is busy.
START = 90
#: The words of each major version of devpi.
WORDS = {
    "6": {
        "stage": "stage",
        "mirror": "mirror",
        "mirror_url": "mirror_url",
        "expiry": "mirror_cache_expiry",
        "on_switch": "mirror_ignore_serial_header, ",
    },
    "7": {
        "stage": "local",
        "mirror": "remote",
        "mirror_url": "remote_url",
        "expiry": "remote_refresh_delay",
        "on_switch": "",
    },
}


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """What a server answered."""

    status: int
    body: bytes
    headers: Message

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def result(self) -> Any:
        """What devpi's JSON says."""
        return json.loads(self.body)["result"]


def ask(
    url: str,
    *,
    method: str = "GET",
    accept: str = JSON,
    body: Any = None,
    headers: dict[str, str] | None = None,
    login: tuple[str, str] | None = None,
    status: int | Sequence[int] = 200,
) -> Answer:
    """Ask a server, and expect a status. A body that is no bytes is sent as JSON. Redirects are not followed."""
    parts = urlsplit(url)
    sent = {"Accept": accept, **(headers or {})}
    if body is not None and not isinstance(body, bytes):
        body, sent["Content-Type"] = json.dumps(body).encode(), JSON
    if login is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, sent)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(), response.headers)
    expected = [status] if isinstance(status, int) else status
    assert answer.status in expected, f"{method} {url}: {answer.status} {answer.body[:500]!r}"
    return answer


def as_form(fields: dict[str, str], file: tuple[str, bytes] | None = None) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a form, as twine sends it."""
    boundary = secrets.token_hex(16)
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if file is not None:
        head = f'Content-Disposition: form-data; name="content"; filename="{file[0]}"\r\nContent-Type: application/gzip'
        parts.append(head.encode() + b"\r\n\r\n" + file[1])
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def call(module: ModuleType, options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Run a module, and return what it prints for Ansible. An option that is None is not set."""
    args = {name: value for name, value in options.items() if value is not None}
    if module is devpi_prefetch:
        # Its action plugin reads the lock, on the controller.
        try:
            args["_lock"] = plan(args["path"], args.get("environments"), lambda path: Path(path).read_bytes())
        except LockError as reason:
            return {"failed": True, "changed": False, "msg": str(reason)}
    args |= {"_ansible_check_mode": check, "_ansible_diff": True}
    vars(basic)["_ANSIBLE_ARGS"] = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
    vars(basic)["_ANSIBLE_PROFILE"] = "legacy"
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            module.main()
    except SystemExit:
        result: dict[str, Any] = json.loads(printed.getvalue())
        assert not {"warnings", "deprecations"} & set(result), result
        return result
    raise AssertionError(f"{module.__name__} did not end as modules do")


@dataclass
class Proof:
    """What the four calls of a state returned, and what the server had before and after them."""

    results: list[dict[str, Any]]
    before: dict[str, Any]
    end: dict[str, Any]

    @property
    def applied(self) -> dict[str, Any]:
        """What the call returned that brought the state about."""
        return self.results[1]


@dataclass
class Devpi:
    """A devpi-server of one major version, installed in ``venv``, with its data in ``folder``.

    ``offline`` lets it have root/pypi, and ask no upstream; otherwise it has no index, so that nothing asks the public
    one. ``python_path`` is a folder with more plugins.
    """

    major: str
    venv: Path
    folder: Path
    offline: bool = True
    python_path: Path | None = None
    url: str = ""
    version: str = ""
    closed_port: int = field(default_factory=free_port)

    @property
    def words(self) -> dict[str, str]:
        """What this version calls things."""
        return WORDS[self.major]

    def command(self, name: str, *options: str | Path) -> list[str]:
        """Return a command of devpi whose passwords cost little to check."""
        cheaply = [self.venv / "bin/python", HERE / "cheap_passwords.py", self.venv / "bin" / name]
        return [str(part) for part in (*cheaply, *options)]

    def options(self, data: Path, port: int) -> list[str | Path]:
        """Return the options of devpi-server. The hidden ones make the start take one second instead of eight."""
        found: list[str | Path] = ["--serverdir", data, "--secretfile", self.folder / "secret"]
        found += ["--host", "127.0.0.1", "--port", str(port), "--restrict-modify", "root"]
        found += ["--argon2-memory-cost", "1024", "--argon2-time-cost", "1", "--argon2-parallelism", "1"]
        found += ["--indexer-backend", "null"] if self.major == "6" else []
        return found + (["--offline-mode"] if self.offline else [])

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        more = {"PYTHONPATH": str(self.python_path)} if self.python_path else {}
        return {**os.environ, **more, "DEVPISERVER_ROOT_PASSWD": ROOT_PASSWORD, "NO_PROXY": "127.0.0.1"}

    def write_secret(self) -> None:
        """Write the secret that signs logins."""
        secret = self.folder / "secret"
        secret.write_text(secrets.token_urlsafe(64))
        secret.chmod(0o600)

    @contextlib.contextmanager
    def running(self) -> Iterator[Devpi]:
        """Initialise the server and run it on a free port."""
        data, port = self.folder / "data", free_port()
        self.write_secret()
        init = self.command("devpi-init", "--serverdir", data, *([] if self.offline else ["--no-root-pypi"]))
        subprocess.run(init, check=True, env=self.environment, capture_output=True, timeout=START)
        with (self.folder / "log").open("wb") as log:
            command = self.command("devpi-server", *self.options(data, port))
            server = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        with ending(server):
            self.url = f"http://127.0.0.1:{port}"
            self.wait_for_answer(server)
            yield self

    def wait_for_answer(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until the API answers, and see that it is the version which is to be tested."""
        end = time.monotonic() + START
        while not self.version:
            with contextlib.suppress(OSError):
                self.version = ask(f"{self.url}/+api").headers["X-Devpi-Server-Version"]
            assert server.poll() is None, f"devpi-server ended while it started:\n{self.log()}"
            assert time.monotonic() < end, f"waited {START} s for {self.url}/+api; the log of the server:\n{self.log()}"
            time.sleep(0.05)
        assert self.version.startswith(f"{self.major}."), self.version

    def log(self) -> str:
        """Return what the server wrote to its log."""
        return (self.folder / "log").read_text(errors="replace")

    def ask(self, path: str, **more: Any) -> Answer:
        """Ask the server for a path."""
        return ask(f"{self.url}/{path}", **more)

    def run(self, module: ModuleType, check: bool = False, /, **options: Any) -> dict[str, Any]:
        """Run a module as root, and expect that it does not fail."""
        result = call(module, {"url": self.url, "login_password": ROOT_PASSWORD, **options}, check)
        assert "failed" not in result, result
        return result

    def refuses(self, message: str, module: ModuleType, check: bool = False, /, **options: Any) -> dict[str, Any]:
        """Run a module as root, and expect that it fails with this sentence."""
        result = call(module, {"url": self.url, "login_password": ROOT_PASSWORD, **options}, check)
        assert result.get("failed"), result
        assert self.said(message) in result["msg"]
        return result

    def said(self, message: str) -> str:
        """Fill in what a text says of this server: {url}, {closed} for a port where nothing listens, {stage}."""
        words = {"url": self.url, "port": self.url.rpartition(":")[2], "closed": str(self.closed_port)}
        words |= {"major": self.major, **self.words}
        for name, word in words.items():
            message = message.replace(f"{{{name}}}", word)
        return message

    def info(self, **options: Any) -> dict[str, Any]:
        """Look at the server with devpi_info."""
        return self.run(devpi_info, **options)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Expect that nothing is written: the serial of the server tells it."""
        before = self.info()["serial"]
        yield
        assert self.info()["serial"] == before

    def proves(self, changes: list[str], module: ModuleType, **options: Any) -> Proof:
        """Prove one state: check (changed), apply (changed), apply (unchanged), check (unchanged).

        ``changes`` are the sentences that the module must return. The serial of the server tells whether anything was
        really written.
        """
        before = self.info()
        results = [self.run(module, check, **options) for check in (True, False, False, True)]
        end = self.info()
        diff, serial = results[0]["diff"], results[1]["serial"]
        assert [result["changed"] for result in results] == [True, True, False, False]
        assert [result["changes"] for result in results] == [changes, changes, [], []]
        assert len(diff) == len(changes)
        assert [result["diff"] for result in results] == [diff, diff, [], []]
        assert {result["server_version"] for result in results} == {before["server_version"]}
        assert [result["serial"] for result in results] == [before["serial"], serial, serial, serial]
        assert serial > before["serial"]
        assert end["serial"] == serial
        return Proof(results, before, end)

    def upload(self, index: str, user: str = "root", password: str = ROOT_PASSWORD) -> None:
        """Upload one release, as twine does."""
        fields = {":action": "file_upload", "name": "a-release", "version": "1.0"}
        body, headers = as_form(fields, ("a-release-1.0.tar.gz", b"not really an archive"))
        self.ask(f"{index}/", method="POST", body=body, headers=headers, login=(user, password))

    def look(self, page: str) -> Answer:
        """Look at a project of an index as pip does (``user/index/+simple/project``)."""
        return self.ask(f"{page}/", accept=SIMPLE_JSON, headers={"User-Agent": "pip/25.0"}, status=[200, 404])

    def files(self, page: str) -> dict[str, str]:
        """Return the URLs of the files of a project by their names; none where there is no such page."""
        answer = self.look(page)
        offered = json.loads(answer.body)["files"] if answer.status == 200 else []
        base = f"{self.url}/{page.split('/+', maxsplit=1)[0]}/"
        # A link is relative to the page, and leads back to the index.
        return {file["filename"]: base + re.sub(r"^[./]+(?=\+)", "", file["url"]) for file in offered}

    def refresh(self, index: str, project: str) -> None:
        """Let the server fetch a page of a mirror again, as when it expires."""
        self.ask(f"{index}/+simple/{project}/refresh", method="POST", status=302)


@contextlib.contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process at the end."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_by_ansible(module: str, options: dict[str, Any], home: Path, **environment: str) -> str:
    """Run a module by ``ansible -v`` on this machine, and return what Ansible prints."""
    command = [str(Path(sys.executable).with_name("ansible")), "--inventory=localhost,", "--verbose"]
    command += ["--connection=local", f"--extra-vars=ansible_python_interpreter={sys.executable}"]
    command += [f"--module-name=wheelhouse.devpi.{module}", f"--args={json.dumps(options)}", "localhost"]
    collections = next(folder for folder in sys.path if Path(folder, "ansible_collections/wheelhouse/devpi").exists())
    environment = {**os.environ, "HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": collections, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    return done.stdout
