# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx answers: complete pages of every kind, files, compression, HTTP/2, TLS sessions, limits and its log.

    answers.py LOGIN_RATE CONNECTIONS

Both are what the role was given for the limits.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import itertools
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

from checks import Checks
from front import (
    CA,
    DOMAIN,
    JSON_TYPE,
    PASSWORD,
    SITE,
    USER,
    Connection,
    ask,
    file_names,
    upload,
    upstream,
    upstream_seen,
)

HUGE = "huge"
HUGE_FILES = {f"{HUGE}-1.{number}-py3-none-any.whl": str(number) for number in range(12_000)}
#: Each kind of page, and what stands in it once for each file.
KINDS = {JSON_TYPE: b'"filename"', "text/html": b"<a "}
#: Seconds after which a page is no longer fresh (devpi_nginx_page_freshness is 2), and the serial asked for again.
AGED = 3.2
#: Part of the names of the clients, by which their lines are found in the log.
RUN = time.time_ns()
LOG = Path("/var/log/nginx/devpi.access.log")
INSIDE = Path("/run/devpi-nginx/inside.sock")


def raw(path: str, **headers: str) -> tuple[http.client.HTTPMessage, bytes]:
    """Return headers and bytes of an answer as they came over the wire."""
    context = ssl.create_default_context(cafile=CA)
    request = urllib.request.Request(
        SITE + path, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    with urllib.request.urlopen(request, timeout=60, context=context) as answer:
        return answer.headers, answer.read()


def logged(agent: str) -> list[dict[str, object]]:
    """Return the lines of the access log about a client, in no order, once all workers of nginx have written them."""
    time.sleep(1.5)
    return [line for line in map(json.loads, LOG.read_text("utf-8", "replace").splitlines()) if line["agent"] == agent]


def pages(checks: Checks) -> None:
    """A page of several megabytes comes as a whole, of each kind and encoding, from devpi and from the cache."""
    upstream(projects={HUGE: HUGE_FILES})
    path = f"/team/direct/+simple/{HUGE}/"
    ask(path)
    for (kind, mark), encoding in itertools.product(KINDS.items(), ("gzip", "identity")):
        # After an upload, nothing in the cache counts.
        upload("clears", f"1.{time.time_ns()}", "team/dev")
        got = []
        agent = f"{kind} {encoding} {RUN}"
        for _time in range(2):
            headers, body = raw(path, Accept=kind, Accept_Encoding=encoding, User_Agent=agent)
            checks.expect(
                f"encoding of {kind}, {encoding}", headers["Content-Encoding"], {"gzip": "gzip"}.get(encoding)
            )
            checks.expect(f"type of {kind}, {encoding}", headers["Content-Type"].partition(";")[0], kind)
            got.append(gzip.decompress(body) if encoding == "gzip" else body)
        checks.expect(f"files of {kind}, {encoding}", [page.count(mark) for page in got], [len(HUGE_FILES)] * 2)
        checks.expect(f"two times {kind}, {encoding}", got[0] == got[1] and len(got[0]) > 1_000_000, True)
        lines = logged(agent)
        said = sorted((line["cache"], line["index"], line["status"]) for line in lines)
        checks.expect(f"log of {agent}", said, [("HIT", "team/direct", 200), ("MISS", "team/direct", 200)])
        waited = [line["upstream_seconds"] for line in lines if line["cache"] == "MISS"]
        checks.expect(f"wait for devpi of {agent}", all(float(str(seconds)) > 0 for seconds in waited), True)


def headers_of_pages(checks: Checks) -> None:
    """A page has the same headers, whatever step to it gave it: devpi, or the memory of nginx in its two ways."""
    upload("small", "1.0", "team/base")
    for path, (kind, encoding) in itertools.product(
        ("/team/base/+simple/small/", f"/team/direct/+simple/{HUGE}/"), itertools.product(KINDS, ("gzip", "identity"))
    ):
        ask(path)
        upload("clears", f"1.{time.time_ns()}", "team/dev")
        asked = {"Accept": kind, "Accept-Encoding": encoding}
        # Each connection stays with one worker of nginx.
        connection = Connection()
        got = [connection.ask(path, headers=asked) for _time in range(2)]
        ignored = {"date", "content-length", "transfer-encoding"}
        said = [{name: text for name, text in headers.items() if name not in ignored} for _s, headers, _b in got]
        checks.expect(f"headers of {kind}, {encoding}, {path}", said[1], said[0])
        checks.expect(f"content of {kind}, {encoding}, {path}", got[1][2], got[0][2])
        again = connection.ask(path, headers={**asked, "If-None-Match": got[1][1]["etag"]})
        checks.expect(f"not modified: {kind}, {encoding}, {path}", (again[0], again[1]["etag"]), (304, said[1]["etag"]))
        head = connection.ask(path, "HEAD", headers=asked)
        checks.expect(f"HEAD of {kind}, {encoding}, {path}", (head[0], head[1]["etag"]), (200, said[1]["etag"]))
        connection.close()


def asked_of_devpi(path: str) -> int:
    """Return how often devpi was asked for a path, since it runs."""
    journal = subprocess.run(
        ["journalctl", "--unit=devpi.service", "--output=cat", "--no-pager"], capture_output=True, text=True, check=True
    )
    return len(re.findall(rf"GET {re.escape(path)}$", journal.stdout, re.MULTILINE))


def unchanged_page(checks: Checks) -> tuple[str, float]:
    """While nobody writes, devpi is not asked for a page again; what is written past nginx is seen all the same.

    Returns the path of a page that devpi is not asked for, and when it was before.
    """
    path = "/team/base/+simple/quiet/"
    for version in ("1.0", "2.0"):
        upload("quiet", version, "team/base")
    # On a busy machine, devpi may tell its serial too late for the first.
    for _try in range(10):
        ask(path)
        before = asked_of_devpi(path)
        time.sleep(AGED)
        agent = f"quiet {time.time_ns()}"
        listed = file_names(ask(path, headers={"User-Agent": agent})[2])
        if asked_of_devpi(path) == before:
            break
    checks.expect("old page, and devpi not asked", [line["cache"] for line in logged(agent)], ["HIT"])
    checks.expect("files of the old page", len(listed), 2)
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
    past_nginx = http.client.HTTPConnection("localhost", timeout=60)
    past_nginx.sock = socket.socket(socket.AF_UNIX)
    past_nginx.sock.connect("/run/devpi/devpi.sock")
    past_nginx.request("DELETE", "/team/base/quiet/1.0", headers=headers)
    checks.expect("deletion past nginx", past_nginx.getresponse().status, 200)
    time.sleep(AGED)
    checks.expect("files after it", [name.split("-")[1] for name in file_names(ask(path)[2])], ["2.0"])
    return path, time.monotonic()


def old_page(checks: Checks, path: str, asked: float) -> None:
    """A page is asked for again after a minute, though nobody wrote: a mirror may have asked its upstream."""
    before = asked_of_devpi(path)
    time.sleep(max(0, asked + 60 + AGED - time.monotonic()))
    ask(path)
    checks.expect("devpi asked for a page after a minute", asked_of_devpi(path), before + 1)


def files(checks: Checks) -> None:
    """A file comes from disk, in parts as well, whatever the spelling of its name."""
    upload("plus", "1.0+local.1", "team/base")
    file = json.loads(ask("/team/base/+simple/plus/")[2])["files"][0]
    path = file["url"].replace("../../", "/team/base/").replace("%2B", "+").partition("#")[0]
    agent = f"files {RUN}"
    headers, content = raw(path, User_Agent=agent)
    checks.expect("hash", hashlib.sha256(content).hexdigest(), file["hashes"]["sha256"])
    checks.expect("type", headers["Content-Type"], "application/octet-stream")
    checks.expect("immutable", "immutable" in headers["Cache-Control"], True)
    checks.expect("ranges", headers["Accept-Ranges"], "bytes")
    spelt = path.rpartition("/")[0] + "/" + path.rpartition("/")[2].replace("+", "%2B")
    checks.expect("other spelling", raw(spelt, User_Agent=agent)[1] == content and spelt != path, True)
    status, part_headers, part = ask(path, headers={"Range": "bytes=10-19"})
    checks.expect(
        "part", (status, part, part_headers["content-range"]), (206, content[10:20], f"bytes 10-19/{len(content)}")
    )
    checks.expect("not modified", ask(path, headers={"If-None-Match": headers["ETag"]})[0], 304)
    checks.expect("HEAD", ask(path, method="HEAD")[1]["content-length"], str(len(content)))
    checks.expect("devpi asked for what is on disk", [line["upstream_status"] for line in logged(agent)], ["", ""])
    agent = f"metadata {RUN}"
    for _time in range(2):
        metadata_headers, metadata = raw(f"{path}.metadata", User_Agent=agent)
    # Where it comes from an upstream, nobody verified it.
    checks.expect("metadata", (b"Name: plus" in metadata, metadata_headers["Cache-Control"]), (True, "max-age=60"))
    checks.expect("cache of metadata", sorted(str(line["cache"]) for line in logged(agent)), ["HIT", "MISS"])
    checks.expect("file that is not there", ask(path.replace("plus", "minus"))[0], 404)


def protocols(checks: Checks) -> None:
    """Clients with HTTP/2 get it, TLS sessions go on, and pages that are not cached are compressed as well."""
    said = subprocess.run(
        [
            *("curl", "--silent", "--fail", "--cacert", CA, "--output", "/dev/null", "--write-out", "%{http_version}"),
            f"{SITE}/team/base/+simple/plus/",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    checks.expect("version of HTTP", said.stdout, "2")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=CA)
        context.minimum_version = context.maximum_version = version
        session, reused = None, []
        for _time in range(2):
            with (
                socket.create_connection((DOMAIN, 443)) as connection,
                context.wrap_socket(connection, server_hostname=DOMAIN, session=session) as tls,
            ):
                tls.sendall(f"GET /+api HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
                while tls.recv(65536):
                    session = tls.session
                reused.append(tls.session_reused)
        checks.expect(f"sessions of {version.name}", reused, [False, True])
    for kind in KINDS:
        headers, _body = raw("/team/direct/+simple/", Accept=kind, Accept_Encoding="gzip", User_Agent="pip/test")
        checks.expect(f"compression of the list of all as {kind}", headers["Content-Encoding"], "gzip")


def status_page(checks: Checks) -> None:
    """The state of nginx is shown to its own host alone."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(INSIDE))
    connection.request("GET", "/nginx_status")
    checks.expect("state of nginx", b"Active connections" in connection.getresponse().read(), True)
    checks.expect("state of nginx from outside", ask("/nginx_status")[0], 404)
    folder = INSIDE.parent.stat()
    checks.expect(
        "who passes to the state",
        (folder.st_uid, INSIDE.parent.group(), oct(folder.st_mode)),
        (0, "www-data", "0o40750"),
    )


def limits(checks: Checks, login_rate: int, connections: int) -> None:
    """One client cannot take everything: of too much at once, nginx refuses what is too much, and no more."""

    def at_once(number: int, seconds: float, path: str, body: bytes | None = None) -> Counter[int]:
        """Ask so many times at once. Returns how often each status came within these seconds."""
        got: Counter[int] = Counter()

        def one() -> None:
            got[ask(path, "POST" if body else "GET", body, {"Accept": "application/json"})[0]] += 1

        clients = [threading.Thread(target=one, daemon=True) for _client in range(number)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        for client in clients:
            client.join(max(0, end - time.monotonic()))
        return got.copy()

    # devpi says nothing, so that all of them are in work.
    subprocess.run(["systemctl", "kill", "--signal=STOP", "devpi.service"], check=True)
    thaw = threading.Timer(5, subprocess.run, [["systemctl", "kill", "--signal=CONT", "devpi.service"]])
    thaw.start()
    checks.expect("requests at once", at_once(connections + 5, 60, "/+api"), Counter({200: connections, 429: 5}))
    thaw.join()
    # The last ones would wait their turn for 20 seconds.
    got = at_once(login_rate * 20 + 10, 5, "/+login", b'{"user": "team", "password": "wrong"}')
    checks.expect("logins, and no other answer", set(got), {401, 429})
    checks.expect("logins that were refused", 1 <= got[429] <= 10, True)


def file_on_its_way(checks: Checks) -> None:
    """Who asks for a file that devpi has yet to write down gets it as well, and devpi does not fetch it again."""
    name, content = "late-1.0-py3-none-any.whl", "of a late file"
    upstream(projects={"late": {name: content}})
    page = "/team/direct/+simple/late/"
    path = urljoin(page, json.loads(ask(page)[2])["files"][0]["url"]).partition("#")[0]
    with contextlib.closing(sqlite3.connect("/var/lib/devpi/.sqlite", isolation_level=None)) as database:
        database.execute("begin immediate")
        # Its last piece waits for devpi, which writes it down when it may.
        with ThreadPoolExecutor(2) as clients:
            first = clients.submit(ask, path)
            time.sleep(2.5)
            second = clients.submit(ask, path)
            time.sleep(0.5)
            database.rollback()
            got = [client.result()[::2] for client in (first, second)]
    checks.expect("two clients while devpi cannot write", got, [(200, content.encode())] * 2)
    checks.expect("downloads for them", sum(seen.endswith(name) for seen in upstream_seen()), 1)


def main() -> int:
    """Returns the exit status."""
    login_rate, connections = (int(argument) for argument in sys.argv[1:])
    checks = Checks()
    pages(checks)
    headers_of_pages(checks)
    files(checks)
    file_on_its_way(checks)
    quiet_page, asked = unchanged_page(checks)
    protocols(checks)
    status_page(checks)
    limits(checks, login_rate, connections)
    old_page(checks, quiet_page, asked)
    return checks.report()


if __name__ == "__main__":
    sys.exit(main())
