# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upstream index on loopback, whose behaviour a test sets: slow, down, lying, torch-like.

A unit test imports it (``with serving(Behaviour(...)) as upstream``). A playbook starts it as a command, which prints
its URL, and then sends a new behaviour with ``PUT /+behaviour`` and reads the requests so far with ``GET /+seen``:

    upstream.py '{"listing": false, "projects": {"wanted": {"wanted-1.0.tar.gz": "content"}}}'
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html"


@dataclass
class Behaviour:
    """How the upstream answers.

    ``projects`` maps the normalised name of a project to its files, each with its content. ``listing`` tells whether
    the root lists them, ``json`` whether there are JSON pages beside the HTML ones, in version 1.0 where they tell no
    ``sizes``, ``hashes`` and ``upload_times`` what they tell of a file, and ``files_at`` is the URL of another upstream
    that has the files. ``files_elsewhere`` has the URL for single files. ``hash_kind`` is what the hashes are,
    and ``hashless`` names the files without.
    ``serial`` is sent with each page, and changes by ``serial_step`` each time. ``unknown_status`` is the answer for a
    project or a file that is not there. ``content_type`` overrides the right one of pages and
    ``file_type`` that of files, ``etag`` is sent with each page.
    ``login`` is the user and the password (``user:password``) without which the answer is 401.
    ``html_base`` is what the ``<base href>`` of HTML pages says; their links then are relative to it. ``redirects``
    maps paths to where they lead.
    ``refused_agent`` is a part of the User-Agents that get a 403. ``lies`` maps names of files to the content that is
    sent instead of theirs, ``cut_off`` names the files that end in the middle. ``delay`` and ``file_seconds`` are what
    an answer and a file take, in seconds; ``down`` resets each connection.
    """

    projects: dict[str, dict[str, str]] = field(default_factory=dict)
    listing: bool = True
    json: bool = True
    sizes: bool = True
    hashes: bool = True
    hash_kind: str = "sha256"
    hashless: list[str] = field(default_factory=list)
    upload_times: bool = False
    files_at: str = ""
    files_elsewhere: dict[str, str] = field(default_factory=dict)
    serial: int | None = None
    serial_step: int = 0
    unknown_status: int = 404
    content_type: str = ""
    file_type: str = "application/octet-stream"
    etag: str = ""
    login: str = ""
    html_base: str = ""
    redirects: dict[str, str] = field(default_factory=dict)
    refused_agent: str = ""
    lies: dict[str, str] = field(default_factory=dict)
    cut_off: list[str] = field(default_factory=list)
    delay: float = 0
    file_seconds: float = 0
    down: bool = False


