"""Ask for everything that devpi has a route for, through nginx and without a login, and compare with surface.json.

Run on the host with devpi's own Python: surface.py URL SOCKET_OF_DEVPI TABLE. The routes are those of the installed
server with its plugins. Fails where something is open that the table does not name, or where the table is wrong.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import re
import socket
import ssl
import sys
import tempfile
import urllib.parse
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devpi_server.config import get_pluginmanager, parseoptions
from devpi_server.main import XOM

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "PUSH"]
#: How clients say what they want to read, and who they are. It makes a difference to a GET alone.
KINDS = {
    "data": ("application/json", "surface"),
    "page": ("text/html,*/*;q=0.8", "surface"),
    "any": ("text/html;q=0, */*", "surface"),
    "list": ("application/vnd.pypi.simple.v1+json", "pip/25.0"),
}
#: Nobody without a login gets further with these. 404 is devpi's answer to a method that a route does not know.
CLOSED = {401, 403, 404, 405}
USER = "surface"
#: A mail address, and the password in the URL of a mirror. No answer may have them.
SECRETS = ["secret-address", "secret-of-a-mirror"]


def routes() -> list[str]:
    """Return the patterns of all routes of devpi-server and its plugins, by the application that it would run."""
    # Cheap parameters for a secret that signs nothing.
    cheap = ["--argon2-memory-cost=8", "--argon2-parallelism=1", "--argon2-time-cost=1"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["devpi-server", "--serverdir", folder, "--indexer-backend=null", *cheap]
        config = parseoptions(get_pluginmanager(), arguments)
        config.init_nodeinfo()
        introspector = XOM(config).create_app().app.registry.introspector
        patterns = {entry["introspectable"]["pattern"] for entry in introspector.get_category("routes")}
    # The version in a path is not part of the promise.
    return sorted(re.sub(r"\+static-[^/]+", "+static-VERSION", f"/{pattern.lstrip('/')}") for pattern in patterns)


class Server:
    """devpi behind nginx, or devpi itself, on this host, whatever its name resolves to."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host = parts.netloc or "localhost"
        self.name = parts.hostname or "localhost"
        self.port = parts.port or 443
        self._context = None
        self._path = parts.path if parts.scheme == "unix" else None
        if parts.scheme == "https":
            # What is asked is what nginx answers, not who it is. One context for all, because each costs.
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def socket(self, source: str = "", to: str = "127.0.0.1") -> socket.socket:
        """Return a new connection, from an address and to one of this host. Raises OSError."""
        if self._path:
            local = socket.socket(socket.AF_UNIX)
            local.settimeout(60)
            local.connect(self._path)
            return local
        plain = socket.create_connection((to, self.port), 60, (source, 0) if source else None)
        return self._context.wrap_socket(plain, server_hostname=self.name) if self._context else plain

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Ask. Returns status and body. Raises OSError or HTTPException."""
        connection = http.client.HTTPConnection(self.name, self.port)
        connection.sock = self.socket()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Host": self.host, **named})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Owner:
    """A user with an index and a release that has documentation, made by root and removed at the end."""

    def __init__(self, devpi: Server) -> None:
        self._devpi = devpi
        password = Path("/etc/devpi/root-password").read_text().rstrip("\n")
        said = self.ask("POST", "/+login", {"user": "root", "password": password})
        self.token = base64.b64encode(f"root:{said['result']['password']}".encode()).decode()

    token = ""

    def ask(self, method: str, path: str, data: object) -> Any:
        """Send and return JSON. Raises ValueError where devpi refuses."""
        return self.send(method, path, json.dumps(data).encode(), "application/json")

    def send(self, method: str, path: str, body: bytes, kind: str) -> Any:
        """Send a body, return JSON. Raises ValueError where devpi refuses."""
        headers = {"Content_Type": kind, "Accept": "application/json", "X_Devpi_Auth": self.token}
        status, said = self._devpi.ask(method, path, body, **headers)
        if status not in {200, 201}:
            raise ValueError(f"{method} {path}: {status} {said[:300]!r}")
        return json.loads(said) if said.startswith(b"{") else None

    def upload(self, action: str, file: str, content: bytes, **fields: str) -> None:
        """Upload a file as twine does, or documentation with the action `doc_upload`."""
        boundary = uuid.uuid4().hex
        lines = b""
        for field, value in {":action": action, "metadata_version": "2.1", **fields}.items():
            lines += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        lines += f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{file}"\r\n\r\n'.encode()
        lines += content + f"\r\n--{boundary}--\r\n".encode()
        self.send("POST", f"/{USER}/open/", lines, f"multipart/form-data; boundary={boundary}")

    def __enter__(self) -> Owner:
        with contextlib.suppress(ValueError):  # Nothing is left of a run that was stopped.
            self.ask("DELETE", f"/{USER}", {})
        self.ask("PUT", f"/{USER}", {"password": uuid.uuid4().hex, "email": f"{SECRETS[0]}@surface.test"})
        self.ask("PUT", f"/{USER}/open", {"type": "stage", "bases": [], "acl_upload": ["root"]})
        # Nobody answers there.
        mirror = {"type": "mirror", "mirror_url": f"http://reader:{SECRETS[1]}@127.0.0.1:9/simple/"}
        self.ask("PUT", f"/{USER}/mirror", mirror)
        self.upload("file_upload", "thing-1.0.tar.gz", b"not an archive", name="thing", version="1.0", filetype="sdist")
        pages = io.BytesIO()
        with zipfile.ZipFile(pages, "w") as archive:
            archive.writestr("index.html", "documentation")
        self.upload("doc_upload", "thing.doc.zip", pages.getvalue(), name="thing", version="1.0")
        return self

    def __exit__(self, *_of_what: object) -> None:
        self.ask("DELETE", f"/{USER}", {})


def paths(nginx: Server) -> dict[str, str]:
    """Return what stands for the parts of a pattern."""
    _status, page = nginx.ask("GET", f"/{USER}/open/+simple/thing/", Accept="text/html")
    found = re.search(rb'href="[^"]*/\+[ef]/([^"#]+)', page)
    if found is None:
        raise ValueError("the release is not on its page")
    return {
        "user": USER,
        "index": "open",
        "project": "thing",
        "version": "1.0",
        "relpath": found[1].decode(),
        "serial": "0",
        "basename": "thing-1.0.tar.gz",
        "toxresult": "result",
    }


def path_of(pattern: str, parts: dict[str, str]) -> str:
    """Return a path that fits a pattern, with objects that are there."""
    parts = dict(parts, relpath="index.html") if "+doc" in pattern or "+d/" in pattern else parts
    path = re.sub(r"\{(\w+)[^{}]*(\{[^{}]*\})?[^{}]*\}", lambda match: parts[match[1]], pattern)
    return path.replace("+static-VERSION/*subpath", parts["static"])


def measured(nginx: Server, patterns: list[str], parts: dict[str, str]) -> Iterator[tuple[str, str, int, bytes]]:
    """Ask for each route by each method. Yields what was asked, in words of the table, and the status and the body."""
    for pattern in patterns:
        for method in METHODS:
            for kind, (accept, agent) in KINDS.items() if method == "GET" else [("data", KINDS["data"])]:
                body = b"{}" if method != "GET" else b""
                headers = {"Accept": accept, "User_Agent": agent, "Content_Type": "application/json"}
                status, said = nginx.ask(method, path_of(pattern, parts), body, **headers)
                yield pattern, f"{method} {kind}" if method == "GET" else method, status, said


def main(url: str, path: str, table: str) -> int:
    """Print where the table is wrong, and what is right. Returns the exit status."""
    known: dict[str, dict[str, int]] = {row["route"]: row["open"] for row in json.loads(Path(table).read_text())}
    nginx, patterns = Server(url), routes()
    found: dict[str, dict[str, int]] = {pattern: {} for pattern in patterns}
    asked, wrong = 0, []
    with Owner(Server(f"unix://{path}")):
        parts = paths(nginx)
        page = nginx.ask("GET", "/", Accept="text/html")[1].decode()
        parts["static"] = re.findall(r"/(\+static-[^/]+/[^\"?]+\.css)", page)[0]
        for route, how, status, said in measured(nginx, patterns, parts):
            asked += 1
            if status not in CLOSED:
                found[route][how] = status
            wrong += [f"{how} {route} shows the {secret}" for secret in SECRETS if secret.encode() in said]
        for accept, agent in KINDS.values():
            for login in ({}, {"X_Devpi_Auth": base64.b64encode(b"root:guess").decode()}):
                path = f"/{USER}/mirror?no_projects="
                said = nginx.ask("GET", path, b"", Accept=accept, User_Agent=agent, **login)[1]
                wrong += [f"{path} as {accept} shows the {secret}" for secret in SECRETS if secret.encode() in said]
                if accept == "application/json" and b'"mirror_url": "http://127.0.0.1:9/simple/"' not in said:
                    wrong.append(f"{path} is not the index without its secret: {said.decode()}")
    for route in sorted(found.keys() | known.keys()):
        if found.get(route) != known.get(route):
            told = (json.dumps(table.get(route, "no such route")) for table in (found, known))
            wrong.append("{}: is open by {}, the table says {}".format(route, *told))
    print(f"{len(patterns)} routes, {asked} questions, {sum(map(len, found.values()))} answered without a login")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
