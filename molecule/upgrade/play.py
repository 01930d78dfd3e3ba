# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the controller: upgrade the server by the playbook, go back, and kill Ansible and the host meanwhile.

Compares what comes of it with operations.json, and keeps what was measured in .cache/operations/upgrade.json.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
HOSTS = CHECKOUT / "tests/hosts/hosts"
SERVER = "upgrade-server"
INVENTORY = HERE / "inventory.yml"
BAD = "/opt/devpi/releases/bad"
LOCK = CHECKOUT / "roles/devpi_server/files/devpi-server.txt"

Row = dict[str, Any]


def on_server(*words: str) -> str:
    """Run a command in the folder of the test and return what it prints."""
    command = f"cd /srv/upgrade && {shlex.join(words)}"
    return subprocess.run([HOSTS, "ssh", SERVER, command], check=True, stdout=subprocess.PIPE, text=True).stdout


def faults(*words: str) -> list[Row]:
    """Call faults.py on the server, and return the rows that it prints."""
    return [json.loads(line) for line in on_server("python3", "faults.py", *words).splitlines() if line[:1] == "{"]


def playbook(name: str, *options: str, kill_at: str = "") -> str:
    """Run a playbook and return its output; at the beginning of a task, kill it with all that it started."""
    process = subprocess.Popen(
        ["ansible-playbook", f"--inventory={INVENTORY}", str(CHECKOUT / "playbooks" / name), *options],
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
    expect("WARNING]" not in output, f"{name} warns", output)
    return output


def expect(wanted: bool, what: str, output: str) -> None:
    """Stop where something is not as it has to be."""
    if not wanted:
        sys.exit(f"{what}:\n{output[-5000:]}")


def until_idle() -> None:
    """Wait until the host is done with a switch, if it has begun one."""
    end = time.monotonic() + 600
    while on_server("systemctl", "show", "--property=ActiveState", "--value", "devpi-switch").strip().endswith("ing"):
        expect(time.monotonic() < end, "The switch has no end", "")
        time.sleep(1)


def runs() -> str:
    """Return the version of the release that the server runs."""
    return on_server("python3", "-c", "import faults; print(faults.version_of(faults.CURRENT))").strip()


def play_upgrade() -> list[Row]:
    """Upgrade by the playbook, go back, and ask for what a run would do. Ends with the older release."""
    rows = []
    faults("begin")
    output = playbook("upgrade.yml")
    for said in (
        f"devpi on {SERVER}: 6.19.3 -> 6.20.3, devpi 6.20.3 runs.",
        "Nobody could write for ",
        "through nginx as well.",
        "The release before: /opt/devpi/releases/",
        "The data from before: /var/lib/devpi/.before/",
        "The way back: playbooks/rollback.yml",
        "failed=0 ",
    ):
        expect(said in " ".join(output.split()), f"The upgrade does not say {said!r}", output)
    rows += faults("row", "playbooks/upgrade.yml, 6.19.3 to 6.20.3")
    on_server("systemctl", "stop", "load.service")
    output = playbook("upgrade.yml")
    expect("changed=0 " in output and "failed=0 " in output, "The second run changed something", output)

    output = playbook("rollback.yml")
    expect("it has to be release, which keeps all uploads" in output, "It goes back without a decision", output)
    # What was uploaded since the upgrade goes away with the data, and comes back with them.
    for version, is_kept in (("6.19.3", False), ("6.20.3", True)):
        output = playbook("rollback.yml", "--extra-vars=roll_back=data")
        expect("failed=0 " in output and runs() == version, f"It does not go to {version}", output)
        lost = int(on_server("python3", "index.py", "lost"))
        expect((lost == 0) == is_kept, f"{lost} uploads are lost with the data of {version}", output)
    faults("begin")
    output = playbook("rollback.yml", "--extra-vars=roll_back=release")
    expect("The next run of site.yml or upgrade.yml installs" in output and runs() == "6.19.3", "No way back", output)
    rows += faults("row", "playbooks/rollback.yml with roll_back=release", "the release before the upgrade")

    # A lock that was never installed.
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(f"# Another one.\n{LOCK.read_text()}")
        lock.flush()
        output = playbook("upgrade.yml", "--check", "--diff", f"--extra-vars=devpi_server_lock={lock.name}")
    expect("devpi would be switched from" in output and "failed=0 " in output, "Check mode tells nothing", output)
    expect(runs() == "6.19.3", "Check mode switched", output)
    return rows


def play_faults() -> list[Row]:
    """Play what goes wrong with a switch, with Ansible and with the host."""
    rows = faults("play")

    on_server("python3", "-c", "import faults; faults.bad(faults.DIES)")
    faults("begin")
    output = playbook("upgrade.yml", f"--extra-vars=devpi_server_release={BAD}")
    expect("This release cannot start." in output and "failed=1 " in output, "A bad release is no failure", output)
    rows += faults("row", "playbooks/upgrade.yml with a release that does not start")

    # To the release before the last switch, for which little is to be done until the host takes over.
    for what, task in (
        ("kill -9 of Ansible before the switch", "Write the plan of the switch"),
        ("kill -9 of Ansible in the switch", "Follow the switch"),
    ):
        faults("begin")
        output = playbook("rollback.yml", "--extra-vars=roll_back=release", kill_at=f": {task}]")
        expect(f": {task}]" in output and "PLAY RECAP" not in output, "Ansible was not killed", output)
        until_idle()
        rows += faults("row", what)
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
    rows = play_upgrade() + play_faults()
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
