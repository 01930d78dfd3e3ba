# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can go wrong, one after the other, while pip, uv and 200 requests for pages a second go on.

Not one request for what is cached may fail. For what is not cached there is one clear 502 or 504 within the timeout,
or the page where the outage is not in the way. Prints a table; exits with 1 where anything failed.

While `wanted-run` is there, it waits for somebody who runs the role and then removes that file.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from front import DOMAIN, TLS, Connection, ask, file_names, install, upload, upstream, upstream_seen

TIMEOUT = 20
#: Seconds after which devpi asks the upstream again.
EXPIRY = 5
#: Threads that ask for pages, and how often each does so in a second.
READERS, RATE = 4, 50
#: Seconds that devpi is stopped.
STOPPED = 60
WANTED_RUN = Path(__file__).parent / "wanted-run"
CACHED = {"cached": 3, "large": 1000}
PAGES = {f"/root/up/+simple/{name}/": count for name, count in CACHED.items()} | {
    f"/{index}/+simple/{name}/": count
    for index in ("team/base", "team/dev")
    for name, count in {"real": 1, "cached": 3}.items()
}
PROJECTS = {
    name: {f"{name}-1.{number}-py3-none-any.whl": f"file {number}" for number in range(count)}
    for name, count in CACHED.items()
}
#: Asked for once each, so none of them is cached, nor was it in a run before this one.
RUN = int(time.time())
RARE = [f"rare{RUN}-{number}" for number in range(20)]
PROJECTS |= {name: {f"{name}-1.0-py3-none-any.whl": "rare"} for name in RARE}
#: A page that is cached; nobody has its files yet.
COLD = f"cold{RUN}"
COLD_SIZE = 20_000_000
PROJECTS[COLD] = {f"{COLD}-1.{number}+local-py3-none-any.whl": f"{number}" * COLD_SIZE for number in range(4)}


class Load:
    """The clients, and what each phase made of their requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _number in range(READERS)]
        self._threads += [threading.Thread(target=self._install, args=(tool,)) for tool in ("pip", "uv")]
        self.begin_phase()

    def begin_phase(self) -> None:
        """Count from zero."""
        with self._lock:
            self.done = {"pages": 0, "pip": 0, "uv": 0}
            self.slowest = 0.0
            self.failures: list[str] = []

    def __enter__(self) -> Load:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        """Stop the clients."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _count(self, what: str, failure: str) -> None:
        with self._lock:
            self.done[what] += 1
            if failure:
                self.failures.append(f"{what}: {failure}")

    def _read(self) -> None:
        connection = Connection()
        number = 0
        while not self._over.is_set():
            begin = time.monotonic()
            number += 1
            path = list(PAGES)[number % len(PAGES)]
            failure = ""
            try:
                status, _headers, page = connection.ask(path)
                if status != 200 or len(file_names(page)) != PAGES[path]:
                    failure = f"{path} {status} {page[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = f"{path} {error!r}"
            seconds = time.monotonic() - begin
            with self._lock:
                self.slowest = max(self.slowest, seconds)
            self._count("pages", failure)
            self._over.wait(max(0, 1 / RATE - seconds))

    def _install(self, tool: str) -> None:
        while not self._over.is_set():
            self._count(tool, install(tool, "team/dev", "real==1.0"))
            self._over.wait(0.5)


def systemctl(*words: str) -> None:
    """Call systemctl. Raises CalledProcessError."""
    subprocess.run(["systemctl", *words], check=True)


def answers() -> bool:
    """Whether devpi itself answers."""
    connection = http.client.HTTPConnection("localhost", timeout=2)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(2)
        connection.sock.connect("/run/devpi/devpi.sock")
        connection.request("GET", "/+api")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for_devpi() -> None:
    """Wait until devpi answers. Raises TimeoutError after a minute."""
    end = time.monotonic() + 60
    while not answers():
        if time.monotonic() > end:
            raise TimeoutError("devpi does not come back")
        time.sleep(0.2)


def restart() -> None:
    """Restart devpi as an administrator does."""
    systemctl("restart", "devpi.service")
    uncached_page("devpi is down")
    wait_for_devpi()


def kill() -> None:
    """Kill devpi; systemd starts it again."""
    systemctl("kill", "--signal=KILL", "devpi.service")
    time.sleep(0.5)
    uncached_page("devpi is down")
    wait_for_devpi()


def stop() -> None:
    """Stop devpi for a while."""
    systemctl("stop", "devpi.service")
    for _half in range(2):
        uncached_page("devpi is down")
        time.sleep(STOPPED / 2)
    systemctl("start", "devpi.service")
    wait_for_devpi()


def freeze() -> None:
    """Let devpi hang: it takes connections and says nothing."""
    systemctl("kill", "--signal=STOP", "devpi.service")
    try:
        uncached_page("devpi hangs")
    finally:
        systemctl("kill", "--signal=CONT", "devpi.service")
    wait_for_devpi()


def reload() -> None:
    """Let nginx read its configuration, again and again."""
    for _time in range(5):
        systemctl("reload", "nginx.service")
        time.sleep(1)
    uncached_page("")


