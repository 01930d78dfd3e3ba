"""Make the index of an inventory, prove that it installs packages, and say where everything is.

Without an inventory of its own, it makes two disposable hosts on this machine: a server and a client.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
HOSTS = CHECKOUT / "tests" / "hosts" / "hosts"
STATE = CHECKOUT / ".hosts"
EXAMPLE = CHECKOUT / "inventory"
DOMAIN = "devpi.test"
SERVER, CLIENT = "devpi", "client"
#: Seconds of silence after which a stage says that it still works.
SILENCE = 10


class FailedError(Exception):
    """A stage went wrong; the message is for the person who runs it."""


class Stages:
    """The stages of the run and how long each took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage, and keep its duration."""
        print(f"\n=== {name}", flush=True)
        begin = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begin


def run(command: Sequence[str | Path], quiet: bool = False) -> str:
    """Run a command, show its output as it comes unless `quiet`, and return it.

    Says every few seconds that it is alive while the command says nothing. Raises FailedError.
    """
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": str(sys.stdout.isatty()), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    begin = last = time.monotonic()
    done = threading.Event()

    def heartbeat() -> None:
        nonlocal last
        while not done.wait(1):
            if time.monotonic() - last >= SILENCE:
                last = time.monotonic()
                print(f"    … still at work ({last - begin:.0f} s)", flush=True)

    threading.Thread(target=heartbeat, daemon=True).start()
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        last = time.monotonic()
        if not quiet:
            print(line, end="", flush=True)
    done.set()
    if process.wait() != 0:
        shown = "".join(lines[-15:]) if quiet else ""
        raise FailedError(
            f"{shlex.join(str(part) for part in command[:3])} … ended with {process.returncode}.\n{shown}"
        )
    return "".join(lines)


def on_host(name: str, script: str, quiet: bool = True) -> str:
    """Run a shell script on a disposable host as root and return what it prints."""
    return run([HOSTS, "ssh", name, f"set -eu; {script}"], quiet)


def make_hosts(suite: str) -> None:
    """Boot the two disposable hosts and write how Ansible reaches them."""
    run([HOSTS, "up", SERVER, suite])
    run([HOSTS, "up", CLIENT, suite, f"{DOMAIN}={SERVER}"])
    (STATE / "inventory.yml").write_text(
        "---\nall:\n  vars:\n    ansible_user: root\n"
        f"    ansible_ssh_args: -F {STATE}/ssh_config\n"
        # The CAs that this machine trusts beside Debian's are those of the route to the public index.
        "devpi_servers:\n  vars:\n    devpi_server_ca_certificates: "
        f"{[str(path) for path in sorted(Path('/usr/local/share/ca-certificates').glob('**/*.crt'))]}\n"
    )


def provision(inventories: Sequence[Path]) -> dict[str, int]:
    """Run the playbook over the inventories. Returns the number of changes of each host."""
    command: list[str | Path] = [CHECKOUT / ".venv/bin/ansible-playbook"]
    for inventory in inventories:
        command += ["--inventory", inventory]
    output = run([*command, CHECKOUT / "playbooks/site.yml"])
    if "[WARNING]" in output or "[DEPRECATION WARNING]" in output:
        raise FailedError("Ansible warned about something; see above.")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", plain, re.MULTILINE)
    changes = {name: int(count) for name, count in recap}
    if not changes:
        raise FailedError("The inventory has no host in the groups devpi_servers or devpi_clients.")
    return changes


def prove() -> list[str]:
    """Install a package with pip and one with uv on the client, and find both in the access log of the server.

    Returns the lines of the access log that prove it. Raises FailedError where one is missing.
    """
    log = "/var/log/nginx/devpi.access.log"
    on_host(
        CLIENT,
        "python3 -c 'import ensurepip' 2>/dev/null || (apt-get update; apt-get -y install python3-venv) >/dev/null",
    )
    begin = on_host(SERVER, f"wc --lines < {log}").strip()
    on_host(
        CLIENT,
        "proof=$(mktemp -d); trap 'rm -rf $proof' EXIT; python3 -m venv $proof/venv; cd $proof; "
        "venv/bin/pip install --no-cache-dir --disable-pip-version-check uv; "
        "venv/bin/uv pip install --no-cache --python venv/bin/python idna; "
        "venv/bin/python -c 'import idna; print(idna.__version__)'",
        quiet=False,
    )
    address = run([HOSTS, "address", CLIENT], quiet=True).strip()
    # nginx writes its log once a second.
    lines = on_host(SERVER, f"sleep 2; tail --lines=+{int(begin) + 1} {log}").splitlines()
    proofs = []
    for tool, project in (("pip", "uv"), ("uv", "idna")):
        wanted = re.compile(rf"GET /\S*/{project}-[^/\s]*\.whl ")
        found = next(
            (
                f"{entry['client']} {entry['request']} {entry['status']} {entry['agent'].split(' {', 1)[0]}"
                for entry in map(json.loads, lines)
                if entry["client"] == address
                and entry["status"] == 200
                and entry["agent"].startswith(f"{tool}/")
                and wanted.match(entry["request"])
            ),
            None,
        )
        if found is None:
            raise FailedError(
                f"{tool} installed {project}, but not through the new index: its log has no such download."
            )
        proofs.append(found)
    return proofs


def domains(inventory: Path) -> list[str]:
    """Return the domains that the servers of an inventory serve."""
    listed = json.loads(run([CHECKOUT / ".venv/bin/ansible-inventory", "--inventory", inventory, "--list"], quiet=True))
    hosts = listed.get("devpi_servers", {}).get("hosts", [])
    return sorted({str(listed["_meta"]["hostvars"].get(host, {}).get("devpi_domain", host)) for host in hosts})


def page(stages: Stages, changes: dict[str, int], proofs: list[str], own_inventory: Path | None) -> str:
    """Write the page that the run ends with."""
    lines = ["", "─" * 78]
    if all(count == 0 for count in changes.values()):
        lines += ["Nothing had to be changed: " + ", ".join(f"{name} changed=0" for name in changes)]
    else:
        lines += ["Changes: " + ", ".join(f"{name} {count}" for name, count in changes.items())]
    if own_inventory is not None:
        lines += ["", *(f"Web interface   https://{domain}/" for domain in domains(own_inventory))]
        lines += ["Root password   /etc/devpi/root-password on the server, for root alone"]
    else:
        server = run([HOSTS, "address", SERVER], quiet=True).strip()
        lines += [
            "",
            f"Web interface   https://{DOMAIN}/   (in /etc/hosts of this machine: {server} {DOMAIN})",
            "CA to trust     tests/hosts/hosts ssh devpi cat /etc/devpi-ca/ca.crt",
            "Root password   /etc/devpi/root-password on the server, for root alone:",
            "                tests/hosts/hosts ssh devpi cat /etc/devpi/root-password",
            "",
            "Proof           installed through the new index, by its access log:",
            *(f"                {line}" for line in proofs),
        ]
        for name in ("/etc/pip.conf", "/etc/uv/uv.toml"):
            text = on_host(CLIENT, f"cat {name}")
            lines += ["", f"{name} of the client", *(f"    {line}" for line in text.strip().splitlines())]
        lines += [
            "",
            "A host of your own      cp -r inventory my-inventory, edit it, make site INVENTORY=my-inventory",
            "Take these hosts down   make down",
        ]
    lines += ["", "Stages"]
    lines += [f"    {seconds:6.1f} s  {name}" for name, seconds in stages.seconds.items()]
    lines += [f"    {sum(stages.seconds.values()):6.1f} s  together", "─" * 78]
    return "\n".join(lines)


def main() -> int:
    """Run the stages. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", type=Path, help="provision these hosts instead of disposable ones")
    parser.add_argument("--suite", default="bookworm", choices=["bookworm", "trixie"], help="of the disposable hosts")
    options = parser.parse_args()
    stages = Stages()
    proofs: list[str] = []
    try:
        if options.inventory:
            if not options.inventory.exists():
                raise FailedError(f"INVENTORY is '{options.inventory}': there is no such file or folder.")
            with stages.stage("Provision the hosts of " + str(options.inventory)):
                changes = provision([options.inventory])
        else:
            with stages.stage(f"Make two disposable hosts (Debian {options.suite})"):
                make_hosts(options.suite)
            with stages.stage("Provision them with playbooks/site.yml"):
                changes = provision([EXAMPLE, STATE / "inventory.yml"])
            with stages.stage("Install a package with pip and one with uv through the index"):
                proofs = prove()
        print(page(stages, changes, proofs, options.inventory))
    except FailedError as reason:
        print(f"\nmake site: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run make site again, and it goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
