# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upstream on loopback from which devpi 7 fetches pages for a moment, so that it writes the URLs of files anew.

devpi 7.0.0b4 keeps the links of a project, and with them the URL that each file will be fetched from, as long as its
page says the same of them; URLs are not compared (``get_simplelinks_perstage`` and ``SimplelinkMeta.__hash__`` in
devpi_server/model). So the pages say here what means the same and reads differently. The next page that devpi fetches
from the true upstream differs again, and what it says is taken over as usual.
"""

from __future__ import annotations

import gzip
import json
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


def differing_page(page: Page) -> bytes | None:
    """Return a page of the same files that devpi takes for another one, as compressed JSON with absolute URLs.

    It has a condition that each version of Python meets, another one each time: devpi may still have that of the last
    switch.

    Returns None for a page that would do harm to files in the cache. What devpi knows of them, it writes anew too. It
    finds none without its SHA-256, and answers 500 for one without its size, which only JSON from version 1.1 on has:
    ``save_links`` (devpi_server/model/remote.py, 7.0.0b4, lines 630 and 672) puts the size that the page gives, None,
    in place of the known one, and ``gethttpheaders`` (filestore.py) makes the header ``Content-Length: None`` of it.
    That needs no switch: mirror a page in HTML with hashes, fetch a file, and let the page get another one.
    """
    any_python = f">=0.{time.time_ns()}"
    try:
        told = json.loads(page.text) if (page.status, page.kind) == (200, JSON_TYPE) else {}
        major, minor = (int(part) for part in told["meta"]["api-version"].split("."))
        files = [
            {
                **file,
                "url": urljoin(page.url, file["url"]),
                "requires-python": ",".join(filter(None, (any_python, file.get("requires-python")))),
            }
            for file in told["files"]
        ]
        harmless = all(isinstance(file["size"], int) and file["hashes"]["sha256"] for file in files)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if major != 1 or minor < 1 or not harmless:
        return None
    return gzip.compress(json.dumps({"meta": {"api-version": "1.1"}, "name": told["name"], "files": files}).encode())


class Interim(ThreadingHTTPServer):
    """Has ``pages`` by the name of their project, None where there is none, and asks the upstream for all others.

    It asks with the login of the upstream, which devpi would not send to where it was sent on. ``login`` becomes part
    of its own URL, because devpi sends that when it fetches a file. ``fetched`` holds the projects whose page was asked
    for.
    """

    daemon_threads = True

    def __init__(self, pages: t.Mapping[str, bytes | None], upstream: Probe, login: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://{login}{'@' if login else ''}127.0.0.1:{self.server_port}/"
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
        project = self.path.strip("/")
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
def interim_upstream(pages: t.Mapping[str, bytes | None], upstream: Probe, login: str = "") -> t.Iterator[Interim]:
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
