# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Store a file in the index of this host, fetch it through nginx and remove it, as a client would.

Usage: prove.py PLAN, where PLAN is the JSON of a Plan. Prints what was done. Whatever the name of the index resolves to
from here, nginx of this host is asked, and by its certificate it shows that it is the one, before it gets the password.

The file goes to an index of its own, which is removed at the end. One that a run left behind, which ended in the
middle, is removed by the next one. Exits with 2 where nobody answers yet, and with 1 where something does not work.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import http.client
import io
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

INDEX = "/root/wheelhouse-proof"
#: The same at each run, because devpi remembers the names of files that are gone, and keeps the folder of a hash.
NAME, FILE = "wheelhouse-proof", "wheelhouse_proof-1.0-py3-none-any.whl"
#: By its title we know an index that we made.
TITLE = "A run of wheelhouse.devpi stores a file here, fetches it and removes it"
SECONDS = 30
#: Seconds in which nginx may say that there were too many logins, one after another.
PATIENCE = 60


class Failed(Exception):
    """What does not work, as a sentence."""


class NoAnswer(Failed):
    """Nobody answers."""


class MayNot(Exception):
    """Root may not make indexes."""


@dataclass(frozen=True)
class Plan:
    """What is asked, and with what.

    Attributes:
        domain: The name of the index.
        port: The port of HTTPS.
        trust: The file with the certificate that the one of nginx is checked with.
        password_file: The file with root's password. Where there is none, devpi is on another host.
        read_only: The file that is there while nobody may write.
        files: The folder of the files of devpi.
    """

    domain: str
    port: int
    trust: str
    password_file: str
    read_only: str
    files: str


@dataclass(frozen=True)
class Answer:
    """An answer: its status, what is in it, and the seconds after which to ask again, or 0."""

    status: int
    body: bytes
    wait: int = 0

    def __str__(self) -> str:
        said = re.sub(r"\s+", " ", self.body[:300].decode("utf-8", "replace")).strip()
        return f"{self.status} {said}".strip()


class Front:
    """The nginx of this host, as its clients see it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.login: dict[str, str] = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(plan.trust)
        self.context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Answer:
        """Send a request. Raises Failed where there is no answer."""
        # Of a file as well, devpi gives JSON to those who want it.
        headers = {"Accept": "*/*" if "/+f/" in path else "application/json", **self.login}
        if body is not None:
            headers["Content-Type"] = kind
        connection = http.client.HTTPConnection(self.plan.domain, self.plan.port)
        try:
            plain = socket.create_connection(("127.0.0.1", self.plan.port), SECONDS)
            connection.sock = self.context.wrap_socket(plain, server_hostname=self.plan.domain)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            wait = response.headers.get("Retry-After", "")
            return Answer(response.status, response.read(), int(wait) if wait.isdigit() else 0)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"{method} {path} has no answer: {error}") from error
        finally:
            connection.close()

    def expect(
        self, what: str, method: str, path: str, *content: object, allowed: tuple[int, ...] = (200, 201)
    ) -> Answer:
        """Send a request that has to be allowed. Raises Failed with what the answer says where it is not."""
        body, kind = (*content, "application/json")[:2] if content else (None, "")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        answer = self.ask(method, path, body, str(kind))  # type: ignore[arg-type]  # bytes or nothing by now
        if answer.status not in allowed:
            raise Failed(f"{what}: {method} {path} is answered with {answer}")
        return answer

    def log_in(self, password: str) -> None:
        """Log in as root."""
        until = time.monotonic() + PATIENCE
        body = json.dumps({"user": "root", "password": password}).encode()
        while True:
            answer = self.ask("POST", "/+login", body)
            if answer.status not in {429, 503} or time.monotonic() > until:
                break
            time.sleep(min(answer.wait or 2, PATIENCE))
        if answer.status != 200:
            # What devpi says of a password is not shown: it might say which.
            raise Failed(f"root cannot log in with {self.plan.password_file}: the answer is {answer.status}")
        token = json.loads(answer.body)["result"]["password"]
        self.login = {"X-Devpi-Auth": base64.b64encode(f"root:{token}".encode()).decode()}


def make_wheel() -> bytes:
    """Return a small wheel."""
    stem = "wheelhouse_proof-1.0.dist-info"
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: wheelhouse-proof\nVersion: 1.0\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            archive.writestr(zipfile.ZipInfo(f"{stem}/{name}"), text)
    return wheel.getvalue()


def make_form(content: bytes) -> tuple[bytes, str]:
    """Return an upload as twine makes one, and its type."""
    boundary = secrets.token_hex(16)
    fields = {":action": "file_upload", "name": NAME, "version": "1.0", "filetype": "bdist_wheel", "pyversion": "py3"}
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{FILE}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def remove(front: Front) -> None:
    """Remove the index, where it is there and ours. Raises Failed where it is somebody's."""
    there = front.ask("GET", f"{INDEX}?no_projects=")
    if there.status != 200:
        return
    found = json.loads(there.body)["result"]
    if found.get("title") != TITLE:
        raise Failed(f"the index {INDEX[1:]} is not ours, because its title is another one: give it another name")
    front.expect("the index of the proof cannot be removed", "DELETE", INDEX)


