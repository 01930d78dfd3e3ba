# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for a devpi on this host that this collection did not make, before anything changes.

Usage: find_foreign.py PLAN, where PLAN is the JSON of a Plan. Prints a JSON list of sentences that say what is there
and what to do about it. A host that the collection made, now or by an older version, gives an empty list.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

#: What each version of this collection has written into its unit.
MARKS = ("wheelhouse.devpi.devpi_server", "The unit that devpi-gen-config writes, with a reason wherever")
#: What devpi has in its directory; the first one says that there are data.
DATA = (".nodeinfo", ".serverversion", ".sqlite", ".sqlite_alchemy", "+files")
STOP = "systemctl disable --now"


@dataclass(frozen=True)
class Plan:
    """What the role is going to use.

    Attributes:
        unit: The name of the unit.
        directory: Where the data go.
        install_directory: Where the releases are.
        password_file: Where the password of root is.
        password_given: Whether a variable gives it.
        user: Who the server runs as.
        host: The address that it listens to, or "" for none.
        port: The port of that.
    """

    unit: str
    directory: str
    install_directory: str
    password_file: str
    password_given: bool
    user: str
    host: str
    port: int


@dataclass(frozen=True)
class Unit:
    """A unit as systemd knows it: its file (or ""), what is in it, whether it is masked or active, what it starts."""

    path: str = ""
    text: str = ""
    masked: bool = False
    active: bool = False
    starts: str = ""


@dataclass(frozen=True)
class Process:
    """A process of a devpi-server: its id, its command line, the unit that it belongs to, and whose it is."""

    pid: int
    command: list[str]
    unit: str
    user: str

    @property
    def server(self) -> str:
        """Return the path of the program: the first argument, or the one after the interpreter."""
        return next(word for word in self.command[:3] if os.path.basename(word) == "devpi-server")

    def __str__(self) -> str:
        of_unit = f" of {self.unit}" if self.unit else ""
        return f"process {self.pid}{of_unit}, of the user {self.user}: {' '.join(self.command)}"


@dataclass(frozen=True)
class Host:
    """What is there.

    Attributes:
        unit: The unit of that name.
        processes: All processes of a devpi-server that are in no container.
        owners: Who owns what devpi has in its directory, by name: a uid.
        password: Whether there is a file with the password of root.
        uid: That of the user the server runs as, or None where there is no such user.
        taken: Whether somebody listens where the server shall.
        former: Where the data of the user are that the server runs as, or "" where there are none.
    """

    unit: Unit = field(default_factory=Unit)
    processes: list[Process] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)
    password: bool = False
    uid: int | None = None
    taken: bool = False
    former: str = ""


def is_ours(plan: Plan, unit: Unit) -> bool:
    """Return whether this collection wrote the unit."""
    return any(mark in unit.text for mark in MARKS) or f"{plan.install_directory}/current/bin/" in unit.starts


def problems(plan: Plan, host: Host) -> list[str]:
    """Return a sentence for all that a run would take over, or break on."""
    ours = is_ours(plan, host.unit)
    found = []
    if host.unit.masked:
        found.append(f"{plan.unit} is masked, so that it cannot start: systemctl unmask {plan.unit}.")
    elif host.unit.path and not ours:
        found.append(
            f"{host.unit.path} is a unit of another devpi, which this run would replace by one with an empty index"
            f" ({host.unit.starts or 'it starts nothing'}). Stop it and put its file aside:"
            f" {STOP} {plan.unit} && mv {host.unit.path} {host.unit.path}.before. {keep_data(plan)}"
        )
    for process in host.processes:
        of_ours = process.server.startswith(f"{plan.install_directory}/")
        # Where the index is there already, a devpi for something else may run beside it.
        beside = ours and not any(plan.directory in word for word in process.command)
        if not of_ours and not beside and (process.unit != plan.unit or ours):
            how = f"{STOP} {process.unit}" if process.unit.endswith(".service") else f"kill {process.pid}"
            found.append(f"Another devpi-server runs already, {process}. Stop it: {how}. {keep_data(plan)}")
    if host.taken and not (ours and host.unit.active) and not found:
        found.append(
            f"Somebody listens to {plan.host}:{plan.port} already, where devpi-server shall:"
            f" ss -ltnp 'sport = :{plan.port}' says who. Stop that, or set devpi_server_listen to another port."
        )
    if ours and host.former not in ("", plan.directory):
        found.append(
            f"devpi_directory is {plan.directory}, and this host has its data in {host.former}. To move them: systemctl"
            f" stop devpi-health.timer {plan.unit} && mv --no-target-directory {host.former} {plan.directory} &&"
            f" usermod --home {plan.directory} {plan.user}; then run this again, which starts the server. Or set"
            f" devpi_directory to {host.former}."
        )
    return found + data_problems(plan, host)


