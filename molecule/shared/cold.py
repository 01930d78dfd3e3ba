# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that devpi has yet to fetch, while clients hang up and the upstream sends other bytes than it said.

    cold.py DOMAIN UPSTREAM [ROUNDS]

Run as root on the host of the index. In each round three files are asked for at once: of each, one client hangs up
within 20 ms, and two others must get it whole, by its hash and in time. Then files are wrong in every way: nobody gets
one as complete, nothing keeps it, and whoever asks after the upstream was repaired gets the right one. And files are
documents: a browser saves them.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import socket
import ssl
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

from checks import Checks

CA = "/etc/devpi-ca/ca.crt"
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
INDEX = f"root/cold{time.time_ns()}"
#: Files at once, clients that wait for each, and seconds that the upstream needs for a file.
FILES, WAITING, SECONDS = 3, 2, 0.4
#: Seconds after which a client gives up. With a devpi on a busy machine a file takes some of them.
PATIENCE = 20
#: Where nginx writes down what is on its way, and what it says of what went wrong.
PARTS, LOG = Path("/var/cache/nginx-devpi-parts"), Path("/var/log/nginx/devpi.error.log")
TLS = ssl.create_default_context(cafile=CA)


class Front:
    """The front, and the upstream of the index behind it."""

    def __init__(self, domain: str, upstream: str) -> None:
        self._domain, self._upstream = domain, upstream

    def connect(self) -> http.client.HTTPSConnection:
        """Return a new connection to the front."""
        connection = http.client.HTTPSConnection(self._domain, timeout=PATIENCE)
        plain = socket.create_connection(("127.0.0.1", 443), PATIENCE)
        connection.sock = TLS.wrap_socket(plain, server_hostname=self._domain)
        return connection

    def ask(
        self, path: str, method: str = "GET", content: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return the status, the headers and the bytes of an answer. Raises OSError or HTTPException without one."""
        connection = self.connect()
        try:
            body = None if content is None else json.dumps(content).encode()
            connection.request(method, path, body, {"Accept": JSON_TYPE, "Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def behave(self, **behaviour: object) -> None:
        """Let the upstream behave so: see tests/upstream/upstream.py."""
        body = json.dumps(behaviour).encode()
        request = urllib.request.Request(f"{self._upstream}/+behaviour", body, method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def make_index(self) -> None:
        """Make a mirror of the upstream. Raises RuntimeError."""
        password = Path("/etc/devpi/root-password").read_text().strip()
        login = base64.b64encode(f"root:{password}".encode()).decode()
        index = {
            "type": "mirror",
            "mirror_url": f"{self._upstream}/simple/",
            "volatile": True,
            "mirror_no_project_list": True,
        }
        said = self.ask(f"/{INDEX}", "PUT", index, Authorization=f"Basic {login}", Accept="application/json")
        if said[0] != 200:
            raise RuntimeError(f"{INDEX}: {said[0]} {said[2]!r}")

    def files_of(self, project: str) -> dict[str, str]:
        """Return the paths of a project's files and their hashes."""
        page = f"/{INDEX}/+simple/{project}/"
        files = json.loads(self.ask(page)[2])["files"]
        return {urljoin(page, file["url"]).partition("#")[0]: file["hashes"]["sha256"] for file in files}

    def hang_up(self, path: str) -> None:
        """Ask for a file and hang up at some time within 20 ms."""
        connection = self.connect()
        connection.request("GET", path)
        time.sleep(random.uniform(0, 0.02))
        connection.close()

    def fetch(self, path: str) -> str:
        """Return the hash of a file, or why there is none."""
        begin = time.monotonic()
        try:
            status, headers, content = self.ask(path)
        except (OSError, http.client.HTTPException) as problem:
            return f"{type(problem).__name__} after {time.monotonic() - begin:.0f} s"
        if status == 200 and len(content) != int(headers["Content-Length"]):
            return f"{len(content)} bytes of {headers['Content-Length']}"
        return hashlib.sha256(content).hexdigest() if status == 200 else str(status)


def content_of(name: str, size: int) -> str:
    """Return what tells of each of its bytes which file it is of."""
    return (f"{name} " * (size // len(name)))[:size]


def hang_ups(checks: Checks, front: Front, rounds: int) -> None:
    """Clients that hang up take nothing from those who wait, and leave nothing behind."""
    projects = {
        f"round{number}": {
            f"round{number}-1.{file}.tar.gz": content_of(f"{number}.{file}", 200_000 + 15_000 * file)
            for file in range(FILES)
        }
        for number in range(rounds)
    }
    front.behave(projects=projects, file_seconds=SECONDS)
    for project in projects:
        files = front.files_of(project)
        with ThreadPoolExecutor(FILES * (WAITING + 1)) as pool:
            for path in files:
                pool.submit(front.hang_up, path)
            # Some are there before the other has hung up, and some after that.
            time.sleep(random.uniform(0, 0.03))
            got = {path: [pool.submit(front.fetch, path) for _client in range(WAITING)] for path in files}
        for path, digest in files.items():
            checks.expect(f"{path} for those who waited", [one.result() for one in got[path]], [digest] * WAITING)


def wrong_files(checks: Checks, front: Front) -> None:
    """Nobody gets a wrong file as complete, and nothing keeps it."""
    size = 300_000
    right = {f"{kind}-1.0.tar.gz": content_of(kind, size) for kind in ("damaged", "shorter", "longer", "cut", "tiny")}
    right["tiny-1.0.tar.gz"] = "tiny"
    lies = {
        "damaged-1.0.tar.gz": right["damaged-1.0.tar.gz"][:-1] + "!",
        "shorter-1.0.tar.gz": content_of("shorter", size - 1000),
        "longer-1.0.tar.gz": content_of("longer", size + 1000),
        "tiny-1.0.tar.gz": "tinY",
    }
    projects = {name.partition("-")[0]: {name: content} for name, content in right.items()}
    for seconds in (0, SECONDS):
        if seconds:
            projects = {
                f"slow{name}": {f"slow{file}": text for file, text in files.items()} for name, files in projects.items()
            }
            lies = {f"slow{file}": text for file, text in lies.items()}
        cut_off = [file for files in projects.values() for file in files if "cut-" in file]
        front.behave(projects=projects, lies=lies, cut_off=cut_off, file_seconds=seconds)
        for project in projects:
            [(path, digest)] = front.files_of(project).items()
            with ThreadPoolExecutor(3) as pool:
                got = list(pool.map(front.fetch, [path, path, f"{path}?with=arguments"]))
            complete = [one for one in got if len(one) == 64]
            checks.expect(f"{project}: complete answers with wrong bytes, of {got}", complete, [])
            # The upstream is repaired, and there is nothing to wait for.
            front.behave(projects=projects, file_seconds=seconds)
            checks.expect(f"{project}: the right file after that", front.fetch(path), digest)
            front.behave(projects=projects, lies=lies, cut_off=cut_off, file_seconds=seconds)
    # Before it is verified, no answer may be kept.
    front.behave(projects={"kept": {"kept-1.0.tar.gz": "kept"}})
    [(path, digest)] = front.files_of("kept").items()
    cold, warm = front.ask(path), front.ask(path)
    checks.expect("cold and warm file", [hashlib.sha256(one[2]).hexdigest() for one in (cold, warm)], [digest] * 2)
    checks.expect("how long a cold file may be kept", cold[1]["Cache-Control"], "no-store")
    checks.expect("how long a warm file may be kept", "immutable" in warm[1]["Cache-Control"], True)
    checks.expect("types", [one[1]["Content-Type"] for one in (cold, warm)], ["application/octet-stream"] * 2)


def no_documents(checks: Checks, front: Front) -> None:
    """A browser saves a file, cold or warm, with a hash (+f) or without (+e), whatever its upstream says of it."""
    page = "<script>document.title = 'evil'</script>"
    wanted = ("application/octet-stream", "attachment", "nosniff", "sandbox; default-src 'none'")
    for kind, hashes in (("text/html", True), ("application/javascript", True), ("text/html", False)):
        project = f"{kind.rpartition('/')[2]}{hashes}".lower()
        front.behave(projects={project: {f"{project}-1.0.tar.gz": page}}, hashes=hashes, file_type=kind)
        path = f"/{INDEX}/+simple/{project}/"
        url = urljoin(path, json.loads(front.ask(path)[2])["files"][0]["url"]).partition("#")[0]
        for asked in (url, f"{url}?x=1", url):
            status, headers, content = front.ask(
                asked, Accept="text/html", Cookie="auth_tkt=x", **{"User-Agent": "Mozilla/5.0"}
            )
            names = ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "Content-Security-Policy")
            said = tuple(headers[name] for name in names)
            checks.expect(f"{asked} as {kind}", (status, content.decode(), said), (200, page, wanted))
    # What is no text, and what a line feed ends.
    for odd in ("/root/%ff%fe/x", f"/{INDEX}/+simple/far%0A", f"/{INDEX}/+f/%c0%af/x", "/root%0a"):
        checks.expect(odd, front.ask(odd)[0], 400)


def left_behind(checks: Checks, began: int) -> None:
    """Nothing is left of what was on its way, and Lua has no error to tell."""
    time.sleep(2.5)
    checks.expect("parts", [str(path) for path in PARTS.rglob("*.part")], [])
    with LOG.open("rb") as log:
        log.seek(began)
        errors = [line for line in log.read().decode().splitlines() if "attempt to" in line or "bad argument" in line]
    checks.expect("errors of Lua", errors[:3], [])


def main() -> int:
    """Returns the exit status."""
    domain, upstream, *rounds = sys.argv[1:]
    checks, front = Checks(), Front(domain, upstream)
    began = LOG.stat().st_size
    front.make_index()
    hang_ups(checks, front, int(rounds[0]) if rounds else 67)
    wrong_files(checks, front)
    no_documents(checks, front)
    left_behind(checks, began)
    return checks.report()


if __name__ == "__main__":
    sys.exit(main())
