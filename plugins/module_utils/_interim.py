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
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page

GRACE = 1.0
"""Seconds for which it still answers at the end: devpi may have begun requests that have its URL."""


def differing_page(page: Page) -> bytes | None:
    """Return a page of the same files that devpi takes for another one, as compressed JSON with absolute URLs.

    It has a condition that each version of Python meets, another one each time: devpi may still have that of the last
    switch.

    Returns None for a page that would do harm to files in the cache. What devpi knows of them, it writes anew too
    (``save_links`` in devpi_server/model/remote.py, 7.0.0b4): it finds none without its SHA-256, and serves none
    without its size, which only JSON from version 1.1 on has.
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
    """Has ``pages`` by the name of their project, and sends who asks for anything else to ``upstream``, a URL.

    ``fetched`` holds the projects whose page was asked for.
    """

    daemon_threads = True

    def __init__(self, pages: t.Mapping[str, bytes], upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.pages = pages
        self.upstream = upstream.rstrip("/")
        self.fetched: set[str] = set()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of clients that hang up: what a module prints is its result."""


class _Handler(BaseHTTPRequestHandler):
    server: Interim

    def log_message(self, format: str, *args: t.Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Send a page, or the way to the upstream."""
        project = self.path.strip("/")
        page = self.server.pages.get(project)
        if page is None:
            self.send_response(302)
            self.send_header("Location", self.server.upstream + self.path)
        else:
            self.server.fetched.add(project)
            self.send_response(200)
            self.send_header("Content-Type", JSON_TYPE)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")


@contextmanager
def interim_upstream(pages: t.Mapping[str, bytes], upstream: str) -> t.Iterator[Interim]:
    """Let an Interim answer on a free port of loopback during a ``with`` block. Raises OSError where there is none."""
    with Interim(pages, upstream) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            time.sleep(GRACE)
            server.shutdown()
            thread.join()
