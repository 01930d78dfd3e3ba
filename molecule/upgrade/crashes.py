# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the server: devpi is killed in the middle of commits. Prints a row for each crash, as JSON."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import faults
import index

KILLS = 20
UNIT = "devpi.service"


def make_hot(data: Path = faults.DATA) -> None:
    """Stop devpi, and leave what one leaves that is killed in a commit."""
    faults.run("systemctl", "stop", UNIT)
    database = next(data / name for name in (".sqlite", ".sqlite_alchemy") if (data / name).exists())
    program = Path(__file__).with_name("hot_journal.py")
    faults.run("runuser", "-u", "devpi", "--", "python3", str(program), str(database))
    read = subprocess.run(
        ["runuser", "-u", "devpi", "--", "python3", "-c", READ, str(database)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "readonly database" not in read.stderr:
        raise SystemExit(f"devpi could read over it: {read.stderr}")


#: As devpi opens it.
READ = """
import sqlite3, sys
sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT * FROM sqlite_master")
"""


def start_over_a_hot_journal() -> None:
    """Let the unit start over it."""
    make_hot()
    faults.run("systemctl", "start", UNIT)
    faults.await_devpi()


def switch_over_a_hot_journal() -> None:
    """Let a switch take the data over with it."""
    make_hot()
    faults.start(faults.other())
    faults.wait()


def kill_and_start() -> int:
    """Kill devpi under two uploaders and start it again, twenty times. Returns how often it started."""
    ended, started = threading.Event(), 0
    token = (index.HERE / "token").read_text()

    def upload() -> None:
        number = 0
        while not ended.is_set():
            index.upload("second", f"1.{int(time.time())}.{number}", token)
            number += 1
            time.sleep(0.2)

    second = threading.Thread(target=upload)
    second.start()
    try:
        for _kill in range(KILLS):
            time.sleep(random.uniform(0.3, 1.5))
            faults.run("systemctl", "kill", "--signal=KILL", UNIT)
            # By hand, which ends the longer and longer pauses of systemd.
            faults.run("systemctl", "restart", UNIT)
            started += answers()
    finally:
        ended.set()
        second.join()
    return started


def answers() -> bool:
    """Whether devpi answers, before systemd sees it fail."""
    # The first one may count: systemd had it scheduled when it was started by hand.
    first = restarts()
    while True:
        if index.ask("GET", "/+api", of="devpi")[0] == 200:
            return True
        if restarts() > first or faults.run("systemctl", "show", "--property=Result", "--value", UNIT) != "success":
            print(faults.run("journalctl", "--unit", UNIT, "--lines=20", "--no-pager"))
            return False
        time.sleep(0.1)


def restarts() -> int:
    """Return how often systemd started devpi again by itself."""
    return int(faults.run("systemctl", "show", "--property=NRestarts", "--value", UNIT))


def main() -> None:
    """Play the crashes."""
    rows: list[dict[str, Any]] = []
    for what, act in (
        ("devpi was killed in a commit (a hot journal), and starts", start_over_a_hot_journal),
        ("devpi was killed in a commit, and a switch to a good release", switch_over_a_hot_journal),
    ):
        faults.begin()
        act()
        rows.append(faults.row(what))
    faults.begin()
    started = kill_and_start()
    row = faults.row(f"kill -9 of devpi {KILLS} times under two uploaders")
    rows.append({**row, "outcome": f"{started} of {KILLS} starts; {row['outcome']}"})
    for row in rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
