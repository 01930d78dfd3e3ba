# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change nginx of a host that may serve other sites, so that it runs on and starts again whatever happens.

Usage, where PLAN is the JSON of a Plan:
    try_nginx.py keep PLAN            keep the files that a run changes, as they are
    try_nginx.py try PLAN CANDIDATE   test all of /etc/nginx as it would be with the candidate as devpi.conf
    try_nginx.py check PLAN           fail where nginx does not run with what its files say, with what it logged
    try_nginx.py put-back PLAN        put the kept files back, and let nginx run with them; prints what it did
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: The directives of a unit that say what its processes may do.
SANDBOX = re.compile(
    r"(Protect|Private|Restrict|SystemCall|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|BindPaths|BindReadOnlyPaths"
    r"|TemporaryFileSystem|CapabilityBoundingSet|LockPersonality|NoNewPrivileges|RemoveIPC|UMask|LimitNOFILE)\w*="
)
HINTS = (
    (
        r'unknown directive "(?:init_by_|access_by_|content_by_|set_by_)?lua',
        "nginx.conf does not load the module of Lua: write `include /etc/nginx/modules-enabled/*.conf;` before its"
        " block events.",
    ),
    (r'"(\S+)" directive is duplicate', "The directive may stand once only: remove it where another file has it."),
    (
        r"a duplicate default server for",
        "Two servers want what comes for unknown hosts: take `default_server` from the listen of one.",
    ),
)
#: Seconds that a reload may take until the new workers are there.
PATIENCE = 15


class Failed(Exception):
    """What is wrong, in sentences."""


@dataclass(frozen=True)
class Plan:
    """What a run changes.

    Attributes:
        removes_default: Whether it removes sites-enabled/default.
        sandbox: Its drop-in of the unit nginx.service.
        kept: The folder in which the files are kept.
        read: The files that nginx has to have read since they changed.
        etc: The folder of nginx.
    """

    removes_default: bool
    sandbox: str
    kept: str
    read: list[str]
    etc: str = "/etc/nginx"

    def changed(self) -> list[Path]:
        """Return the paths that a run changes."""
        names = ("sites-available/devpi.conf", "sites-enabled/devpi.conf", "sites-enabled/default")
        return [Path(self.etc, name) for name in names] + [Path(self.sandbox)]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def is_there(path: Path) -> bool:
    """Return whether there is anything, a link that leads nowhere as well."""
    return path.exists() or path.is_symlink()


def keep(plan: Plan) -> None:
    """Keep the files as they are, in a folder that root alone reads. What is not there is remembered as well."""
    folder = Path(plan.kept)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=folder))
    for number, path in enumerate(plan.changed()):
        if is_there(path):
            shutil.copy2(path, fresh / str(number), follow_symlinks=False)
    before = folder / "before"
    shutil.rmtree(before, ignore_errors=True)
    fresh.rename(before)


def put_back(plan: Plan) -> list[Path]:
    """Put the files back. Returns those that had changed."""
    changed = []
    for number, path in enumerate(plan.changed()):
        kept = Path(plan.kept, "before", str(number))
        if same(kept, path):
            continue
        changed.append(path)
        if not is_there(kept):
            path.unlink()
            continue
        aside = path.with_name(f".{path.name}.put-back")
        aside.unlink(missing_ok=True)
        shutil.copy2(kept, aside, follow_symlinks=False)
        aside.replace(path)
    return changed


def same(one: Path, other: Path) -> bool:
    """Return whether two paths are the same link, the same file, or both nothing."""
    if not is_there(one) or not is_there(other):
        return is_there(one) == is_there(other)
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    return one.read_bytes() == other.read_bytes()


def run_as_before(plan: Plan) -> str:
    """Put the files back and let nginx run with them, started anew where it has to be. Returns what was done."""
    changed = put_back(plan)
    if not changed:
        return "No file of nginx was changed."
    if Path(plan.sandbox) in changed:
        run("systemctl", "daemon-reload")
    said = f"Put back as before: {', '.join(map(str, changed))}."
    test = run("nginx", "-t", "-q")
    if test.returncode:
        return f"{said} nginx does not start with that: {test.stderr.strip()}"
    state = run("systemctl", "is-active", "nginx.service").stdout.strip()
    action = "reload" if state == "active" and Path(plan.sandbox) not in changed else "restart"
    done = run("systemctl", action, "nginx.service")
    return said if done.returncode == 0 else f"{said} systemctl {action} nginx failed: {done.stderr.strip()}"


