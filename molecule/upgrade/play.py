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
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
HOSTS = CHECKOUT / "tests/hosts/hosts"
SERVER = "upgrade-server"
INVENTORY = HERE / "inventory.yml"
BAD = "/opt/devpi/releases/bad"
#: What builds a release. In brackets, so that the search does not find itself.
INSTALLER = "[u]v pip install .* devpi-server.txt"
#: Those of a switch, as switch.py keeps them in its journal.
STEPS = ("prepare", "stop", "snapshot", "switch", "try", "committed")
LOCK = CHECKOUT / "roles/devpi_server/files/devpi-server.txt"

Row = dict[str, Any]


def on_server(*words: str) -> str:
    """Run a command in the folder of the test and return what it prints."""
    command = f"cd /srv/upgrade && {shlex.join(words)}"
    return subprocess.run([HOSTS, "ssh", SERVER, command], check=True, stdout=subprocess.PIPE, text=True).stdout


def faults(*words: str) -> list[Row]:
    """Call faults.py on the server, and return the rows that it prints."""
    return rows_of("faults.py", *words)


def rows_of(*words: str) -> list[Row]:
    """Call a program on the server, and return the rows that it prints."""
    found = [json.loads(line) for line in on_server("python3", *words).splitlines() if line[:1] == "{"]
    for row in found:
        print(json.dumps(row), flush=True)
    return found


class Run:
    """A run of a playbook, which is killed with all that it started here, or comes to its end."""

    def __init__(self, name: str, *options: str) -> None:
        self.process = subprocess.Popen(
            ["ansible-playbook", f"--inventory={INVENTORY}", str(CHECKOUT / "playbooks" / name), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        )
        assert self.process.stdout is not None
        self.said, self.output = self.process.stdout, ""

    def until(self, task: str) -> None:
        """Wait for the beginning of a task."""
        self.until_said(f": {task}]")

    def until_said(self, words: str) -> None:
        """Wait for a line with these words."""
        for line in self.said:
            self.output += line
            if words in line:
                return
        sys.exit(f"The run did not say {words!r}:\n{self.output[-5000:]}")

    def kill(self) -> None:
        """Kill it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.end()
        expect("PLAY RECAP" not in self.output, "Ansible was not killed", self.output)

    def end(self) -> str:
        """Wait for its end, and return what it said."""
        self.output += self.said.read()
        self.process.wait()
        expect("WARNING]" not in self.output, "Ansible warns", self.output)
        return self.output


def playbook(name: str, *options: str) -> str:
    """Run a playbook to its end, and return what it said."""
    return Run(name, *options).end()


def expect(wanted: bool, what: str, output: str) -> None:
    """Stop where something is not as it has to be."""
    if not wanted:
        sys.exit(f"{what}:\n{output[-5000:]}")


def runs() -> str:
    """Return the version of the release that the server runs."""
    return on_server("python3", "-c", "import faults; print(faults.version_of(faults.CURRENT))").strip()


def play_upgrade() -> list[Row]:
    """Upgrade by the playbook, go back, and ask for what a run would do. Ends with the older release."""
    rows = []
    faults("begin")
    run = Run("upgrade.yml")
    on_server("timeout", "120", "sh", "-c", f"until pgrep -f '{INSTALLER}'; do sleep 0.05; done")
    run.kill()
    rows += faults("row", "kill -9 of Ansible while it builds the release")

    # Again at once: what that run left at work builds still.
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
    rows += faults("row", "run again: playbooks/upgrade.yml, 6.19.3 to 6.20.3")
    on_server("systemctl", "stop", "load.service")

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
    """Play what goes wrong with a switch. Ends with the newer release."""
    rows = faults("play")
    on_server("python3", "-c", "import faults; faults.bad(faults.DIES)")
    faults("begin")
    output = playbook("upgrade.yml", f"--extra-vars=devpi_server_release={BAD}")
    expect("This release cannot start." in output and "failed=1 " in output, "A bad release is no failure", output)
    rows += faults("row", "playbooks/upgrade.yml with a release that does not start")
    return rows


def play_kills() -> list[Row]:
    """Kill Ansible in each stage that is left and run it again; kill the host. Begins with the newer release."""
    rows = []
    back = ("rollback.yml", "--extra-vars=roll_back=release")
    faults("begin")
    run = Run(*back)
    run.until("Write the plan of the switch")
    run.kill()
    rows += faults("row", "kill -9 of Ansible before the switch")

    faults("begin")
    faults("halt", *STEPS)
    run = Run(*back)
    for step in STEPS:
        faults("halted", step)
        run.kill()
        run = Run(*back)
        run.until_said(f"{SERVER}: ")
        faults("go")
    output = run.end()
    expect("The run that was interrupted had begun it." in " ".join(output.split()), "It went back once more", output)
    expect("failed=0 " in output and runs() == "6.19.3", "It did not go back", output)
    rows += faults("row", f"run again, and kill -9 of Ansible in each step of the switch: {', '.join(STEPS)}")

    # What upgrades a site whose version changed, beside upgrade.yml.
    faults("begin")
    run = Run("site.yml")
    run.until("Write the configuration")
    run.kill()
    rows += faults("row", "playbooks/site.yml, 6.19.3 to 6.20.3, and kill -9 of Ansible after the switch")
    output = playbook("upgrade.yml")
    expect("changed=0 " in output and "failed=0 " in output, "The second run changed something", output)

    for step in ("try", "committed"):
        faults("freeze", step)
        subprocess.run([HOSTS, "kill", SERVER], check=True)
        subprocess.run([HOSTS, "up", SERVER, "trixie"], check=True)
        faults("load")
        for row in faults("row", f"kill -9 of the host, step {step}"):
            rows.append({**row, "readers": "none while the host is down", "writers": f"{row['seconds']} s"})
    return rows


def main() -> int:
    """Returns the exit status."""
    wanted = json.loads((HERE / "operations.json").read_text())
    rows = play_upgrade() + play_faults() + play_kills() + rows_of("crashes.py")
    kept = CHECKOUT / ".cache/operations/upgrade.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({**wanted, "rows": rows}, indent=2) + "\n")
    judged = [[(row["what"], row["outcome"], row["readers"]) for row in of] for of in (rows, wanted["rows"])]
    if judged[0] != judged[1]:
        print(f"That is not what operations.json says; {kept} has what came of it.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
