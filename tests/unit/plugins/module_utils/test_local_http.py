# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to a server of this host, by a unix socket and by a port."""

from __future__ import annotations

import os
import socketserver
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _local_http
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi


class Answers(BaseHTTPRequestHandler):
    """Answers as the API of a devpi does, and a POST with its body."""

    def do_GET(self) -> None:
        """Answer as the API does."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"type": "apiconfig"}')

    def do_POST(self) -> None:
        """Answer with what was sent."""
        self.send_response(201)
        self.end_headers()
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a.sock"
    with socketserver.UnixStreamServer(str(path), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
def test_a_unix_socket_answers(path: Path, scheme: str) -> None:
    assert _local_http.is_devpi(f"{scheme}{path}", 5)
    status, _headers, body = _local_http.get(f"{scheme}{path}", "/x", {}, 5, b"sent", {os.getuid()})
    assert (status, body) == (201, b"sent")


def test_nothing_is_sent_to_somebody_else(path: Path) -> None:
    with pytest.raises(PermissionError, match="who is not devpi"):
        _local_http.get(f"unix:{path}", "/+login", {}, 5, b"password", {os.getuid() + 1})


def test_a_port_answers_and_nobody_does(devpi: FakeDevpi, free_port: int, tmp_path: Path) -> None:
    assert _local_http.is_devpi(devpi.url, 5)
    assert not _local_http.is_devpi(f"http://127.0.0.1:{free_port}", 5)
    assert not _local_http.is_devpi(f"unix:{tmp_path}/none.sock", 5)
