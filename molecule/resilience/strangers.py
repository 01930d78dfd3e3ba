# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody gets a page that was made for somebody else, in whatever order they ask; and what may be kept is kept.

A server that writes on each page who asked for it stands in for devpi, whose socket must be free.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from checks import Checks
from front import JSON_TYPE, ask

SOCKET = Path("/run/devpi/devpi.sock")
PAGE = "/team/public/+simple/kept/"
#: devpi has another page for browsers, with buttons. Whoever asks for JSON gets the same, whatever the agent.
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
WHO: dict[str, dict[str, str]] = {
    "nobody": {},
    "password": {"Authorization": "Basic c29tZWJvZHk6c2VjcmV0"},
    "token": {"X-Devpi-Auth": "dG9rZW4="},
    "session": {"Cookie": "auth_tkt=session"},
}
# What these indexes inherit, and how they answer for a project. Of an index that inherits a mirror without an answer,
# devpi says that it does not have the project.
BASES = {
    "/team/blind": ["team/fine", "team/between"],
    "/team/between": ["team/broken", "team/blind"],
    "/team/sees": ["team/fine", "team/sees"],
}
STATUS = {"/team/blind": 404, "/team/between": 404, "/team/sees": 404, "/team/fine": 404, "/team/broken": 502}


class Devpi(BaseHTTPRequestHandler):
    """Answers each page with who asked, and keeps count. Needs a login below /team/secret, forgets files at first."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer."""
        by = next((name for name, headers in WHO.items() if any(name in self.headers for name in headers)), "nobody")
        if self.path.endswith("?no_projects="):
            self._send(200, {"result": {"type": "stage", "bases": BASES.get(self.path.partition("?")[0], [])}})
            return
        if unquote(self.path) == "/+wheelhouse/auth":
            # The judge in nginx asks whether a login may do this: here, each may.
            self.send_response(204)
            self.end_headers()
            return
        first = self.path not in self.asked
        self.asked.append(self.path)
        files = [] if "/empty/" in self.path or ("/forgetful/" in self.path and first) else [{"filename": by}]
        absolute = "X-Devpi-Absolute-Urls" in self.headers
        status = 401 if "/secret/" in self.path and by == "nobody" else 200
        status = next((code for index, code in STATUS.items() if self.path.startswith(f"{index}/")), status)
        self._send(status, {"by": by, "absolute": absolute, "files": files})

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON_TYPE)
        self.send_header("X-Devpi-Serial", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # Who asks for the serial reads the headers alone.
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)


class SocketServer(ThreadingHTTPServer):
    """A server that listens at SOCKET."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind, without a look-up of a host name."""
        self.socket.bind(str(SOCKET))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer. The client of a unix socket has no address."""
        super().finish_request(request, ("localhost", 0))


def requests_for(path: str, times: int, headers: dict[str, str] | None = None) -> int:
    """Ask for a page so many times. Returns how many requests for it devpi got; nginx asks for the serial as well."""
    before = len(Devpi.asked)
    for _time in range(times):
        ask(path, headers=headers or {})
    return Devpi.asked[before:].count(path)


def main() -> int:
    """Returns the exit status."""
    SOCKET.unlink(missing_ok=True)
    server = SocketServer(("", 0), Devpi)
    SOCKET.chmod(0o660)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    checks = Checks()
    for number, order in enumerate(itertools.permutations(WHO)):
        for index, who in itertools.product(("public", "secret"), order + order):
            status, _headers, body = ask(f"/team/{index}/+simple/order{number}/", headers=WHO[who])
            checks.expect(f"page of {index} for {who} in {order}", json.loads(body)["by"], who)
            checks.expect(
                f"status of {index} for {who} in {order}", status, 401 if (index, who) == ("secret", "nobody") else 200
            )

    checks.expect("requests for a page", requests_for(PAGE, 3), 1)
    checks.expect("requests for a page with a login", requests_for(PAGE, 3, WHO["token"]), 3)
    checks.expect("requests for a browser's page", requests_for(PAGE, 2, BROWSER), 2)
    checks.expect("requests for the API", requests_for("/team/public/+api", 3), 3)
    checks.expect("requests for the status, which is closed", requests_for("/+status", 3), 0)
    checks.expect("requests with a query", requests_for("/team/public/+simple/kept/?no=cache", 2), 2)
    checks.expect("requests for another kind of page", requests_for(PAGE, 2, {"Accept": "text/html"}), 1)
    # devpi is asked twice each time, and the page is not kept.
    checks.expect("requests for a page without files", requests_for("/team/public/+simple/empty/", 3), 6)
    forgetful = json.loads(ask("/team/public/+simple/forgetful/")[2])
    checks.expect("files of a page that had none at first", forgetful["files"], [{"filename": "nobody"}])

    checks.expect("project that a mirror may have", ask("/team/blind/+simple/some/")[0], 502)
    checks.expect("project that nobody has", ask("/team/sees/+simple/some/")[0], 404)

    ask("/team/public/+simple/absolute/", headers={"X-Devpi-Absolute-Urls": "1"})
    checks.expect("absolute links for others", json.loads(ask("/team/public/+simple/absolute/")[2])["absolute"], False)
    etag = ask(PAGE)[1]["etag"]
    checks.expect("page that the client has", ask(PAGE, headers={"If-None-Match": etag})[0], 304)

    before = len(Devpi.asked)
    herd_page = "/team/public/+simple/herd/"
    herd = [threading.Thread(target=ask, args=(herd_page,)) for _number in range(30)]
    for thread in herd:
        thread.start()
    for thread in herd:
        thread.join()
    checks.expect("requests for a page that 30 clients wait for", Devpi.asked[before:].count(herd_page), 1)
    server.shutdown()
    return checks.report()


if __name__ == "__main__":
    sys.exit(main())
