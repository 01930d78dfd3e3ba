# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upstream on loopback from which devpi fetches pages for a moment."""

from __future__ import annotations

import json
import secrets
import threading
import time
import typing as t
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urljoin

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page, Probe, ProbeError

GRACE = 1.0
"""Seconds for which it still answers at the end: devpi may have begun requests that have its URL."""


PORTS = (1021, 1022, 0)
"""Where it listens: at one of two ports that only root may bind and nobody else uses (RFC 4727), because devpi may ask
no other port of its host (``network.nft`` of the role devpi_server), or else at any that is free."""


class Interim(ThreadingHTTPServer):
    """Has ``pages`` by the name of their project, None where there is none, and asks the upstream for all others.

    It asks with the login of the upstream, which devpi would not send to where it was sent on. ``login`` becomes part
    of its own URL, because devpi sends that when it fetches a file. ``fetched`` holds the projects whose page was asked
    for.
    """

    daemon_threads = True

    def __init__(self, pages: dict[str, bytes | None], upstream: Probe, login: str) -> None:
        for port in PORTS:
            try:
                super().__init__(("127.0.0.1", port), _Handler)
                break
            except OSError:
                if port == PORTS[-1]:
                    raise
        # What a run that was killed offered at the same port is not to be taken for what this one does.
        self.folder = f"/{secrets.token_hex(4)}/"
        self.url = f"http://{login}{'@' if login else ''}127.0.0.1:{self.server_port}{self.folder}"
        self.pages = pages
        self.upstream = upstream
        self.fetched: set[str] = set()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of clients that hang up: what a module prints is its result."""


class _Handler(BaseHTTPRequestHandler):
    server: Interim

    def log_message(self, format: str, *args: t.Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Send a page, or what the upstream says."""
        _before, here, path = self.path.partition(self.server.folder)
        if not here:
            # As if nothing listened, which is what devpi finds where a run was killed.
            self.close_connection = True
            return
        project = path.strip("/")
        if project not in self.server.pages:
            self._hand_on(project)
            return
        self.server.fetched.add(project)
        page = self.server.pages[project]
        if page is None:
            self._reply(404, "text/plain", b"no such page")
        else:
            self._reply(200, JSON_TYPE, page, {"Content-Encoding": "gzip"})

    def _hand_on(self, project: str) -> None:
        try:
            page = self.server.upstream.page(project)
            self._reply(page.status, page.kind, absolute(page).encode())
        except (ProbeError, ValueError, KeyError, TypeError, AttributeError):
            self._reply(502, "text/plain", b"no answer from the upstream")

    def _reply(self, status: int, kind: str, body: bytes, headers: t.Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def absolute(page: Page) -> str:
    """Return the text of a page so that its links lead to the same places from everywhere."""
    if page.status != 200:
        return page.text
    if page.kind != JSON_TYPE:
        # The first one counts (``HTMLPage`` in devpi_server/htmlpage.py).
        return page.text if "<base" in page.text.lower() else f'<base href="{page.url}">{page.text}'
    told = json.loads(page.text)
    return json.dumps({**told, "files": [{**file, "url": urljoin(page.url, file["url"])} for file in told["files"]]})


@contextmanager
def interim_upstream(pages: dict[str, bytes | None], upstream: Probe, login: str) -> t.Iterator[Interim]:
    """Let an Interim answer on a free port of loopback during a ``with`` block. Raises OSError where there is none."""
    with Interim(pages, upstream, login) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            time.sleep(GRACE)
            server.shutdown()
            thread.join()
