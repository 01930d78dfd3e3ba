# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this scenario share: they ask the nginx of their own host, and use real clients."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.request
import uuid
from pathlib import Path

from make_wheel import make_wheel

DOMAIN = "resilience.test"
SITE = f"https://{DOMAIN}"
CA = "/etc/devpi-ca/ca.crt"
USER, PASSWORD = "team", "the password of the team"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
UPSTREAM = (Path(__file__).parent / "url").read_text().strip()
UV = next(Path("/opt/devpi/uv").glob("*/bin/uv"))
TLS = ssl.create_default_context(cafile=CA)


class Connection:
    """A kept-alive connection to the front."""

    def __init__(self) -> None:
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer. Raises OSError or HTTPException where there is none.

        A connection that nginx closed while it was idle is opened anew, as every client does (RFC 9112, 9.3.1).
        """
        reused = self._connection is not None
        try:
            return self._ask(path, method, body, headers or {})
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not reused:
                raise
            return self._ask(path, method, body, headers or {})

    def _ask(
        self, path: str, method: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        if self._connection is None:
            connection = http.client.HTTPSConnection(DOMAIN, timeout=60)
            connection.sock = TLS.wrap_socket(socket.create_connection(("127.0.0.1", 443)), server_hostname=DOMAIN)
            self._connection = connection
        asked = {"Accept": JSON_TYPE, "Accept-Encoding": "gzip", **headers}
        self._connection.request(method, path, body=body, headers=asked)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        if answer.will_close:
            self.close()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def ask(
    path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Ask once, on a connection of its own."""
    connection = Connection()
    try:
        return connection.ask(path, method, body, headers)
    finally:
        connection.close()


def upload(name: str, version: str, index: str) -> None:
    """Upload a real wheel, as twine does. Raises RuntimeError where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = make_wheel(name, version, Path(folder))
        content = wheel.read_bytes()
    boundary = uuid.uuid4().hex
    fields = {":action": "file_upload", "name": name, "version": version, "filetype": "bdist_wheel", "pyversion": "py3"}
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    body = "".join(f'{part}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()).encode()
    body += f'{part}"content"; filename="{wheel.name}"\r\n\r\n'.encode()
    body += content + f"\r\n--{boundary}--\r\n".encode()
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Authorization": f"Basic {login}"}
    status, _headers, said = ask(f"/{index}/", method="POST", body=body, headers=headers)
    if status != 200:
        raise RuntimeError(f"The upload of {name} {version} got {status}: {said.decode(errors='replace')}")


def install(tool: str, index: str, requirement: str) -> str:
    """Install with pip or uv from an index, or download, without a cache. Returns what went wrong, or nothing."""
    url = f"{SITE}/{index}/+simple/"
    folder = tempfile.mkdtemp()
    pip = ["python3", "-m", "pip", "--no-cache-dir", "--disable-pip-version-check"]
    command = {
        "pip": [*pip, "install", "--target", folder],
        "pip download": [*pip, "download", "--dest", folder],
        "uv": [str(UV), "pip", "install", "--no-cache", "--target", folder],
    }[tool]
    command += ["--no-deps", "--index-url", url, requirement]
    environment = {**os.environ, "PIP_CERT": CA, "SSL_CERT_FILE": CA, "PIP_ROOT_USER_ACTION": "ignore"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return f"{tool} took longer than 120 seconds"
    finally:
        shutil.rmtree(folder)
    # Its own retries are failures as well.
    failed = done.returncode != 0 or "Retrying" in done.stdout + done.stderr
    return (done.stdout + done.stderr)[-600:] if failed else ""


def upstream(**behaviour: object) -> None:
    """Let the upstream behave so: see tests/upstream/upstream.py."""
    request = urllib.request.Request(f"{UPSTREAM}/+behaviour", method="PUT", data=json.dumps(behaviour).encode())
    urllib.request.urlopen(request, timeout=10).close()


def upstream_seen() -> list[str]:
    """Return the paths that the upstream was asked for since its behaviour was set."""
    with urllib.request.urlopen(f"{UPSTREAM}/+seen", timeout=10) as answer:
        return [path for path, _agent in json.load(answer)]


def file_names(page: bytes) -> list[str]:
    """Return the names of the files on a JSON page."""
    return [file["filename"] for file in json.loads(page)["files"]]