def run_role() -> None:
    """Wait until the role changed the vhost."""
    WANTED_RUN.touch()
    end = time.monotonic() + 300
    while WANTED_RUN.exists():
        if time.monotonic() > end:
            raise TimeoutError("nobody ran the role")
        time.sleep(0.2)
    uncached_page("")


def upstream_down() -> None:
    """Let the upstream reset each connection, for longer than devpi trusts what it knows."""
    upstream_answers("the upstream is down", projects=PROJECTS, down=True)


def upstream_fails() -> None:
    """Let the upstream answer 503."""
    upstream_answers("the upstream fails", projects={}, listing=False, unknown_status=503)


def upstream_hangs() -> None:
    """Let the upstream say nothing."""
    upstream_answers("the upstream hangs", projects=PROJECTS, delay=30)


def upstream_answers(outage: str, **behaviour: object) -> None:
    """Let the upstream behave so, and ask for what neither nginx nor devpi has."""
    upstream(**behaviour)
    time.sleep(EXPIRY + 1)
    uncached_page(outage, "team/direct")
    uncached_file(outage)


def cold_file() -> None:
    """Let eight clients ask for a file that nobody has yet, while the upstream needs some time for it."""
    seconds = 4
    upstream(projects=PROJECTS, file_seconds=seconds)
    url = cold_files.pop()
    got: list[tuple[int, int, bool]] = []

    def fetch() -> None:
        connection = http.client.HTTPSConnection(DOMAIN, timeout=60)
        connection.sock = TLS.wrap_socket(socket.create_connection(("127.0.0.1", 443)), server_hostname=DOMAIN)
        begin = time.monotonic()
        connection.request("GET", url)
        answer = connection.getresponse()
        first = answer.read(1)
        # It came while the upstream was still sending.
        streamed = time.monotonic() - begin < seconds / 2
        got.append((answer.status, len(first + answer.read()), streamed))
        connection.close()

    clients = [threading.Thread(target=fetch) for _client in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    downloads = sum(f"/files/{COLD}" in path for path in upstream_seen())
    notes.append(f"8 clients, {downloads} download, {sum(answer[-1] for answer in got)} streamed")
    if got != [(200, COLD_SIZE, True)] * 8 or downloads != 1:
        load.failures.append(f"cold file: {got}, {downloads} downloads")
    upstream(projects=PROJECTS)


def wait_for_page(path: str) -> bytes:
    """Return a page; devpi learns of a new project when it looks at the list of all again. Raises TimeoutError."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        status, _headers, page = ask(path)
        if status == 200:
            return page
        time.sleep(1)
    raise TimeoutError(f"{path}: {status} {page[:300]!r}")


def uncached_page(outage: str, index: str = "root/up") -> None:
    """Ask for a page that is not cached."""
    ask_uncached(f"/{index}/+simple/{RARE.pop()}/", outage)


def uncached_file(outage: str) -> None:
    """Ask for a file that nobody has yet."""
    ask_uncached(cold_files.pop(), outage)


def ask_uncached(path: str, outage: str) -> None:
    """Ask for what is not cached: one clear answer, within the timeout, is what there must be."""
    begin = time.monotonic()
    status, _headers, _page = ask(path)
    seconds = time.monotonic() - begin
    notes.append(f"{status} in {seconds:.1f} s")
    wanted = (502, 504) if outage else (200,)
    if status not in wanted or seconds > TIMEOUT + 1:
        load.failures.append(f"{path}, not cached, while {outage or 'all is well'}: {status} in {seconds:.1f} s")


PHASES: list[Callable[[], None]] = [
    restart,
    kill,
    stop,
    freeze,
    reload,
    run_role,
    upstream_down,
    upstream_fails,
    upstream_hangs,
    cold_file,
]
load = Load()
notes: list[str] = []
cold_files: list[str] = []


def main() -> int:
    """Returns the exit status."""
    upstream(projects=PROJECTS)
    wait_for_devpi()
    upload("real", "1.0", "team/base")
    for path, count in PAGES.items():
        page = wait_for_page(path)
        if len(file_names(page)) != count:
            sys.exit(f"{path}: {page[:300]!r}")
    page = wait_for_page(f"/root/up/+simple/{COLD}/")
    cold_files.extend(
        file["url"].replace("../../", "/root/up/").partition("#")[0] for file in json.loads(page)["files"]
    )
    failed = []
    print("what happens     seconds  pages  pip   uv  failed  slowest page  not cached")
    with load:
        time.sleep(3)
        for phase in PHASES:
            load.begin_phase()
            notes.clear()
            begin = time.monotonic()
            try:
                phase()
                # Each client ends at least one round in each phase.
                end = time.monotonic() + 60
                while min(load.done.values()) < 1 and time.monotonic() < end:
                    time.sleep(0.2)
                time.sleep(2)
            except (OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
                load.failures.append(repr(error))
            failures, done = list(load.failures), dict(load.done)
            if min(done.values()) < 1:
                failures.append(f"a client got nothing done: {done}")
            print(
                f"{phase.__name__:<16}{time.monotonic() - begin:>8.1f}{done['pages']:>7}{done['pip']:>5}{done['uv']:>5}"
                f"{len(failures):>8}{load.slowest:>12.2f} s  {', '.join(notes)}",
                flush=True,
            )
            failed += [f"{phase.__name__}: {failure}" for failure in failures]
    print(*failed[:20], sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
