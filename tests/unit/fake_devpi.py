# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on loopback that behaves as devpi-server does, and misbehaves when a test says so."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

JSON_TYPE = "application/vnd.pypi.simple.v1+json"

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks upstreams. Made once, because each reads the CAs of the system from Python 3.12 on, 20 ms of a core."""

Run = Callable[..., dict[str, Any]]
"""Runs a module and returns what it prints for Ansible."""


class FakeDevpi:
    """devpi-server, as far as the collection talks to it.

    ``users`` is what GET / returns; ``uploads`` the projects of an index, or those that a mirror has in its cache;
    ``cached_files`` the projects of which a mirror has files too; ``stored`` the names of those; ``links`` from which
    upstream a mirror's links to a project are; ``not_upstream`` projects that an upstream does not have; ``files`` what
    devpi keeps of the page of a project, as JSON tells it; ``rules`` what it keeps at a project; ``upstream_names`` the
    projects that mirrors have pages of.
    ``seen`` is every request so far, ``bodies`` what they sent, ``connections`` how many there were.
    ``mischief`` holds answers to give instead of the right one: a function for each request, first come first served,
    None for a request that shall be answered as usual.
    """

    def __init__(self, version: str = "6.20.3") -> None:
        self.version = version
        self.url = ""
        self.serial = 0
        self.users: dict[str, Any] = {"root": {"username": "root", "indexes": {}}}
        self.passwords = {"root": "rootpw"}
        self.uploads: dict[str, list[str]] = {}
        self.cached_files: set[str] = set()
        self.stored: set[str] = set()
        self.links: dict[str, str] = {}
        self.not_upstream: set[str] = set()
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.upstream_names: set[str] = set()
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.mischief: list[Callable[[Handler], None] | None] = []
        self.tokens: dict[str, str] = {}
        self.connections = 0

    @property
    def written(self) -> list[tuple[str, str]]:
        """The requests that change something."""
        return [request for request in self.seen if request[0] != "GET" and request[1] != "/+login"]

    def expire_logins(self) -> None:
        """Forget all logins, as a restart without a secret file does."""
        self.tokens.clear()

    def who_asks(self, user: str, secret: str) -> str | None:
        """Return the user whose login this is, None for nobody."""
        return self.tokens.get(secret)

    def parsed(self, body: bytes, headers: Message) -> Any:
        """Return what a request sent, from JSON."""
        return json.loads(body) if body else None

    def answer(self, method: str, path: str, body: Any, user: str | None) -> tuple[int, dict[str, Any] | bytes]:
        """Return status and JSON, or else the bytes, for one request."""
        if path == "/+login":
            return self._log_in(body)
        if path == "/+api":
            status = ["ok", user, []] if user else ["noauth", "", []]
            return 200, {"type": "apiconfig", "result": {"authstatus": status, "features": ["server-keyvalue-parsing"]}}
        if method == "GET" and path == "/":
            return 200, {"result": copy.deepcopy(self.users)}
        name, index, project, *rest = [*unquote(path.partition("?")[0]).strip("/").split("/"), "", "", ""]
        if project == "+simple":
            return self._simple(name, index, *rest[:2])
        if method == "GET" and project == "+f":
            return 200, {"result": self._describe(f"{name}/{index}/", rest[0])}
        if method == "GET":
            return 200, {"result": self._read(name, index, project)}
        if user != "root":
            return 403, {"message": "Access was denied. Unauthorized: PyPIView failed permission check"}
        self.serial += 1
        if project:
            self._write_project(method, f"{name}/{index}", project, bool(rest[0]), body)
        elif index:
            self._write_index(method, self.users[name]["indexes"], index, body)
        else:
            self._write_user(method, name, body)
        return 200, {"result": {}}

    def answers_itself(self, _handler: Handler) -> bool:
        """Give the whole answer to a request that is not answered with JSON. Returns whether it was such a one."""
        return False

    def _simple(self, name: str, index: str, project: str, refresh: str) -> tuple[int, dict[str, Any]]:
        if f"{name}/{index}/{project}" in self.upstream_names:
            return 200, {"files": []}
        had = self.files.get(f"{name}/{index}/{project}")
        if not refresh and had is not None:
            return 200, {"files": [{**file, "url": f"../../+f/{file['filename']}"} for file in had]}
        if not refresh:
            return 404, {}
        if project in self.not_upstream and ";to=" not in self.users[name]["indexes"][index].get("mirror_url", ""):
            return 404, {}
        if self.version >= "7" or project in self.not_upstream:
            self.fetch_page(f"{name}/{index}", project)
        else:
            self.links[f"{name}/{index}/{project}"] = self.users[name]["indexes"][index]["mirror_url"].partition("#")[0]
        return 302, {}

    def _upstream(self, user: str, index: str) -> str:
        """Return what a mirror fetches from, without mark and login."""
        config = self.users[user]["indexes"][index]
        url = config["remote_url" if self.version >= "7" else "mirror_url"].partition("#")[0]
        return re.sub("//[^/]*@", "//", url)

    def fetch_page(self, index: str, project: str) -> None:
        """Do what devpi 7 does, which compares a page with what it has, but for the URLs, and keeps what is equal."""
        user, name = index.split("/")
        url = self._upstream(user, name)
        request = urllib.request.Request(f"{url}{project}/", headers={"Accept": JSON_TYPE})
        try:
            with DIRECTLY.open(request) as answer:
                compressed = answer.headers["Content-Encoding"] == "gzip"
                files = json.loads(gzip.decompress(answer.read()) if compressed else answer.read())["files"]
        except (OSError, ValueError):
            return
        had = self.files.get(f"{index}/{project}")
        if [{**file, "url": ""} for file in files] != [{**file, "url": ""} for file in had or ()]:
            self.files[f"{index}/{project}"] = files

    def _describe(self, index: str, filename: str) -> dict[str, Any]:
        """Return what devpi says of a file, with ``last_modified`` where it is in its cache."""
        pages = (page for project, page in self.files.items() if project.startswith(index))
        known = next(file for page in pages for file in page if file["filename"] == filename)
        told = {name: known[name] for name in ("url", "size", "hashes")}
        return {**told, "last_modified": "now"} if filename in self.stored else told

    def _read(self, name: str, index: str, project: str) -> dict[str, Any]:
        if project:
            rules = self.rules.get(f"{name}/{index}/{project}", {})
            return {"config": {"name": project, **rules}, "versions": {"1.0": {}} if project == "released" else {}}
        return {**self.users[name]["indexes"][index], "projects": self.uploads.get(f"{name}/{index}", [])}

    def _write_project(self, method: str, index: str, project: str, is_version: bool, body: Any) -> None:
        """Do what devpi 7 does, which forgets the links of a project without files."""
        projects = self.uploads.setdefault(index, [])
        if method == "DELETE":
            if not (is_version and project in self.cached_files):
                projects.remove(project)
                self.rules.pop(f"{index}/{project}", None)
            return
        rules = self.rules.setdefault(f"{index}/{project}", {})
        if isinstance(body, list):
            rules.clear()
        else:
            rules.update(body)
        if project not in projects:
            projects.append(project)

    def _log_in(self, body: Any) -> tuple[int, dict[str, Any]]:
        if self.passwords.get(body["user"]) != body["password"]:
            return 401, {"message": f"user {body['user']!r} could not be authenticated"}
        token = f"token-{len(self.seen)}"
        self.tokens[token] = body["user"]
        return 200, {"result": {"password": token, "expiration": 36000}}

    def _write_index(self, method: str, indexes: dict[str, Any], name: str, body: Any) -> None:
        if method == "DELETE":
            del indexes[name]
        elif isinstance(body, list):
            for removal in body:
                indexes[name].pop(removal.removesuffix("-="), None)
        else:
            indexes[name] = {"volatile": True, **indexes.get(name, {}), **body}

    def _write_user(self, method: str, name: str, body: Any) -> None:
        if method == "DELETE":
            del self.users[name]
            return
        user = self.users.setdefault(name, {"username": name, "indexes": {}})
        if "password" in body:
            self.passwords[name] = body.pop("password")
        user.update(body)


class Handler(BaseHTTPRequestHandler):
    """One request to a FakeDevpi."""

    fake: FakeDevpi
    #: With it, connections stay open where the client does not say that it closes them.
    protocol_version = "HTTP/1.1"
    #: Otherwise the second part of an answer waits 40 ms on a connection that stays open.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Count the connections."""
        self.fake.connections += 1
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def handle_request(self) -> None:
        """Answer as devpi-server does, unless a test wants otherwise."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fake.seen.append((self.command, self.path))
        self.fake.bodies.append(self.fake.parsed(body, self.headers))
        trick = self.fake.mischief.pop(0) if self.fake.mischief else None
        if trick:
            trick(self)
            return
        if self.fake.answers_itself(self):
            return
        name, _colon, secret = base64.b64decode(self.headers.get("X-Devpi-Auth", "")).decode().partition(":")
        user = self.fake.who_asks(name, secret)
        status, data = self.fake.answer(self.command, self.path, self.fake.bodies[-1], user)
        self.reply(status, data if isinstance(data, bytes) else json.dumps(data))

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Take every method of HTTP (``do_GET`` and its like)."""
        if name.startswith("do_"):
            return self.handle_request
        raise AttributeError(name)

    def reply(self, status: int, text: str | bytes, kind: str = "application/json", **headers: str) -> None:
        """Send one answer with the headers of devpi-server."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        content = text.encode() if isinstance(text, str) else text
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Devpi-Server-Version", self.fake.version)
        self.send_header("X-Devpi-Serial", str(self.fake.serial))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        """Break the connection hard, so that the client gets a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def hang(self) -> None:
        """Say nothing until the client goes away."""
        self.connection.settimeout(60)
        self.connection.recv(1)
        self.close_connection = True


@contextmanager
def serving(fake: FakeDevpi) -> Iterator[FakeDevpi]:
    """Let the fake answer at its ``url``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"fake": fake}))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
