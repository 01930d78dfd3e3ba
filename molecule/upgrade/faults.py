# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the server: switches that go wrong, under the load of index.py. Prints a row for each, as JSON.

`faults.py halt STEP...` lets the next switch stop in these steps, `faults.py halted STEP` waits until it does, and
`faults.py go` lets it go on. `faults.py freeze STEP` begins such a switch. `faults.py begin` and
`faults.py row WHAT [RELEASE]` measure what somebody else does in between; `faults.py load` counts anew after a boot.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import index
from halt import SIGNALS

STATE = Path("/var/lib/devpi-switch")
DATA = Path("/var/lib/devpi")
RELEASES = Path("/opt/devpi/releases")
CURRENT = Path("/opt/devpi/current")
SMALL = Path("/srv/small")
BEGUN = Path("/srv/upgrade/begun.json")

DIES = "#!/bin/sh\necho 'This release cannot start.' >&2\nexit 3\n"
HANGS = "#!/bin/sh\nexec sleep 1000\n"
DAMAGES = f"#!/bin/sh\ncd {DATA} && rm .nodeinfo && echo nonsense > .sqlite && touch .new\nexit 3\n"
FILLS = f"#!/bin/sh\ncat /dev/zero > {DATA}/fill\nexit 3\n"
LIES = """#!/usr/bin/python3
import http.server, os, socket
class Liar(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        api = self.path == "/+api"
        body = b'{"type": "apiconfig", "result": {}}' if api else b'{"type": "list:userconfig", "result": {}}'
        self.send_response(200)
        self.send_header("X-Devpi-Server-Version", "VERSION")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Local(http.server.ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    def server_bind(self):
        self.socket.bind(self.server_address)
    def finish_request(self, request, client_address):
        Liar(request, ("localhost", 0), self)
Local(os.environ["DEVPISERVER_UNIX_SOCKET"], Liar).serve_forever()
"""


