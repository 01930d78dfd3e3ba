# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install from locks with hashes into a virtual environment that the user of the server can run.

Usage: install.py check|make PLAN, where PLAN is the JSON of a Plan. `check` exits with 1 and a sentence where the
environment is not complete, or where its user cannot run it. `make` makes it so: a complete one whose modes alone are
wrong is mended, any other one is made anew.

Neither the umask of whoever calls it, nor the configuration of pip and uv of the host or of root, nor logins in root's
.netrc reach the installers: a host may be a client of its own index. Of the environment, they get what names a proxy,
and then what the environment file of the role says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
#: Of uv, in an environment that it works on.
UV_LOCK = ".lock"
LOG = "installer.log"
COMPLETE = ".complete"
WORK = ".work-"
#: Seconds in which a program tells its version, on a slow host as well.
PATIENCE = 120


class Failed(Exception):
    """Why the environment is not complete, as a sentence."""


@dataclass(frozen=True)
class Plan:
    """What is installed where.

    Attributes:
        folder: The virtual environment. Its locks are there already.
        python: The Python that it is made with.
        locks: The names of the locks, in calls of the installer that come one after another.
        program: What has to run in bin/ when all is done.
        environment: The file with the environment of server and installer.
        lock: The file that keeps two runs from installing at once.
        uv: The uv to install with, or "" for pip.
        user: Who has to be able to run the program, or "" for root alone.
    """

    folder: str
    python: str
    locks: list[list[str]]
    program: str
    environment: str
    lock: str
    uv: str = ""
    user: str = ""

    @property
    def place(self) -> Path:
        """Return the folder as a path."""
        return Path(self.folder)

    @property
    def cache(self) -> Path:
        """Return where the installers keep what they fetched."""
        return Path(self.lock).parent / "cache"


def environment_of(plan: Plan, caller: dict[str, str], home: str) -> dict[str, str]:
    """Return the environment of the installers, with nothing of the host's own pip and uv in it.

    PIP_CONFIG_FILE=/dev/null makes pip read no file at all; `pip --isolated` would go on reading /etc/pip.conf.
    """
    proxies = {name: value for name, value in caller.items() if name.lower() in PROXIES}
    cache = plan.cache
    ours = {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "NETRC": os.devnull,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CACHE_DIR": f"{cache}/pip",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": f"{cache}/uv",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    return {**ours, **proxies, **read_environment(Path(plan.environment).read_text("utf-8"))}


def read_environment(text: str) -> dict[str, str]:
    """Return what the environment file sets, as systemd reads it: NAME='value' a line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return dict("".join(shlex.split(line)).split("=", 1) for line in lines)


def why_not(plan: Plan) -> str:
    """Return why the program does not run as its user, or "" where it does."""
    program = plan.place / "bin" / plan.program
    uid = gid = groups = None
    if plan.user:
        try:
            account = pwd.getpwnam(plan.user)
        except KeyError:
            return f"there is no user {plan.user}"
        uid, gid, groups = account.pw_uid, account.pw_gid, list[int]()
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            user=uid,
            group=gid,
            extra_groups=groups,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    try:
        result = run(str(program), "--version")
    except (OSError, subprocess.TimeoutExpired) as error:
        for folder in reversed(program.parents):
            if plan.user and folder.exists() and run("/usr/bin/test", "-x", str(folder)).returncode:
                return f"the user {plan.user} may not pass {folder} (mode {stat.S_IMODE(folder.stat().st_mode):04o})"
        return str(error)
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        return f"{program} --version ends with {result.returncode}: {said[-1] if said else 'it says nothing'}"
    return ""


def check(plan: Plan) -> None:
    """Raise Failed where the environment is not complete, or its user cannot run it."""
    if not (plan.place / COMPLETE).exists():
        raise Failed(f"{plan.folder} is not complete")
    reason = why_not(plan)
    if reason:
        raise Failed(f"{plan.folder} cannot be run: {reason}")


def open_to_all(folder: Path) -> None:
    """Let everybody read, and run, what the owner may: what a strict umask has taken. No link is followed."""
    for where, folders, files in os.walk(folder):
        for path in (Path(where), *(Path(where, name) for name in folders + files if name != LOG)):
            mode = path.lstat().st_mode
            wanted = stat.S_IMODE(mode) | (mode & 0o500) >> 3 | (mode & 0o500) >> 6
            if not stat.S_ISLNK(mode) and wanted != stat.S_IMODE(mode):
                path.chmod(wanted)


def close_to_all(plan: Plan) -> None:
    """Let root alone pass to where the installers lock: whoever may open a lock may hold it, and uv lets everybody."""
    for folder in (plan.cache, plan.place):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)


def clear(folder: Path) -> None:
    """Leave of a former run the locks alone, and no mark before anything else."""
    (folder / COMPLETE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.suffix != ".txt":
            path.unlink()


@contextlib.contextmanager
def work_folder(beside: Path) -> Iterator[str]:
    """Give a home and a folder for temporary files that nobody else reads: /tmp may be noexec, or in memory."""
    for left in beside.glob(f"{WORK}*"):  # by a run that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=WORK, dir=beside) as folder:
        yield folder


def install(plan: Plan, log: int, home: str) -> None:
    """Make the environment and install all locks. Raises Failed with what the installer said last."""
    environment = environment_of(plan, dict(os.environ), home)
    if plan.uv:
        installer = [plan.uv, "pip", "install", "--no-config", "--compile-bytecode", "--python", "bin/python"]
        venv = [plan.python, "-m", "venv", "--without-pip", plan.folder]
        options = ["--no-build-isolation"]
    else:
        installer = ["bin/pip", "install"]
        venv = [plan.python, "-m", "venv", plan.folder]
        options = ["--no-build-isolation", "--use-pep517"]
    calls = [venv]
    for number, locks in enumerate(plan.locks):
        files = [word for lock in locks for word in ("--requirement", lock)]
        # What builds the others comes first, and is no sdist itself.
        calls.append([*installer, "--require-hashes", *files, *(options if number else [])])
    for call in calls:
        # In one call all its locks, so that the installer refuses those that do not agree.
        done = subprocess.run(
            call, cwd=plan.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
        if done.returncode:
            lines = (plan.place / LOG).read_text("utf-8", "replace").splitlines()
            raise Failed("\n".join(lines[-20:]) or f"{call[0]} ended with {done.returncode}")


def make(plan: Plan) -> None:
    """Make the environment complete. Raises Failed where that is not possible."""
    os.umask(0o022)
    # Whoever may open a lock may hold it.
    number = os.open(plan.lock, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(number, "a", encoding="utf-8") as lock:
        os.fchmod(number, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (plan.place / COMPLETE).exists():
            open_to_all(plan.place)
            if not why_not(plan):
                return
        clear(plan.place)
        close_to_all(plan)
        log = os.open(plan.place / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            with work_folder(Path(plan.lock).parent) as home:
                install(plan, log, home)
        finally:
            os.close(log)
        (plan.place / UV_LOCK).unlink(missing_ok=True)
        # The files in a cache keep the modes that they were stored with.
        open_to_all(plan.place)
        reason = why_not(plan)
        if reason:
            raise Failed(f"{plan.folder} is installed, but cannot be run: {reason}")
        (plan.place / COMPLETE).touch()


def main(arguments: list[str]) -> int:
    """Do what is asked for. Returns the exit status."""
    action, text = arguments
    try:
        {"check": check, "make": make}[action](Plan(**json.loads(text)))
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
