"""What an ordinary user of the host gets of devpi and nginx: no socket to open, no lock to hold and no port to take.

neighbour.py TABLE WHILE...: while something goes on (a key of MEANWHILE), it looks for whatever devpi, nginx and their
units listen on, tries to open it as the user eve, and lets eve have the ports that devpi and nginx listened on once.
Prints what came of it, and fails where the table has something else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

EVE = "eve"
DEVPI = "/run/devpi/devpi.sock"
OURS = re.compile(r"devpi|nginx")
#: What devpi, its trial and the inner server of nginx listened on before they had sockets.
FORMER_PORTS = (3140, 3141, 3142)
#: Where our locks are, and those of the installers.
OUR_FOLDERS = ("opt/devpi", "etc/devpi*", "run/devpi*", "var/lib/devpi*", "var/cache/nginx-devpi*", "tmp")
MEANWHILE = {
    "they run": "sleep 2; systemctl start devpi-health.service",
    "devpi restarts, and is killed and restarts": "for signal in TERM KILL TERM; do"
    " systemctl kill --kill-whom=main --signal=$signal devpi; systemctl restart devpi; sleep 3; done",
    "nginx restarts": "systemctl restart nginx; sleep 1",
    "a backup is proved": "systemctl start devpi-backup-drill.service",
}


def make_eve() -> None:
    """Make the user, where they are not there."""
    subprocess.run(["useradd", "--create-home", EVE], check=False, capture_output=True)
    pwd.getpwnam(EVE)


def belongs_to_us(row: str) -> bool:
    """Whether a row of ss is of devpi, of nginx, or of a unit that they need."""
    for pid in re.findall(r"pid=(\d+)", row):
        # The arguments of this test have the names, and those of its children as well.
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"neighbour.py" in file.read():
                continue
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            if OURS.search(file.read()):
                return True
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if OURS.search(file.read().decode(errors="replace")):
                return True
    return bool(re.search(r"/devpi", row))


def listening() -> set[tuple[str, str]]:
    """Return what is listened on: a kind, and an address or a path."""
    rows = subprocess.run(["ss", "-Hlntxp"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = set()
    for row in filter(belongs_to_us, rows):
        fields = row.split()
        if fields[0].startswith("u_"):
            found.add(("unix", fields[4]))
        else:
            host, _, port = fields[4].rpartition(":")
            found.add(("tcp", f"{host.strip('[]').partition('%')[0]}:{port}"))
    return found


def opens(kind: str, place: str) -> bool:
    """Whether a socket opens to who asks."""
    try:
        if kind == "unix":
            with socket.socket(socket.AF_UNIX) as plain:
                plain.settimeout(2)
                plain.connect(f"\0{place[1:]}" if place.startswith("@") else place)
            return True
        host, _, port = place.rpartition(":")
        host = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        with socket.create_connection((host, int(port)), 2):
            return True
    except OSError:
        return False


def be_eve(pipe: Connection) -> None:
    """Answer what is asked, as the other user."""
    account = pwd.getpwnam(EVE)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    while True:
        try:
            kind, place = pipe.recv()
        except EOFError:
            return
        pipe.send(opens(kind, place))


@contextlib.contextmanager
def looking() -> Iterator[tuple[set[str], set[str]]]:
    """Look all the time. Yields what was seen, and what opened to eve."""
    seen: set[str] = set()
    opened: set[str] = set()
    here, there = Pipe()
    eve = Process(target=be_eve, args=(there,), daemon=True)
    eve.start()
    done = threading.Event()

    def look() -> None:
        while True:
            last = done.is_set()
            for kind, place in listening():
                seen.add(f"{kind} {place}")
                here.send((kind, place))
                if here.recv():
                    opened.add(f"{kind} {place}")
            if last:
                return
            time.sleep(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen, opened
    finally:
        done.set()
        thread.join()
        eve.terminate()


def be_squatter(pipe: Connection) -> None:
    """Bind what devpi and nginx listened on, as the other user, and tell of each byte that comes."""
    account = pwd.getpwnam(EVE)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    servers = {port: socket.create_server(("127.0.0.1", port)) for port in FORMER_PORTS}
    pipe.send(sorted(servers))
    heard: list[int] = []

    def accept(port: int, server: socket.socket) -> None:
        while True:
            connection, _address = server.accept()
            heard.append(port)
            connection.close()

    for port, server in servers.items():
        threading.Thread(target=accept, args=(port, server), daemon=True).start()
    pipe.recv()
    pipe.send(heard)


@contextlib.contextmanager
def squatting() -> Iterator[list[int]]:
    """Let eve have the ports. Yields what came there, known at the end."""
    here, there = Pipe()
    eve = Process(target=be_squatter, args=(there,), daemon=True)
    eve.start()
    if here.recv() != list(FORMER_PORTS):
        raise SystemExit("eve has not all of the ports.")
    heard: list[int] = []
    try:
        yield heard
    finally:
        here.send("end")
        heard += here.recv()
        eve.terminate()


def locks() -> list[str]:
    """Return the locks of ours that eve can open, and so hold. Files of packages that are called so are none."""
    named = ["(", "-name", "*.lock", "-o", "-name", "lock", ")", "-not", "-path", "*/site-packages/*"]
    folders = [str(path) for top in OUR_FOLDERS for path in Path("/").glob(top)]
    find = ["runuser", "-u", EVE, "--", "find", *folders, "-type", "f", *named, "-not", "-user", EVE, "-readable"]
    # What eve may not pass is told of, and makes another status.
    return sorted(subprocess.run(find, check=False, capture_output=True, text=True).stdout.splitlines())


def await_devpi() -> None:
    """Wait until devpi answers. A start of it takes some seconds."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("localhost", timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException), socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(DEVPI)
            connection.request("GET", "/+api")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.5)
    raise SystemExit("devpi does not answer.")


def row(meanwhile: str) -> dict[str, str]:
    """Let something go on, and return what came of it."""
    with squatting() as heard, looking() as (seen, opened):
        subprocess.run(["bash", "-euc", MEANWHILE[meanwhile]], check=True)
        await_devpi()
    if not any(one.startswith("unix /run/devpi/") for one in seen):
        raise SystemExit(f"Nothing of devpi was seen while {meanwhile}.")
    print(f"while {meanwhile}, seen: {', '.join(sorted(seen))}", flush=True)
    ports = sorted({int(one.rpartition(":")[2]) for one in opened if one.startswith("tcp")})
    others = sorted(one for one in opened if not one.startswith("tcp")) + [f"lock {path}" for path in locks()]
    return {
        "meanwhile": meanwhile,
        "opened": ", ".join([*(f"port {port}" for port in ports), *others]) or "nothing",
        "came": ", ".join(f"somebody to port {port}" for port in sorted(set(heard))) or "nothing",
    }


def main(table: str, *meanwhile: str) -> int:
    """Print the rows. Returns the exit status."""
    make_eve()
    known = json.loads(Path(table).read_text(encoding="utf-8"))
    wrong = 0
    for name in meanwhile:
        found = row(name)
        wrong += found not in known
        print(json.dumps(found), "as it should be" if found in known else "IS NOT IN THE TABLE", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