def run(*words: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def version_of(release: Path) -> str:
    """Return the version of devpi-server in a release."""
    return run(str(release / "bin/python"), "-c", "import importlib.metadata as m; print(m.version('devpi-server'))")


def good_releases() -> list[Path]:
    """Return the two releases that were installed."""
    return sorted(path for path in RELEASES.iterdir() if not path.name.startswith("bad"))


def other() -> Path:
    """Return the good release that does not run."""
    return next(path for path in good_releases() if path != CURRENT.resolve())


def bad(script: str) -> Path:
    """Make a release whose server is a script."""
    made = RELEASES / "bad"
    if made.exists():
        shutil.rmtree(made)
    run("cp", "-al", str(other()), str(made))
    server = made / "bin/devpi-server"
    server.unlink()
    # Whoever installs releases asks for the version, and would mend one that tells none.
    version = version_of(other())
    tells = f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\n'
    server.write_text(script.replace("VERSION", version).replace("#!/bin/sh\n", tells))
    server.chmod(0o755)
    return made


def start(release: Path, **more: Any) -> None:
    """Begin a switch as the role does."""
    plan = {
        "release": str(release),
        "current": str(CURRENT),
        "data": str(DATA),
        "user": "devpi",
        "new_data": None,
        "configuration": "/etc/devpi/devpi-server.yml",
        "new_configuration": None,
        "unit": "devpi.service",
        "pauses": ["devpi-health.timer"],
        "api": "unix:///run/devpi/devpi.sock",
        "front": {"url": f"https://{index.DOMAIN}", "connect": "127.0.0.1"},
        "start_timeout": 180,
        "limit": 600,
        "kept": 4,
        **more,
    }
    (STATE / "plan.json").write_text(json.dumps(plan))
    with contextlib.suppress(FileNotFoundError):
        (STATE / "result.json").unlink()
    run("systemctl", "start", "--no-block", "devpi-switch.service")


def wait() -> None:
    """Wait until the switch has a result and its unit has ended."""
    end = time.monotonic() + 600
    while (
        run("systemctl", "show", "--property=ActiveState", "--value", "devpi-switch.service")
        not in (
            "inactive",
            "failed",
        )
        or not (STATE / "result.json").exists()
    ):
        if time.monotonic() > end:
            raise SystemExit(f"The switch has no end: {run('journalctl', '-u', 'devpi-switch', '-n', '20')}")
        time.sleep(0.2)


def step_of() -> str:
    """Return the step that the switch is in; nothing where there is no journal."""
    with contextlib.suppress(OSError):
        return str(json.loads((STATE / "journal.json").read_text())["step"])
    return ""


def halt(*steps: str) -> None:
    """Let the next switch stop in these steps, as soon as it is in there."""
    SIGNALS.write_text(json.dumps(dict.fromkeys(steps, signal.SIGSTOP)))


def process_of() -> int:
    """Return the process of the switch, 0 where there is none."""
    return int(run("systemctl", "show", "--property=MainPID", "--value", "devpi-switch.service"))


def halted(step: str) -> None:
    """Wait until the switch has stopped in a step."""
    end = time.monotonic() + 180
    while step_of() != step or not is_stopped(process_of()):
        if time.monotonic() > end:
            raise SystemExit(f"The switch was not seen in the step {step}, but in {step_of()!r}.")
        time.sleep(0.05)


def is_stopped(process: int) -> bool:
    """Whether a process was stopped by a signal."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


def told() -> dict[str, Any]:
    """Return what the load had so far."""
    found: dict[str, Any] = json.loads((index.HERE / "load.json").read_text())
    return found


def load() -> None:
    """Let everybody install and upload, counted from nothing on."""
    index.ANEW.touch()
    run("systemctl", "start", "load.service")
    while index.ANEW.exists():
        time.sleep(0.1)


def begin() -> None:
    """Begin a measurement: the longest pause of the writers counts from here."""
    load()
    end = time.monotonic() + 180
    while not told()["uploads"] or not told()["installs"]:
        if time.monotonic() > end:
            raise SystemExit("Nobody can install and upload.")
        time.sleep(0.1)
    BEGUN.write_text(json.dumps({"time": time.time(), "release": str(CURRENT.resolve())}))


def row(what: str, other_release: str = "the new release") -> dict[str, Any]:
    """End a measurement, and return what came of it. The other release is not the one that ran at its beginning."""
    begun = json.loads(BEGUN.read_text())
    seconds = time.time() - begun["time"]
    uploads, end = told()["uploads"], time.monotonic() + 180
    while told()["uploads"] == uploads and time.monotonic() < end:
        time.sleep(0.1)
    seen = told()
    lost = index.lost()
    runs = CURRENT.resolve()
    _status, body = index.ask("GET", "/+status", headers={"Accept": "application/json"}, of="devpi")
    said = json.loads(body)["result"]["versioninfo"]["devpi-server"]
    release = "the release before" if str(runs) == begun["release"] else other_release
    if said != version_of(runs):
        release = f"a server that says {said}"
    if seen["uploads"] == uploads:
        release += ", without uploads"
    return {
        "what": what,
        "outcome": f"{release} runs; {len(lost)} of the acknowledged uploads are lost",
        "seconds": round(seconds, 1),
        "readers": f"{seen['failed_installs']} installs failed",
        "writers": f"{seen['pause']:.1f} s",
    }


def measured(what: str, act: Callable[[], None], says: str = "") -> None:
    """Print the row of something that is done here."""
    begin()
    act()
    wait()
    message = json.loads((STATE / "result.json").read_text())["message"]
    if says not in message:
        raise SystemExit(f"{what}: it says {message!r}, and not {says!r}.")
    print(json.dumps(row(what)), flush=True)


def killed(step: str) -> None:
    """Begin a switch to a good release, and kill it in a step."""
    SIGNALS.write_text(json.dumps({step: signal.SIGKILL}))
    start(other())


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """Let the data and the journal of the switch lie on a small disk of their own."""
    run("systemctl", "stop", "devpi-health.timer", "devpi.service")
    SMALL.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "small", str(SMALL))
    for place in (DATA, STATE):
        run("cp", "-a", str(place), str(SMALL))
        run("mount", "--bind", str(SMALL / place.name), str(place))
    run("systemctl", "start", "devpi.service", "devpi-health.timer")
    await_devpi()
    try:
        yield
    finally:
        run("systemctl", "stop", "devpi-health.timer", "devpi.service")
        for place in (DATA, STATE):
            run("umount", str(place))
            run("find", str(place), "-mindepth", "1", "-delete")
            run("cp", "-a", f"{SMALL / place.name}/.", str(place))
        run("umount", str(SMALL))
        run("systemctl", "start", "devpi.service", "devpi-health.timer")
        await_devpi()


def await_devpi() -> None:
    """Wait until devpi answers."""
    end = time.monotonic() + 180
    while index.ask("GET", "/+api", of="devpi")[0] != 200:
        if time.monotonic() > end:
            raise SystemExit("devpi does not answer.")
        time.sleep(0.2)


def refuse() -> None:
    """Begin a switch on a disk that has not enough room."""
    fill = SMALL / "fill"
    disk = os.statvfs(SMALL)
    with fill.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - 30 * 1024 * 1024)
    start(other())
    wait()
    fill.unlink()


def play() -> None:
    """Play everything that needs nobody from outside."""
    measured("a release that does not start", lambda: start(bad(DIES)), "This release cannot start.")
    measured("a release that answers wrongly", lambda: start(bad(LIES)), "The users are not those from before")
    measured("a release that never answers", lambda: start(bad(HANGS), start_timeout=2), "So it was for 2 s")
    measured("a switch that takes longer than its limit", lambda: start(bad(HANGS), limit=4), "took longer than 4 s")
    measured("a release that damages the database", lambda: start(bad(DAMAGES)), "does not start")
    with small_disk():
        measured("a disk without room for the snapshot", refuse, "are missing")
        measured("a release that fills the disk", lambda: start(bad(FILLS)), "does not start")
    for step in ("stop", "snapshot", "switch", "try"):
        measured(f"kill -9 of the switch, step {step}", functools.partial(killed, step), f"(step {step})")
    measured("kill -9 of the switch, step committed", lambda: killed("committed"), "runs")


if __name__ == "__main__":
    if sys.argv[1] == "play":
        play()
    elif sys.argv[1] == "freeze":
        begin()
        halt(sys.argv[2])
        start(other())
        halted(sys.argv[2])
    elif sys.argv[1] == "halt":
        halt(*sys.argv[2:])
    elif sys.argv[1] == "halted":
        halted(sys.argv[2])
    elif sys.argv[1] == "go":
        os.kill(process_of(), signal.SIGCONT)
    elif sys.argv[1] == "load":
        load()
    elif sys.argv[1] == "begin":
        begin()
    else:
        await_devpi()
        print(json.dumps(row(*sys.argv[2:])), flush=True)
