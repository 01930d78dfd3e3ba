# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of the test, and those who read from it and write to it while releases change.

`index.py seed UPSTREAM` fills it. `index.py load` installs and uploads all the time, until it is stopped, and tells in
load.json after each request what came of them, from nothing on again where there is the file `anew`. `index.py lost`
counts what was acknowledged and is not there.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from make_wheel import make_wheel

DOMAIN = "upgrade.test"
HERE = Path("/srv/upgrade")
ACKNOWLEDGED = HERE / "acknowledged"
ANEW = HERE / "anew"
NOTHING = {"installs": 0, "failed_installs": 0, "uploads": 0, "pause": 0.0, "failures": []}


def ask(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, of: str = "nginx"
) -> tuple[int, bytes]:
    """Return the status and the body of an answer; 0 where there is none. By nginx, or of devpi itself."""
    connection = http.client.HTTPConnection(DOMAIN, timeout=70)
    try:
        if of == "nginx":
            context = ssl.create_default_context(cafile="/etc/devpi-ca/ca.crt")
            plain = socket.create_connection(("127.0.0.1", 443), 70)
            connection.sock = context.wrap_socket(plain, server_hostname=DOMAIN)
        else:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(70)
            connection.sock.connect("/run/devpi/devpi.sock")
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as reason:
        return 0, str(reason).encode()
    finally:
        connection.close()


def write(method: str, path: str, content: Any, login: str = "") -> Any:
    """Send JSON to devpi, and return what it answers."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if login:
        headers["X-Devpi-Auth"] = base64.b64encode(login.encode()).decode()
    status, body = ask(method, path, json.dumps(content).encode(), headers, of="devpi")
    if status not in (200, 201):
        raise SystemExit(f"{method} {path}: {status} {body!r}")
    return json.loads(body)["result"]


def login(user: str, password: str) -> str:
    """Return what a login gives, as devpi wants it in a header."""
    return f"{user}:{write('POST', '/+login', {'user': user, 'password': password})['password']}"


def upload(project: str, version: str, token: str) -> int:
    """Upload a wheel as twine does, and return the status."""
    wheel = make_wheel(project, version, HERE)
    content = wheel.read_bytes()
    fields = {":action": "file_upload", "name": project, "version": version, "filetype": "bdist_wheel"}
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in fields.items()
    )
    body += b'--x\r\nContent-Disposition: form-data; name="content"; filename="%s"\r\n\r\n' % wheel.name.encode()
    body += content + b"\r\n--x--\r\n"
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "X-Devpi-Auth": base64.b64encode(token.encode()).decode(),
    }
    status, _body = ask("POST", "/team/dev/", body, headers)
    if status == 200:
        with ACKNOWLEDGED.open("a") as file:
            file.write(f"{wheel.name} {hashlib.sha256(content).hexdigest()}\n")
    wheel.unlink()
    return status


def page(project: str) -> dict[str, str]:
    """Return the paths of the files of a project, with the hash that the page says."""
    path = f"/team/dev/+simple/{project}/"
    status, body = ask("GET", path, headers={"Accept": "text/html"})
    if status != 200:
        return {}
    links = re.findall(r'href="\.\./\.\.(?:/\.\./\.\.)?([^"#]+)#sha256=([0-9a-f]+)"', body.decode())
    return {
        (link if link.count("/+f/") and link.count("/") > 5 else "/team/dev" + link): digest for link, digest in links
    }


def install(project: str) -> bool:
    """Whether a page came, and the first file on it with its hash."""
    for path, digest in page(project).items():
        status, body = ask("GET", path)
        return status == 200 and hashlib.sha256(body).hexdigest() == digest
    return False


def seed(upstream: str) -> None:
    """Make a team with an index, a mirror below it, and uploads."""
    root = login("root", Path("/etc/devpi/root-password").read_text().strip())
    write("PUT", "/team", {"password": "the password of the team"}, root)
    mirror = {"type": "mirror", "mirror_url": f"{upstream}/simple/", "mirror_no_project_list": True, "volatile": False}
    write("PUT", "/root/up", mirror, root)
    stage = {"type": "stage", "bases": ["root/up"], "volatile": False, "acl_upload": ["team"]}
    write("PUT", "/team/dev", stage, root)
    team = login("team", "the password of the team")
    (HERE / "token").write_text(team)
    for number in range(20):
        status = upload("ours", f"1.{number}", team)
        if status != 200:
            raise SystemExit(f"The upload gives {status}.")
    if not (install("ours") and install("theirs")):
        raise SystemExit("Neither our project nor theirs can be installed.")


def load() -> None:
    """Install and upload all the time."""
    token = (HERE / "token").read_text()
    lock = threading.Lock()
    told: dict[str, Any] = dict(NOTHING)

    def tell(**more: Any) -> None:
        with lock:
            told.update(more)
            new = HERE / "load.new"
            new.write_text(json.dumps(told))
            new.replace(HERE / "load.json")

    def read() -> None:
        while True:
            for project in ("ours", "theirs"):
                if install(project):
                    tell(installs=told["installs"] + 1)
                else:
                    failures = [*told["failures"], f"{project} {time.time():.1f}"][-5:]
                    tell(failed_installs=told["failed_installs"] + 1, failures=failures)
            time.sleep(0.3)

    tell()
    threading.Thread(target=read, daemon=True).start()
    last = time.monotonic()
    project = "new"
    for number in range(10**6):
        if ANEW.exists():
            tell(**NOTHING)
            ANEW.unlink()
            # An upload takes devpi the longer, the more versions a project has.
            project, last = f"new{int(time.time())}", time.monotonic()
        if upload(project, f"1.{int(time.time())}.{number}", token) == 200:
            tell(uploads=told["uploads"] + 1, pause=max(told["pause"], time.monotonic() - last))
            last = time.monotonic()
        time.sleep(0.5)


def lost() -> list[str]:
    """Return the acknowledged uploads that the index does not have with their hash."""
    wanted = dict(line.split() for line in ACKNOWLEDGED.read_text().splitlines())
    pages = [page(project) for project in {file.split("-")[0] for file in wanted}]
    there = {path.rsplit("/", 1)[1]: digest for found in pages for path, digest in found.items()}
    return [file for file, digest in wanted.items() if there.get(file) != digest]


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"seed": seed, "load": load, "lost": lambda: print(len(lost()))}
    commands[sys.argv[1]](*sys.argv[2:])