def make_tree(plan: Plan, candidate: Path, tree: Path) -> None:
    """Make the folder of nginx as it would be."""
    shutil.copytree(plan.etc, tree, symlinks=True)
    available, enabled = tree / "sites-available", tree / "sites-enabled"
    for folder in (available, enabled):
        folder.mkdir(exist_ok=True)
    for path in (available / "devpi.conf", enabled / "devpi.conf"):
        path.unlink(missing_ok=True)
    shutil.copy(candidate, available / "devpi.conf")
    (enabled / "devpi.conf").symlink_to(Path(plan.etc, "sites-available/devpi.conf"))
    if plan.removes_default:
        (enabled / "default").unlink(missing_ok=True)


def properties(plan: Plan) -> list[str]:
    """Return what the unit of nginx may do, of all its drop-ins in their order, as options of systemd-run."""
    found = []
    for path in sorted(Path(plan.sandbox).parent.glob("*.conf")):
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        found += [f"--property={line}" for line in lines if SANDBOX.match(line)]
    return found


def test_tree(plan: Plan, tree: Path, sandbox: list[str]) -> str:
    """Return what nginx says of a folder in the place of /etc/nginx, as its unit would run it, or "" if it is fine."""
    test = run(
        "systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=UMask=0027", *sandbox,
        f"--property=BindReadOnlyPaths={tree}:{plan.etc}", "nginx", "-t", "-q",
    )  # fmt: skip
    return (test.stderr.strip() or f"nginx -t ended with {test.returncode}") if test.returncode else ""


def try_candidate(plan: Plan, candidate: Path) -> None:
    """Test exactly what will run. Raises Failed with what nginx says, and what to write where that is known."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="devpi-nginx-", dir="/run") as folder:
        tree = Path(folder, "nginx")
        make_tree(plan, candidate, tree)
        sandbox = properties(plan)
        said = test_tree(plan, tree, sandbox)
        if not said:
            return
        if not test_tree(plan, tree, []):
            said += (
                f"\nIn its sandbox ({plan.sandbox}) nginx may not do what another site of this host needs. Allow it in"
                f" a file beside that, such as {Path(plan.sandbox).parent}/local.conf with [Service] and"
                " ReadWritePaths=/folder/of/its/logs."
            )
    raise Failed("\n".join([said, *hints(said)]))


def hints(said: str) -> list[str]:
    """Return what to write for what nginx said."""
    return [sentence for pattern, sentence in HINTS if re.search(pattern, said)]


def workers_since(proc: Path = Path("/proc")) -> float:
    """Return the time at which the newest worker of nginx.service was started, or 0 where none runs."""
    main = run("systemctl", "show", "--property=MainPID", "--value", "nginx.service").stdout.strip()
    booted = time.time() - float((proc / "uptime").read_text("ascii").split()[0])
    newest = 0.0
    for path in proc.glob("[0-9]*/stat"):
        try:
            facts = path.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # It has ended.
        if facts[1] == main and main != "0":
            newest = max(newest, booted + int(facts[19]) / os.sysconf("SC_CLK_TCK"))
    return newest


def changed_at(paths: list[str]) -> float:
    """Return when the newest of some files, or the folder that it is linked in, changed."""
    times = [os.stat(path).st_mtime for path in paths if os.path.exists(path)]
    times += [os.lstat(path).st_mtime for path in paths if os.path.lexists(path)]
    # A given certificate may come from a host whose clock is ahead.
    return max((changed for changed in times if changed <= time.time()), default=0.0)


def check(plan: Plan) -> None:
    """Wait until nginx runs with what its files say. Raises Failed where it does not."""
    until = time.monotonic() + PATIENCE
    # A clock tick is 10 ms: workers that were started right after the change may seem to be a little older.
    while workers_since() + 0.05 < changed_at(plan.read):
        state = run("systemctl", "show", "--property=ActiveState", "--value", "nginx.service").stdout.strip()
        if state in ("failed", "inactive") or time.monotonic() > until:
            log = run("tail", "--quiet", "--lines=5", "/var/log/nginx/error.log").stdout.strip()
            waited = f"nginx.service is {state}" if state != "active" else f"that was {PATIENCE} s ago"
            raise Failed(f"nginx does not run with the configuration that it was told to read; {waited}: {log}")
        time.sleep(0.2)


def main(arguments: list[str]) -> int:
    """Do what is asked for. Returns the exit status."""
    action, text, *more = arguments
    plan = Plan(**json.loads(text))
    try:
        if action == "try":
            try_candidate(plan, Path(more[0]))
        elif action == "put-back":
            print(run_as_before(plan))
        else:
            {"keep": keep, "check": check}[action](plan)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
