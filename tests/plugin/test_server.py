# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin in a server of its own, started as the unit does it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import devpi_wheelhouse
from devpi import ROOT_PASSWORD

BIN = Path(sys.executable).parent
#: A start takes a second with these, and eight without.
CHEAP = {"MEMORY_COST": "8192", "TIME_COST": "1", "PARALLELISM": "1"}
PLUGIN = Path(devpi_wheelhouse.__file__).parents[1]


def test_server_answers_nginx(tmp_path: Path) -> None:
    rules = tmp_path / "private.json"
    rules.write_text('[{"name": "*"}]')
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {f"DEVPISERVER_ARGON2_{name}": cost for name, cost in CHEAP.items()}
    data = f"--serverdir={tmp_path / 'data'}"
    init: list[str | Path] = [BIN / "devpi-init", data, "--no-root-pypi", f"--root-passwd={ROOT_PASSWORD}"]
    subprocess.run(init, env=environment, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        data,
        f"--port={port}",
        f"--wheelhouse-private={rules}",
        "--wheelhouse-without=writer_queue",
        "--documentation-max-mib=1",
        "--offline-mode",
    ]
    journal = tmp_path / "journal"
    with journal.open("wb") as file:
        server = subprocess.Popen(
            [BIN / "devpi-server", *options], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        headers = {"X-Need": "read", "X-Method": "GET", "X-Uri": "/root/any/+simple/", "X-Real-IP": "192.0.2.1"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/+wheelhouse/auth", headers=headers)
        status, end = 0, time.monotonic() + 120
        while not status:
            try:
                status = urllib.request.urlopen(request, timeout=5).status
            except urllib.error.HTTPError as error:
                status = error.code
            except OSError:
                assert time.monotonic() < end, journal.read_text()
                assert server.poll() is None, journal.read_text()
                time.sleep(0.1)
    finally:
        server.terminate()
        server.wait(20)
    assert status == 401
    said = [line for line in journal.read_text().splitlines() if "patch " in line]
    assert all("is switched off" in line for line in said)
    assert len(said) == 1