class Upstream:
    """A running upstream.

    ``seen`` holds the path and the User-Agent of each request for a page or a file, ``logins`` the path and what came
    with it as Authorization.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.url = ""
        self.logins: list[tuple[str, str]] = []
        self.seen: list[tuple[str, str]] = []

    @property
    def simple_url(self) -> str:
        """The URL that a mirror index needs."""
        return f"{self.url}/simple/"

    def next_serial(self) -> int | None:
        """Return the serial for a page, and move on."""
        serial = self.behaviour.serial
        if serial is not None:
            self.behaviour.serial = serial + self.behaviour.serial_step
        return serial

    def page(self, project: str | None, as_json: bool) -> str | None:
        """Return the page of a project, or the list of all where it is None; None where there is no such page."""
        projects = self.behaviour.projects
        if project is None:
            return None if not self.behaviour.listing else self._list(as_json)
        if project not in projects:
            return None
        files = self.files(project)
        if as_json:
            version = "1.1" if self.behaviour.sizes else "1.0"
            return json.dumps({"meta": {"api-version": version}, "name": project, "files": files})
        base = self.behaviour.html_base
        links = (
            (
                (file["filename"] if base else file["url"])
                + "".join(f"#{kind}={digest}" for kind, digest in file["hashes"].items()),
                file["filename"],
            )
            for file in files
        )
        return (f'<base href="{base}">\n' if base else "") + _html(links)

    def files(self, project: str) -> list[dict[str, Any]]:
        """Return what the page of a project says of its files, as in JSON."""
        return [self._file(name, content) for name, content in self.behaviour.projects[project].items()]

    def _list(self, as_json: bool) -> str:
        names = list(self.behaviour.projects)
        if as_json:
            return json.dumps({"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]})
        return _html((f"{name}/", name) for name in names)

    def _file(self, name: str, content: str) -> dict[str, Any]:
        kind = self.behaviour.hash_kind
        with_hash = self.behaviour.hashes and name not in self.behaviour.hashless
        place = self.behaviour.files_elsewhere.get(name, self.behaviour.files_at or self.url)
        file: dict[str, Any] = {
            "filename": name,
            "url": f"{place}/files/{name}",
            "hashes": {kind: hashlib.new(kind, content.encode()).hexdigest()} if with_hash else {},
        }
        if self.behaviour.sizes:
            file["size"] = len(content.encode())
        if self.behaviour.upload_times:
            file["upload-time"] = "2026-01-02T03:04:05.000000Z"
        return file


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _html(links: Iterator[tuple[str, str]]) -> str:
    return "<!DOCTYPE html>\n" + "\n".join(f'<a href="{url}">{text}</a><br/>' for url, text in links)


class Handler(BaseHTTPRequestHandler):
    """One request to an upstream."""

    upstream: Upstream

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_PUT(self) -> None:
        """Take a new behaviour; what it does not name is as usual again."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.upstream.behaviour = Behaviour(**json.loads(body))
        self.upstream.seen.clear()
        self._reply(200, "{}", "application/json")

    def do_GET(self) -> None:
        """Answer as the behaviour says."""
        if self.path == "/+seen":
            self._reply(200, json.dumps(self.upstream.seen), "application/json")
            return
        behaviour = self.upstream.behaviour
        agent = self.headers.get("User-Agent", "")
        self.upstream.seen.append((self.path, agent))
        self.upstream.logins.append((self.path, self.headers.get("Authorization", "")))
        time.sleep(behaviour.delay)
        if behaviour.down:
            # With this option, closing sends a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif behaviour.login and self.headers.get("Authorization") != _basic(behaviour.login):
            self._reply(401, "Who are you?", "text/plain")
        elif self.path in behaviour.redirects:
            self._reply(302, "over there", "text/plain", {"Location": behaviour.redirects[self.path]})
        elif behaviour.refused_agent and behaviour.refused_agent in agent:
            self._reply(403, "This agent is not welcome.", "text/plain")
        elif self.path.startswith("/files/"):
            self._send_file(self.path.rpartition("/")[2])
        else:
            self._send_page()

    def _send_file(self, name: str) -> None:
        behaviour = self.upstream.behaviour
        for files in behaviour.projects.values():
            if name in files:
                content = behaviour.lies.get(name, files[name])
                self._reply(200, content, behaviour.file_type, cut_off=name in behaviour.cut_off)
                return
        self._reply(behaviour.unknown_status, "no such file", "text/plain")

    def _send_page(self) -> None:
        behaviour = self.upstream.behaviour
        as_json = behaviour.json and JSON_TYPE in self.headers.get("Accept", "")
        project = self.path.removeprefix("/simple").strip("/") or None
        page = self.upstream.page(project, as_json)
        if page is None:
            self._reply(behaviour.unknown_status, "no such page", "text/plain")
            return
        if behaviour.etag and self.headers.get("If-None-Match") == behaviour.etag:
            self._reply(304, "", HTML_TYPE)
            return
        serial = self.upstream.next_serial()
        headers = {} if serial is None else {"X-PyPI-Last-Serial": str(serial)}
        if behaviour.etag:
            headers["ETag"] = behaviour.etag
        self._reply(200, page, behaviour.content_type or (JSON_TYPE if as_json else HTML_TYPE), headers)

    def _reply(
        self, status: int, text: str, kind: str, headers: dict[str, str] | None = None, cut_off: bool = False
    ) -> None:
        body = text.encode()
        pieces = 20 if self.path.startswith("/files/") and self.upstream.behaviour.file_seconds else 1
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            sent = body[: len(body) // 2] if cut_off else body
            size = -(-len(sent) // pieces)
            for piece in range(pieces):
                self.wfile.write(sent[piece * size : (piece + 1) * size])
                time.sleep(self.upstream.behaviour.file_seconds / pieces if pieces > 1 else 0)
        except ConnectionError:
            # The other side did not wait for a slow answer.
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """Serves one upstream on a port of loopback, with TLS where a file with certificate and key is given."""

    daemon_threads = True

    def __init__(self, upstream: Upstream, certificate: str | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), type("BoundHandler", (Handler,), {"upstream": upstream}))
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake belongs into the thread of the request, where one that fails stops nobody else.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        upstream.url = f"{scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up, such as one that does not trust the certificate."""


@contextmanager
def serving(behaviour: Behaviour, certificate: str | None = None) -> Iterator[Upstream]:
    """Let an upstream answer at its ``url``."""
    upstream = Upstream(behaviour)
    server = Server(upstream, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until killed. Arguments: the behaviour as JSON, a file with certificate and key for TLS (or ''), a port."""
    behaviour, certificate, port = [*sys.argv[1:], *("{}", "", "0")[len(sys.argv) - 1 :]]
    upstream = Upstream(Behaviour(**json.loads(behaviour)))
    server = Server(upstream, certificate or None, int(port))
    print(upstream.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
