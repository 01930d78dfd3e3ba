# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the controller: upgrade the server by the playbook, and kill Ansible and the host meanwhile.

Compares what comes of it with operations.json, and keeps what was measured in .cache/operations/upgrade.json.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
HOSTS = CHECKOUT / "tests/hosts/hosts"
SERVER = "upgrade-server"
INVENTORY = HERE / "inventory.yml"
BAD = "/opt/devpi/releases/bad"

Row = dict[str, Any]


def on_server(*words: str) -> str:
    """Run a command in the folder of the test and return what it prints."""
    command = f"cd /srv/upgrade && {shlex.join(words)}"
    return subprocess.run([HOSTS, "ssh", SERVER, command], check=True, stdout=subprocess.PIPE, text=True).stdout


def faults(*words: str) -> list[Row]:
    """Call faults.py on the server, and return the rows that it prints."""
    return [json.loads(line) for line in on_server("python3", "faults.py", *words).splitlines() if line[:1] == "{"]


def playbook(old: bool = False, kill_at: str = "", **variables: str) -> str:
    """Run playbooks/upgrade.yml and return its output; at the beginning of a task, kill it with all that it started."""
    command = [f"--inventory={INVENTORY}", str(CHECKOUT / "playbooks/upgrade.yml")]
    if old:
        variables["devpi_server_lock"] = str(HERE / "devpi-6.19.txt")
    for name, value in variables.items():
        command += ["--extra-vars", f"{name}={value}"]
    process = subprocess.Popen(
        ["ansible-playbook", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if kill_at and kill_at in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    return output


def expect(wanted: bool, what: str, output: str) -> None:
    """Stop where something is not as it has to be."""
    if not wanted:
        sys.exit(f"{what}:\n{output[-5000:]}")


def until_idle() -> None:
    """Wait until the host is done with a switch, if it has begun one."""
    end = time.monotonic() + 300
    while "activ" in on_server("systemctl", "show", "--property=ActiveState", "--value", "devpi-switch").replace(
        "inactive", ""
    ):
        expect(time.monotonic() < end, "The switch has no end", "")
        time.sleep(1)


def play() -> list[Row]:
    """Play everything, and return the rows."""
    rows = []
    faults("begin")
    output = playbook()
    expect("6.19.3 -> 6.20.3" in output and "failed=0" in output, "The upgrade failed", output)
    rows += faults("row", "a good upgrade, 6.19.3 to 6.20.3")
    output = playbook()
    expect("changed=0 " in output, "The second run changed something", output)

    rows += faults("play")

    on_server("python3", "-c", "import faults; faults.bad(faults.DIES)")
    faults("begin")
    output = playbook(devpi_server_release=BAD)
    expect("This release cannot start." in output and "failed=1" in output, "A bad release is no failure", output)
    rows += faults("row", "the playbook with a release that does not start")
    runs_old = "6.19" in on_server("sh", "-c", "/opt/devpi/current/bin/devpi-server --version")
    # The first is before the host has anything to do, the second when it has begun.
    for task in ("Ask how far the switch is", "Follow the switch"):
        faults("begin")
        playbook(old=not runs_old, kill_at=f": {task}]")
        until_idle()
        rows += faults("row", f"kill -9 of Ansible: {task.lower()}")
    for step in ("try", "committed"):
        faults("freeze", step)
        subprocess.run([HOSTS, "kill", SERVER], check=True)
        subprocess.run([HOSTS, "up", SERVER, "trixie"], check=True)
        on_server("systemctl", "start", "load.service")
        for row in faults("row", f"kill -9 of the host, step {step}"):
            rows.append({**row, "readers": "none while the host is down", "writers": f"{row['seconds']} s"})
    return rows


def main() -> int:
    """Returns the exit status."""
    wanted = json.loads((HERE / "operations.json").read_text())
    rows = play()
    kept = CHECKOUT / ".cache/operations/upgrade.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({**wanted, "rows": rows}, indent=2) + "\n")
    for row in rows:
        print(" | ".join(str(value) for value in row.values()))
    judged = [[(row["what"], row["outcome"], row["readers"]) for row in of] for of in (rows, wanted["rows"])]
    if judged[0] != judged[1]:
        print(f"That is not what operations.json says; {kept} has what came of it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
