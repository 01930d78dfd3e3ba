# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long 20 users with 200 indexes take when there is nothing to do: devpi_layout, devpi_index and devpi's client.

    .venv/bin/python tests/bench/layout.py FOLDER

FOLDER is a virtual environment with devpi-server and devpi-client, as roles/devpi_server/files/devpi-server.txt locks
them. The Python that runs this must have ansible-core.

Each duration is that of one process on the managed host: a module as Ansible runs it there, without the time that
ansible-playbook takes to bring it there, which is the same for both modules; and a call of the command devpi. The three
take turns, and medians count. The loop of devpi commands that does the same checks (`devpi login`, `devpi user -l`, and
`devpi index USER/NAME` for each index) is too long to run whole: it is the median of some of the latter times
the number of all commands.

Exits with 1 where devpi_layout takes more than 1.3 times as long as devpi_index, or is less than 50 times faster than
the loop.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[2]
USERS, INDEXES = 20, 10
ROUNDS = 15
AT_MOST_SLOWER_THAN_INDEX = 1.3
AT_LEAST_FASTER_THAN_LOOP = 50
PASSWORD = "the-root-password"


def user_name(number: int) -> str:
    """Return the name of a user."""
    return f"user{number:02}"


def layout() -> list[dict[str, Any]]:
    """Return the users with their indexes. Their passwords stay theirs: each would cost a login."""
    return [
        {
            "name": user_name(user),
            "email": f"{user_name(user)}@example.com",
            "password": secrets.token_urlsafe(12),
            "indexes": [
                {"name": f"index{index}", "bases": ["root/pypi"], "acl_upload": [user_name(user)], "title": "Bench"}
                for index in range(INDEXES)
            ],
        }
        for user in range(USERS)
    ]


@contextmanager
def devpi_server(venv: Path, folder: Path) -> Iterator[str]:
    """Run a new devpi-server on a free port of loopback, and return its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret, data = folder / "secret", folder / "data"
    secret.write_text(secrets.token_urlsafe(48))
    secret.chmod(0o600)
    subprocess.run(
        [venv / "bin" / "devpi-init", "--serverdir", data],
        env={**os.environ, "DEVPISERVER_ROOT_PASSWD": PASSWORD},
        check=True,
        capture_output=True,
    )
    command: list[str | Path] = [venv / "bin" / "devpi-server", "--serverdir", data, "--secretfile", secret]
    command += ["--host", "127.0.0.1", "--port", str(port), "--offline-mode"]
    # They make the start take one second instead of eight. A login takes the server 0.16 s all the same.
    command += ["--argon2-memory-cost", "1024", "--argon2-time-cost", "1", "--argon2-parallelism", "1"]
    if (venv / "bin" / "devpi-clear-search-index").exists():
        # devpi-web is there, whose index for searches the roles switch off as well.
        command += ["--indexer-backend", "null"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url, server)
            yield url
        finally:
            server.terminate()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    for _attempt in range(300):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/+api", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("devpi-server does not answer.")


def run_module(module: str, folder: Path, **options: Any) -> tuple[float, dict[str, Any]]:
    """Run a module as Ansible does on a host, and return its seconds and its result."""
    arguments = folder / f"{module}.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
    path = f"ansible_collections.wheelhouse.devpi.plugins.modules.{module}"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", path, arguments],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{module} failed: {done.stdout}{done.stderr}")
    return seconds, json.loads(done.stdout)


def run_devpi(venv: Path, folder: Path, *arguments: str) -> float:
    """Run a command of devpi-client and return its seconds."""
    started = time.perf_counter()
    command: list[str | Path] = [venv / "bin" / "devpi", *arguments, "--clientdir", folder / "client"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"devpi {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
    return seconds


def measure(venv: Path, folder: Path, url: str) -> dict[str, list[float]]:
    """Let the three take turns, and return the seconds of each."""
    connection = {"url": url, "login_password": PASSWORD}
    users = layout()
    run_module("devpi_layout", folder, **connection, users=users)
    run_devpi(venv, folder, "use", url)
    run_devpi(venv, folder, "login", "root", f"--password={PASSWORD}")
    wanted = {**users[0]["indexes"][0], "name": f"{user_name(0)}/index0"}
    seconds: dict[str, list[float]] = {"devpi_index": [], "devpi_layout": [], "devpi": []}
    for turn in range(ROUNDS):
        for name, options in (
            ("devpi_index", wanted),
            ("devpi_layout", {"users": users, "update_password": "on_create"}),
        ):
            taken, result = run_module(name, folder, **connection, **options)
            if result["changed"]:
                raise SystemExit(f"{name} had something to do: {result['changes']}")
            seconds[name].append(taken)
        index = f"{user_name(turn % USERS)}/index{turn % INDEXES}"
        seconds["devpi"].append(run_devpi(venv, folder, "index", index))
    return seconds


def report(seconds: dict[str, list[float]]) -> bool:
    """Print the table, and tell whether the floors hold."""
    index, whole, one = (statistics.median(seconds[name]) for name in ("devpi_index", "devpi_layout", "devpi"))
    commands = 2 + USERS * INDEXES
    loop = one * commands
    rows = [
        ("devpi_index, one index, unchanged", index, *extremes(seconds["devpi_index"])),
        (f"devpi_layout, {USERS} users, {USERS * INDEXES} indexes", whole, *extremes(seconds["devpi_layout"])),
        ("devpi index USER/NAME", one, *extremes(seconds["devpi"])),
    ]
    print(f"{f'median of {ROUNDS} turns, in seconds':44}{'median':>8}{'least':>8}{'most':>8}")
    for name, *figures in rows:
        print(f"{name:44}" + "".join(f"{figure:8.3f}" for figure in figures))
    print(f"{f'devpi, {commands} commands (extrapolated)':44}{loop:8.1f}")
    floors = [
        ("devpi_layout / devpi_index", whole / index, "at most", AT_MOST_SLOWER_THAN_INDEX),
        ("devpi commands / devpi_layout", loop / whole, "at least", AT_LEAST_FASTER_THAN_LOOP),
    ]
    holds = True
    for name, ratio, word, floor in floors:
        kept = ratio <= floor if word == "at most" else ratio >= floor
        holds = holds and kept
        print(f"{name:44}{ratio:8.2f}  {word} {floor}: {'holds' if kept else 'MISSED'}")
    return holds


def extremes(values: list[float]) -> tuple[float, float]:
    """Return the least and the greatest."""
    return min(values), max(values)


def main() -> int:
    """Measure, and return the exit status."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    venv = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="wheelhouse-bench-") as name:
        folder = Path(name)
        place = folder / "ansible_collections" / "wheelhouse"
        place.mkdir(parents=True)
        (place / "devpi").symlink_to(COLLECTION)
        with devpi_server(venv, folder) as url:
            return 0 if report(measure(venv, folder, url)) else 1


if __name__ == "__main__":
    sys.exit(main())
