# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the controller: migrate the host of the scenario, with faults, and compare what came of it with operations.json.

The seconds of the file are those of the run that wrote them; what is measured now goes into .cache/operations/.
Faults come first: there is no way back from the migration that succeeds.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
HOST, DOMAIN = "migrate-server", "migrate.test"
SEVEN = ("--extra-vars", "devpi_server_lock=devpi-server-7.txt")
EXPORT = "/var/lib/devpi/.before/migrate/export"
STATE = "/var/lib/devpi-migrate"
READ_ONLY = "/run/devpi-migrate/read-only"
ASK_API = r"import socket; socket.socket(socket.AF_UNIX).connect(\"/run/devpi/devpi.sock\")"
HOSTS = CHECKOUT / "tests/hosts/hosts"
#: Longer than any stage takes on a machine that is busy.
PATIENCE = 900


def on_host(command: str, check: bool = True) -> str:
    """Run a command on the host and return what it prints."""
    done = subprocess.run([HOSTS, "ssh", HOST, command], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def start(playbook: str, *options: str) -> subprocess.Popen[str]:
    """Start a playbook of the collection, in a process group of its own."""
    return subprocess.Popen(
        ["ansible-playbook", "--inventory", HERE / "inventory.yml", *options, f"wheelhouse.devpi.{playbook}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """Kill Ansible and all that it started here."""
    expect(process.poll() is None, "Ansible ended before it was killed")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def play(playbook: str, *options: str) -> tuple[int, str]:
    """Run a playbook to its end. Returns its status and what it printed."""
    process = start(playbook, *options)
    said = process.communicate(timeout=PATIENCE)[0]
    return process.returncode, " ".join(said.split())


def waiting(what: str, command: str) -> str:
    """Return what waits until a command on the host succeeds, asking there and not over and over from here."""
    return f"timeout {PATIENCE} sh -c 'until {command}; do sleep 0.1; done' || {{ echo no {what}; exit 1; }}"


def until(what: str, command: str) -> None:
    """Wait until a command on the host succeeds."""
    on_host(waiting(what, command))


def in_stage(stage: str) -> str:
    """Return what succeeds while the host is in a stage of a migration that is under way."""
    return f'systemctl is-active devpi-migrate | grep -q ^act && grep -q "^{stage}" {STATE}/progress'


def until_stage(stage: str) -> None:
    """Wait until the host is in a stage of a migration that is under way."""
    until(stage, in_stage(stage))


def until_stage_of(process: subprocess.Popen[str], stage: str) -> None:
    """Wait until the migration that a run of the playbook began is in a stage, and no longer than the run lasts."""
    with subprocess.Popen([HOSTS, "ssh", HOST, waiting(stage, in_stage(stage))]) as waits:
        while waits.poll() is None and process.poll() is None:
            time.sleep(0.2)
        waits.terminate()
    expect(waits.returncode == 0, f"not in the stage {stage}: {process.communicate()[0] if process.poll() else ''}")


def version() -> str:
    """Return the version of devpi that answers on the host."""
    return on_host(
        """curl --silent --fail --max-time 60 --output /dev/null --header 'Accept: application/json' \
--unix-socket /run/devpi/devpi.sock --write-out '%header{x-devpi-server-version}' http://localhost/+api"""
    )


def expect(what: object, told: str) -> None:
    """Stop where something is not as it has to be."""
    if not what:
        raise SystemExit(told)


class Table:
    """The rows as they are measured."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        what: str,
        outcome: str,
        began: float,
        load: dict[str, Any] | None,
        readers: str = "0 failed",
        writers: str = "not refused",
    ) -> None:
        """Add a row; `load` is what readers and the writer saw until writes were allowed again."""
        if load is not None:
            readers = f"{load['failed']} failed"
            bad = load["other"] or not load["refused"]
            writers = f"{len(load['lost'])} lost, {load['longest']} s{f', {load}' if bad else ''}"
        row = {"what": what, "outcome": outcome, "seconds": round(time.monotonic() - began, 1)}
        self.rows.append({**row, "readers": readers, "writers": writers})
        print(json.dumps({**self.rows[-1], "load": load}), flush=True)


def loaded() -> None:
    """Begin to read and write on the host."""
    on_host(
        "cd /srv/migrate && rm -f stop written load.json; systemctl reset-failed load 2>/dev/null; systemd-run --quiet "
        "--unit=load --working-directory=/srv/migrate python3 load.py"
    )


def unloaded() -> dict[str, Any]:
    """End that, and return what readers and the writer saw."""
    on_host("touch /srv/migrate/stop")
    until("load.json", "test -s /srv/migrate/load.json")
    told: dict[str, Any] = json.loads(on_host("cat /srv/migrate/load.json"))
    return told


def refusals(table: Table) -> None:
    """What is refused before it begins."""
    began = time.monotonic()
    status, said = play("site", *SEVEN)
    expect(status and "playbooks/migrate.yml" in said and "changed=0" in said, said)
    table.add(
        "site.yml with a lock of devpi 7 beside data of devpi 6",
        "refused before anything changes, names migrate.yml",
        began,
        None,
    )
    began = time.monotonic()
    status, said = play("migrate", *SEVEN, "--extra-vars", '{"devpi_server_plugins": []}')
    expect(status and "plugins that the locks of the new one do not have: devpi-tokens" in said, said)
    expect(version().startswith("6."), version())
    table.add(
        "a plugin that the locks of devpi 7 do not have",
        "refused before anything changes, names devpi-tokens",
        began,
        None,
    )


def damaged(table: Table) -> None:
    """An import that fails, because a file of the export is not what it was."""
    began = time.monotonic()
    loaded()
    process = start("migrate", *SEVEN)
    # In one call, because the import does not take long. A file in place of the hard link: the data keep theirs.
    on_host(
        f"timeout {PATIENCE} sh -c 'until test -s {EXPORT}/dataindex.json; do sleep 0.1; done' && "
        f"file=$(find {EXPORT}/team/base -name own_1-1.1-py3-none-any.whl) && rm $file && echo damaged > $file && "
        "chmod 644 $file"
    )
    said = process.communicate(timeout=PATIENCE)[0]
    expect(process.returncode, said)
    expect("devpi-import" in said and "devpi 6 runs as before" in " ".join(said.split()), said)
    expect(version().startswith("6."), version())
    on_host(f"! test -e /var/lib/devpi/.before/migrate && ! test -e {READ_ONLY}")
    table.add("a file of the export is damaged", "the import fails, devpi 6 runs as before", began, unloaded())


def killed(table: Table) -> None:
    """Ansible is killed in each stage and run again each time, and the host in the import; devpi 7 does not start."""
    server = on_host("ls -d /opt/devpi/releases/*/bin/devpi-server | grep -v $(readlink /opt/devpi/current)")
    # It tells its version, because the role would mend one that does not.
    script = '#!/bin/sh\\n[ "$1" = --version ]\\nexit $((3 * $?))\\n'
    on_host(f"mv {server} {server}.good; printf '{script}' > {server}; chmod 755 {server}")
    loaded()
    process = killed_in("export", table)
    until_stage("import")
    began = time.monotonic()
    subprocess.run([HOSTS, "kill", HOST], check=True)
    process.communicate(timeout=PATIENCE)
    # A container forgets at its start what was in /etc/hosts.
    subprocess.run([HOSTS, "up", HOST, "trixie", f"{DOMAIN}={HOST}"], check=True)
    until("answer", f'python3 -c "{ASK_API}" 2>/dev/null')
    loaded()
    until("write", "test -s /srv/migrate/written")
    expect(version().startswith("6."), version())
    table.add(
        "kill -9 of the host in the import",
        "devpi 6 runs as before",
        began,
        None,
        "none while the host is down",
        f"{round(time.monotonic() - began, 1)} s",
    )
    process = killed_in("import", table)
    began = time.monotonic()
    until_stage("switch")
    kill(process)
    until("end", "! systemctl is-active devpi-migrate devpi-switch | grep -q activating")
    said = str(json.loads(on_host(f"cat {STATE}/result.json"))["message"])
    expect("The old release and the old data are back" in said and "does not start" in said, said)
    expect(version().startswith("6."), version())
    on_host(f"mv {server}.good {server}")
    table.add(
        "kill -9 of Ansible in the switch of this migration, and a devpi 7 that does not start",
        "the host goes on, devpi 6 is back by itself",
        began,
        unloaded(),
    )


def killed_in(stage: str, table: Table) -> subprocess.Popen[str]:
    """Begin a migration, kill Ansible in a stage, and return the run after that."""
    began = time.monotonic()
    on_host(f"rm -f {STATE}/progress")
    process = start("migrate", *SEVEN)
    until_stage_of(process, stage)
    # So that it is still there when Ansible is run again.
    on_host(f"systemctl kill --signal=STOP devpi-migrate && grep -q '^{stage}' {STATE}/progress")
    kill(process)
    process = start("migrate", *SEVEN)
    follows(process)
    on_host(f"test -e {READ_ONLY} && systemctl kill --signal=CONT devpi-migrate")
    table.add(
        f"kill -9 of Ansible in the {stage}, run again",
        "the host goes on, and the next run follows it",
        began,
        None,
        f"{on_host('cat /srv/migrate/failed')} failed",
        "refused until the migration ends",
    )
    return process


def follows(process: subprocess.Popen[str]) -> None:
    """Wait until a playbook follows the migration."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        # Without hosts that were skipped, the name of a task comes with its result.
        if line.startswith("migrate-server: "):
            return
    raise SystemExit(said)


def migrated(table: Table) -> None:
    """The migration."""
    began = time.monotonic()
    loaded()
    status, said = play("migrate", *SEVEN)
    expect(not status and "devpi 7.0.0b4 runs" in said and "WARNING" not in said, said)
    expect(version() == "7.0.0b4", version())
    table.add("run again: the migration", "devpi 7 runs with the same data", began, unloaded())
    result = json.loads(on_host("cat /var/lib/devpi-migrate/result.json"))
    print(json.dumps({"compared": result["compared"], "stages": result["seconds"]}), flush=True)


def again(table: Table) -> None:
    """The playbook again, and the site with the lock of devpi 7."""
    began = time.monotonic()
    status, said = play("migrate", *SEVEN)
    expect(not status and "already on devpi 7" in said and "changed=0" in said and "WARNING" not in said, said)
    table.add("run again after it", "already on devpi 7, nothing changes", began, None)
    began = time.monotonic()
    status, said = play("rollback", "--extra-vars", "roll_back=release")
    expect(status and "write roll_back=data" in said and "changed=0" in said, said)
    table.add(
        "playbooks/rollback.yml with roll_back=release after the migration",
        "refused before anything changes, names roll_back=data",
        began,
        None,
    )
    status, said = play("site", *SEVEN)
    expect(not status and "changed=0" in said and "WARNING" not in said, said)
    on_host("ls -d /var/lib/devpi/.before/*/data/.sqlite")
    status, said = play("migrate", "--tags", "remove_old", "--extra-vars", "devpi_server_remove_old=true")
    expect(not status and "changed=1" in said, said)
    on_host("! ls -d /var/lib/devpi/.before/*/data")


def steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without what depends on the machine."""
    return [{**row, "seconds": 0, "writers": re.sub(r"[0-9.]+ s$", "", row["writers"])} for row in rows]


def main() -> None:
    """Play all, and compare."""
    table = Table()
    for part in (refusals, damaged, killed, migrated, again):
        part(table)
    measured = CHECKOUT / ".cache/operations/migrate.json"
    measured.parent.mkdir(parents=True, exist_ok=True)
    told = json.loads((HERE / "operations.json").read_text())
    measured.write_text(json.dumps({**told, "rows": table.rows}, indent=2) + "\n")
    expect(steady(told["rows"]) == steady(table.rows), f"operations.json says {told['rows']}, and it was {table.rows}.")


if __name__ == "__main__":
    main()
