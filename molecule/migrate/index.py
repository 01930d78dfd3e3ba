# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of this scenario share: they ask the nginx of their own host."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import uuid
from pathlib import Path

DOMAIN = "migrate.test"
SITE = f"https://{DOMAIN}"
CA = "/etc/devpi-ca/ca.crt"
HERE = Path(__file__).parent
TEAM = ("team", "the password of the team")
#: Where the role has uv and a pip of its own.
TOOLS = "opt/devpi/uv/*/bin"


def ask(
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    login: tuple[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Ask once. Returns status, headers and body. Raises OSError or HTTPException where there is no answer."""
    connection = http.client.HTTPSConnection(DOMAIN, timeout=60)
    plain = socket.create_connection(("127.0.0.1", 443))
    connection.sock = ssl.create_default_context(cafile=CA).wrap_socket(plain, server_hostname=DOMAIN)
    asked = {"Accept": "application/json", **(headers or {})}
    if login:
        asked["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request(method, path, body=body, headers=asked)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    finally:
        connection.close()


def log_in(user: str, password: str) -> tuple[int, str]:
    """Return the status of a login, and the password that it gave for the header X-Devpi-Auth."""
    body = json.dumps({"user": user, "password": password}).encode()
    status, _headers, said = ask("/+login", "POST", body, {"Content-Type": "application/json"})
    if status != 200:
        return status, ""
    return status, base64.b64encode(f"{user}:{json.loads(said)['result']['password']}".encode()).decode()


def upload(index: str, name: str, version: str, file: Path, action: str = "file_upload") -> int:
    """Upload a file, as twine does. Returns the status."""
    boundary = uuid.uuid4().hex
    fields = {":action": action, "name": name, "version": version, "filetype": "bdist_wheel", "pyversion": "py3"}
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    body = "".join(f'{part}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()).encode()
    body += f'{part}"content"; filename="{file.name}"\r\n\r\n'.encode()
    body += file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return ask(f"/{index}/", "POST", body, headers, login=TEAM)[0]


def install(tool: str, index: str, requirement: str) -> str:
    """Install with pip or uv, without a cache. Returns what went wrong, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        tools = next(Path("/").glob(TOOLS))
        command = {
            "pip": [str(tools / "pip"), "install", "--no-cache-dir", "--disable-pip-version-check"],
            "uv": [str(tools / "uv"), "pip", "install", "--no-cache"],
        }[tool]
        command += ["--no-deps", "--target", folder, "--index-url", f"{SITE}/{index}/+simple/", requirement]
        trust = {"PIP_CERT": CA, "SSL_CERT_FILE": CA, "PIP_ROOT_USER_ACTION": "ignore"}
        done = subprocess.run(
            command, env={**os.environ, **trust}, capture_output=True, text=True, timeout=120, check=False
        )
    return (done.stdout + done.stderr)[-600:] if done.returncode else ""