@contextlib.contextmanager
def index_of_its_own(front: Front) -> Iterator[None]:
    """Make the index, and remove it whatever happens."""
    remove(front)
    index = {"bases": [], "volatile": True, "acl_upload": ["root"], "title": TITLE}
    made = front.expect("no index can be made", "PUT", INDEX, index, allowed=(200, 201, 403))
    if made.status == 403:
        raise MayNot
    try:
        yield
    finally:
        remove(front)


def prove(front: Front) -> None:
    """Store a file, fetch it and remove it. Raises Failed where that does not work."""
    content = make_wheel()
    page = f"{INDEX}/+simple/{NAME}/"
    with index_of_its_own(front):
        front.expect("no file can be stored", "POST", f"{INDEX}/", *make_form(content))
        listed = front.expect("the page of the file that was stored", "GET", page).body.decode("utf-8", "replace")
        # Either as HTML or as JSON.
        links = [link for link in re.findall(r'"([^"]+)"', html.unescape(listed)) if FILE in link and "/" in link]
        if not links:
            raise Failed(f"{page} does not list {FILE}, which was stored")
        path = urlsplit(urljoin(page, links[0])).path
        fetched = front.expect("the file that was stored", "GET", path).body
        if fetched != content:
            sums = [hashlib.sha256(data).hexdigest() for data in (content, fetched)]
            raise Failed(f"{path} gives other bytes ({sums[1]}) than were stored ({sums[0]})")
    remove_folders(front.plan, path)
    if front.ask("GET", f"{INDEX}?no_projects=").status == 200:
        raise Failed(f"the index {INDEX[1:]} is there still, although it was removed")


def remove_folders(plan: Plan, path: str) -> None:
    """Remove the empty folders that devpi leaves of a file, as its user: what is in there is not root's to follow."""
    folder = Path(plan.files, "root")
    if folder.is_dir():
        owner = os.stat(plan.files)
        other = owner.st_uid != os.geteuid()
        subprocess.run(
            ["rmdir", "--parents", "--ignore-fail-on-non-empty", path.removeprefix("/root/").rpartition("/")[0]],
            cwd=folder,
            user=owner.st_uid if other else None,
            group=owner.st_gid if other else None,
            extra_groups=[] if other else None,
            capture_output=True,
            check=False,
        )


def how_nginx_ended() -> str | None:
    """Return the state of nginx.service and the last lines of its journal, None where it runs or is being started."""
    show = ["systemctl", "show", "--property=ActiveState", "--value", "nginx.service"]
    state = subprocess.run(show, capture_output=True, text=True, check=False).stdout.strip()
    if state not in {"failed", "inactive"}:
        return None
    journal = ["journalctl", "--unit=nginx.service", "--lines=5", "--output=cat", "--no-pager"]
    said = subprocess.run(journal, capture_output=True, text=True, check=False).stdout.strip()
    return f"nginx.service is {state}: {said}"


def main(text: str) -> str:
    """Do it. Returns what was done. Raises Failed."""
    given = json.loads(text)
    plan = Plan(**{**given, "port": int(given["port"])})  # Ansible before 2.19 makes texts of numbers.
    try:
        front = Front(plan)
    except OSError as error:
        raise Failed(f"{plan.trust} cannot be read: {error}") from error
    try:
        front.expect("the API", "GET", "/+api")
    except NoAnswer as reason:
        if (end := how_nginx_ended()) is None:
            raise
        raise Failed(f"{reason}, because {end}") from reason
    if not Path(plan.password_file).exists():
        return f"The API answers. No file was stored: {plan.password_file} is not there, so devpi is on another host."
    if Path(plan.read_only).exists():
        return "The API answers. No file was stored: the index is being migrated, and nobody may write."
    front.log_in(Path(plan.password_file).read_text("utf-8").strip())
    try:
        prove(front)
    except MayNot:
        return "The API answers. No file was stored: root may make no index (devpi_server_restrict_modify)."
    return "A file was stored, fetched through nginx and removed."


if __name__ == "__main__":
    try:
        print(main(sys.argv[1]))
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(2 if isinstance(error, NoAnswer) else 1)