def keep_data(plan: Plan) -> str:
    """Return how the data of another devpi become those of ours."""
    return (
        f"Its data can be kept: move its server directory to {plan.directory} before the next run, and set"
        " devpi_server_root_password to the password of its user root."
    )


def data_problems(plan: Plan, host: Host) -> list[str]:
    """Return what is wrong with data that are there."""
    if DATA[0] not in host.owners:
        return []
    found = []
    if not host.password and not plan.password_given:
        found.append(
            f"{plan.directory} has the data of a devpi, and {plan.password_file} is not there: a password that is"
            " made up now would not be that of the user root in these data. Set devpi_server_root_password to the one"
            f" that is, or move the data away for an empty index: mv {plan.directory} {plan.directory}.before."
        )
    others = {name: uid for name, uid in host.owners.items() if uid != host.uid}
    if others:
        name, uid = next(iter(others.items()))
        account = "" if host.uid is not None else (
            f"useradd --system --home-dir {plan.directory} --no-create-home --shell /usr/sbin/nologin {plan.user} && "
        )  # fmt: skip
        found.append(
            f"{plan.directory}/{name} belongs to the uid {uid}{name_of(uid)}, and devpi-server runs as {plan.user}"
            f"{'' if host.uid is None else f' (uid {host.uid})'}, who could not write there. When nobody uses"
            f" the data any more: {account}chown -R {plan.user}: {plan.directory}"
        )
    return found


def name_of(uid: int) -> str:
    """Return the user of a uid in brackets, or that there is none."""
    try:
        return f" ({pwd.getpwuid(uid).pw_name})"
    except KeyError:
        return ", which no user of the host has"


def look_at_unit(name: str) -> Unit:
    """Ask systemd. A host without one has no units."""
    wanted = ("FragmentPath", "LoadState", "ActiveState", "ExecStart")
    try:
        said = subprocess.run(
            ["systemctl", "show", name, f"--property={','.join(wanted)}"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return Unit()
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    path = facts.get("FragmentPath", "")
    starts = re.search(r"argv\[\]=(.*?) ;", facts.get("ExecStart", ""))
    masked = facts.get("LoadState") == "masked"
    return Unit(
        path="" if masked else path,
        text=read(Path(path)) if path and not masked else "",
        masked=masked,
        active=facts.get("ActiveState") in {"active", "activating", "reloading"},
        starts=starts[1] if starts else "",
    )


def read(path: Path) -> str:
    """Return the text of a file, or "" where it cannot be read: processes end, and units are removed."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def look_at_processes(proc: Path = Path("/proc")) -> list[Process]:
    """Return all processes of a devpi-server that see the same processes as we do: not those of a container."""
    found = []
    for folder in proc.glob("[0-9]*"):
        command = read(folder / "cmdline").split("\0")[:-1]
        if not any(os.path.basename(word) == "devpi-server" for word in command[:3]):
            continue
        try:
            if os.readlink(folder / "ns/pid") != os.readlink(proc / "self/ns/pid"):
                continue
            uid = folder.stat().st_uid
        except OSError:
            continue  # It has ended.
        unit = re.search(r"([^/\n]+\.(?:service|scope))$", read(folder / "cgroup"), re.MULTILINE)
        found.append(
            Process(int(folder.name), command, unit[1] if unit else "", name_of(uid).strip(" (),") or str(uid))
        )
    return sorted(found, key=lambda process: process.pid)


def look_at_owners(directory: Path) -> dict[str, int]:
    """Return who owns what devpi has in its directory. No link is followed."""
    found = {}
    for name in DATA:
        try:
            status = (directory / name).lstat()
        except OSError:
            continue
        if not stat.S_ISLNK(status.st_mode):
            found[name] = status.st_uid
    return found


def is_taken(address: str, port: int) -> bool:
    """Return whether somebody listens there. An address that is not the host's is for others to find."""
    try:
        family, kind, protocol, _name, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        return error.errno == 98
    return False


def look(plan: Plan) -> Host:
    """Look at the host."""
    uid: int | None = None
    former = ""
    try:
        account = pwd.getpwnam(plan.user)
    except KeyError:
        pass
    else:
        uid = account.pw_uid
        # The role makes its data directory the home of the user.
        former = account.pw_dir if DATA[0] in look_at_owners(Path(account.pw_dir)) else ""
    return Host(
        unit=look_at_unit(plan.unit),
        processes=look_at_processes(),
        owners=look_at_owners(Path(plan.directory)),
        password=Path(plan.password_file).exists(),
        uid=uid,
        taken=bool(plan.host) and is_taken(plan.host, plan.port),
        former=former,
    )


if __name__ == "__main__":
    words = json.loads(sys.argv[1])
    given = Plan(**{**words, "port": int(words["port"])})  # Ansible before 2.19 makes texts of numbers.
    print(json.dumps(problems(given, look(given))))
