"""Back devpi up with restic, prove that the backup can be restored, and restore it.

devpi-backup init                make the repository where there is none
devpi-backup backup              make a backup, and forget those that are not kept
devpi-backup drill               restore the newest backup beside the running server, and prove that it works
devpi-backup restore SNAPSHOT    put a backup (or `latest`) in the place of the data; what is there is moved aside
devpi-backup confirm             prove that the server runs with what was restored
devpi-backup status              tell how old the backup is, and whether a drill proved it
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import grp
import hashlib
import http.client
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import http as local_http
from devpi_ctl import privileges, sqlite, systemd
from devpi_ctl.files import SNAPSHOTS

#: Written by the role; beside it are the password, the repository, the environment and the key for SSH.
SETTINGS = Path("/etc/devpi-backup/settings.json")
CONFIGURATION = Path("/etc/devpi")
#: What a host needs beside the data, so that logins go on and clients trust it: where it is there, it is in the backup.
OTHERS = (CONFIGURATION, Path("/etc/devpi-ca"), Path("/etc/devpi-acme"))
USER = "devpi"
SERVICE = "devpi.service"
#: nginx reads the files by the group of their folder.
FILES_GROUP = "www-data"
TAG = "devpi"
#: Each so many seconds a long stage says how far it is.
PROGRESS = 10
#: What has to be equal before and after a restore.
COUNTED = ("serial", "users", "indexes", "releases", "files", "mirrored_files")


class FailedError(Exception):
    """Something went wrong; the message is for a person."""


class Teller:
    """Tells whoever runs this, and in a file whoever follows a restore."""

    file: Path | None = None

    def __call__(self, text: str) -> None:
        """Print a line at once."""
        print(text, flush=True)
        if self.file:
            self.file.write_text(text + "\n")


say = Teller()


def now() -> str:
    """Return the time as people and programs read it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(count: float) -> str:
    """Return bytes for people."""
    return f"{count / 2**20:.1f} MiB"


class Far:
    """Says every few seconds how far a long stage is."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.begin = self.said = time.monotonic()

    def __call__(self, files: int, of: int, done: int = 0, bytes_of: int = 0) -> None:
        """Say it, by bytes where they are known, where the last time was a while ago."""
        moment = time.monotonic()
        if moment - self.said < PROGRESS:
            return
        self.said = moment
        share = done / bytes_of if bytes_of else files / max(1, of)
        left = f", {(moment - self.begin) * (1 / share - 1):.0f} s left" if 0 < share <= 1 else ""
        of_bytes = f", {size(done)} of {size(bytes_of)}" if bytes_of else ""
        say(f"{self.what} {files} of {of} files{of_bytes}{left}")


def write(path: Path, content: Any) -> None:
    """Write JSON in one step, for root alone."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.chmod(0o600)
    new.replace(path)


def read(path: Path) -> dict[str, Any]:
    """Read JSON; nothing where the file is not there."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


class Backup:
    """The backup of one host."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.server = Path(settings["server_directory"])
        self.work = Path(settings["directory"])
        self.bin = Path(settings["install_directory"]) / "current" / "bin"
        self.aside = self.server / SNAPSHOTS
        self.copy = self.aside / "backup"
        self.incoming = self.aside / "restore"
        self.manifest = self.work / "manifest.json"
        self.status = self.work / "status.json"
        self.restored = self.work / "restored.json"
        self.restoring = self.work / "restoring"
        self.progress = self.work / "progress"
        self.lock: int | None = None

    # restic

    def restic(self, *arguments: str, told: Callable[[str], None] | None = None) -> str:
        """Run restic. Returns what it prints, of which `told` gets each line at once. Raises FailedError."""
        beside = SETTINGS.parent
        environment = {
            **os.environ,
            "RESTIC_REPOSITORY_FILE": str(beside / "repository"),
            "RESTIC_PASSWORD_FILE": str(beside / "password"),
            "RESTIC_CACHE_DIR": str(self.work / "cache"),
            "RESTIC_PROGRESS_FPS": "1",
        }
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                ["restic", *self.ssh(), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Who is killed leaves no restic behind that nobody waits for.
                pass_fds=[self.lock] if self.lock is not None else [],
            )
            out = following(process, told)
            if process.returncode != 0:
                errors.seek(0)
                raise FailedError(self.reason(arguments[0], errors.read().strip()))
        return out

    def reason(self, what: str, errors: str) -> str:
        """Return what restic says, with what to do about it."""
        if "wrong password" in errors:
            return (
                "The repository does not open with this password: give as devpi_backup_password the one that it was "
                "made with."
            )
        if "unable to open config file" in errors or "repository does not exist" in errors:
            return f"There is no repository, or it cannot be reached (is its disk mounted?): {errors.splitlines()[0]}"
        return f"restic {what} failed: {' '.join(errors.splitlines()[-5:])}"

    def ssh(self) -> list[str]:
        """Return how restic reaches a repository by SSH, where the role was given a key."""
        key, repository = SETTINGS.parent / "ssh_key", (SETTINGS.parent / "repository").read_text().strip()
        if not repository.startswith("sftp:") or not key.exists():
            return []
        if repository.startswith("sftp://"):
            url = urllib.parse.urlsplit(repository)
            where = [*(["-p", str(url.port)] if url.port else []), re.sub(r":\d+$", "", url.netloc)]
        else:
            where = [repository.split(":")[1]]
        command = ["ssh", "-i", str(key), "-o", f"UserKnownHostsFile={SETTINGS.parent / 'known_hosts'}"]
        command += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=60"]
        return ["-o", f"sftp.command={shlex.join([*command, *where, '-s', 'sftp'])}"]

    def snapshot(self, wanted: str = "latest") -> dict[str, Any]:
        """Return a snapshot of this index by its id. Raises FailedError."""
        found = json.loads(self.restic("snapshots", "--json", "--tag", TAG) or "null") or []
        found = [one for one in found if wanted == "latest" or one["id"].startswith(wanted)]
        if not found:
            raise FailedError(f"The repository has no backup '{wanted}': `restic snapshots` lists what it has.")
        return dict(max(found, key=lambda one: datetime.fromisoformat(one["time"][:19])))

    def fetch(self, snapshot: dict[str, Any], target: Path) -> None:
        """Restore a snapshot into a folder, and say how far it is."""
        total = json.loads(self.restic("stats", "--json", snapshot["id"]))
        done, far = threading.Event(), Far("restored")

        def progress() -> None:
            # restic of Debian 12 does not say how far a restore is.
            while not done.wait(PROGRESS):
                there = [path.lstat().st_size for path in target.rglob("*") if not path.is_dir()]
                far(len(there), total["total_file_count"], sum(there), total["total_size"])

        threading.Thread(target=progress, daemon=True).start()
        try:
            self.restic("restore", snapshot["id"], "--target", str(target))
        finally:
            done.set()

    # devpi

    def as_devpi(self, *command: str | Path, told: Callable[[str], None] | None = None) -> str:
        """Run a program of devpi as its user, who gets nothing of the environment. Raises FailedError."""
        process = subprocess.Popen(
            [str(part) for part in command],
            **self.devpi_user(),
            stdout=subprocess.PIPE,
            pass_fds=[self.lock] if self.lock is not None else [],
            text=True,
        )
        out = following(process, told)
        if process.returncode != 0:
            raise FailedError(
                f"{Path(command[0]).name} {Path(command[-1]).name} ended with {process.returncode}, see above."
            )
        return out

    def devpi_user(self) -> dict[str, Any]:
        """Return how a process of devpi is started."""
        clean = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TMPDIR": "/var/tmp"}
        return {
            "user": USER,
            "group": USER,
            "extra_groups": [],
            "umask": 0o027,
            "cwd": "/",
            "env": clean,
            "stdin": subprocess.DEVNULL,
        }

    def data(self, *arguments: str | Path) -> dict[str, Any]:
        """Copy or count data of devpi. Returns what they hold."""
        program = Path(__file__).with_name("data.py")
        said = self.as_devpi(self.bin / "python", "-I", program, *arguments)
        return dict(json.loads(said))

    def fsck(self, directory: Path, files: int) -> None:
        """Compare all files with the database. Raises FailedError."""
        privileges.done_as(pwd.getpwnam(USER), lambda _tell: sqlite.heal(directory))
        say("devpi-fsck: every file that was uploaded is there, with the checksum that it was uploaded with?")
        far = Far("checked")

        def told(line: str) -> None:
            if so_far := re.search(r"Processed a total of (\d+) files", line):
                far(int(so_far[1]), files)
            elif not re.search(r"INFO|WARN", line):
                say(line)

        self.as_devpi(self.bin / "devpi-fsck", "--serverdir", directory, told=told)

    # The commands

    def init(self) -> None:
        """Make the repository where there is none."""
        try:
            self.restic("cat", "config")
        except FailedError as reason:
            if "There is no repository" not in str(reason):
                raise
            self.restic("init")
            say("The repository was made.")

    def backup(self) -> None:
        """Make a backup, and forget those that are not kept."""
        with self.recorded("backup") as record:
            account = pwd.getpwnam(USER)
            # Of a run that was killed. restic leaves those alone whose process lives.
            self.restic("unlock")
            say("Copying the database and linking the files")
            # It is root's, and devpi passes through to its own.
            privileges.own_folder(self.aside, 0o711)
            shutil.rmtree(self.copy, ignore_errors=True)
            self.copy.mkdir(mode=0o700)
            os.chown(self.copy, account.pw_uid, account.pw_gid)
            holds = self.data("copy", self.server, self.copy, "yes" if self.settings["mirrored_files"] else "no")
            # From here on, devpi changes no name in it: restic reads what was counted.
            left_out(privileges.freeze(self.copy))
            record["holds"] = holds
            write(self.manifest, {"made": now(), "data": str(self.copy), "holds": holds})
            say(f"{holds['releases']} releases, {holds['files']} files, {size(holds['bytes'])}")
            paths = [self.copy, self.manifest, *(path for path in OTHERS if path.exists())]
            far, counts = Far("backed up"), ("files_done", "total_files", "bytes_done", "total_bytes")

            def told(line: str) -> None:
                status = json.loads(line)
                if status["message_type"] == "status":
                    files, of, done, of_bytes = (int(status.get(name, 0)) for name in counts)
                    far(files, of, done, of_bytes)

            # A link more or less changes the time of the inode, not the file.
            options = ["--json", "--ignore-ctime", "--tag", TAG, "--host", self.settings["domain"]]
            self.restic("backup", *options, *map(str, paths), told=told)
            record["snapshot"] = self.snapshot()["id"]
            say(f"Backup {record['snapshot'][:8]} is complete: forgetting those that are not kept")
            shutil.rmtree(self.copy)
            keep = [f"--keep-{period}={count}" for period, count in self.settings["keep"].items()]
            self.restic("forget", "--tag", TAG, "--group-by", "host", *keep, "--prune")

    def drill(self) -> None:
        """Restore the newest backup beside the running server, and prove that it works."""
        target = self.work / "drill"
        with self.recorded("drill") as record:
            try:
                snapshot = self.snapshot()
                record.update(snapshot=snapshot["id"], made=snapshot["time"][:19] + "Z")
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(mode=0o700)
                say(f"Restoring backup {snapshot['id'][:8]} of {record['made']}")
                self.fetch(snapshot, target)
                record["holds"] = self.prove(target)
            finally:
                shutil.rmtree(target, ignore_errors=True)

    def check(self, target: Path, files_group: int | None = None) -> tuple[dict[str, Any], Path]:
        """Check restored data where they lie, in a folder that root alone opens until they are devpi's.

        Returns what the backup says of itself, and the folder of the data, whose files get the group.
        """
        manifest = read(inside(target, self.manifest))
        data = inside(target, Path(manifest["data"]))
        account = pwd.getpwnam(USER)
        left_out(privileges.give(data, account))
        if files_group is not None:
            privileges.give(data / "+files", account, files_group)
        # devpi's user passes through to them, and no more.
        for folder in data.parents:
            if target in folder.parents:
                os.chown(folder, os.geteuid(), os.getegid())
                folder.chmod(0o711)
        target.chmod(0o711)
        found = self.data("count", data)
        if found["installed"].split(".")[0] != found["data_of"]:
            raise FailedError(
                f"The backup has data of devpi {found['data_of']}, and devpi {found['installed']} is installed here: "
                f"restore it with a lock of devpi {found['data_of']} in devpi_server_lock."
            )
        compare(manifest["holds"], found)
        self.fsck(data, found["known_files"])
        return manifest, data

    def prove(self, target: Path) -> dict[str, Any]:
        """Start devpi with what was restored, and install from it. Returns what it holds."""
        manifest, data = self.check(target)
        configuration = inside(target, CONFIGURATION)
        for folder in (configuration.parent, configuration):
            folder.chmod(0o711)
        account = pwd.getpwnam(USER)
        os.chown(configuration / "secret", account.pw_uid, account.pw_gid, follow_symlinks=False)
        say("Starting devpi with what was restored")
        # Nobody else reaches what listens in there, nor listens there first.
        with tempfile.TemporaryDirectory(prefix="devpi-drill-") as place:
            os.chown(place, account.pw_uid, account.pw_gid)
            command = [self.bin / "devpi-server", "--serverdir", data, "--secretfile", configuration / "secret"]
            command += ["--unix-socket", f"{place}/devpi.sock", "--offline-mode", "--restrict-modify", "root"]
            command += ["--indexer-backend", "null", "--threads", "2"]
            with subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **self.devpi_user(),
            ) as server:
                try:
                    install(
                        f"unix:{place}/devpi.sock",
                        manifest["holds"]["newest"],
                        (configuration / "root-password").read_text().strip(),
                        lambda: None if server.poll() is None else f"It ended with {server.returncode}.",
                    )
                finally:
                    server.terminate()
        return dict(manifest["holds"])

    def restore(self, wanted: str) -> None:
        """Put a backup in the place of the data. Done again after an interruption, it goes on.

        All of it is fetched and checked before anything is touched. Then renames, of which each is written down before
        the first one, move away what is there and put the new in its place. What marks data as complete (.nodeinfo)
        leaves first and comes last.
        """
        plan_file = self.incoming / "plan.json"
        if self.restoring.exists() and not plan_file.exists():
            say("A backup is in its place already: `devpi-backup confirm` ends that restore")
            return
        if not plan_file.exists():
            self.prepare(wanted, plan_file)
        plan = read(plan_file)
        say(f"Backup {plan['snapshot'][:8]} is complete: putting it in its place")
        if systemd.systemctl("show", "--property=LoadState", "--value", SERVICE).strip() == "loaded":
            systemd.systemctl("stop", SERVICE)
        if "moves" not in plan:
            plan.update(self.moves(plan))
            write(plan_file, plan)
        for old, kept in plan["away"]:
            if os.path.lexists(old) and not os.path.lexists(kept):
                Path(kept).parent.mkdir(mode=0o700, exist_ok=True)
                Path(old).rename(kept)
        for new, place in plan["moves"]:
            if os.path.lexists(new):
                Path(new).rename(place)
        write(self.restored, {**plan, "time": now()})
        self.restoring.touch(mode=0o600)
        plan_file.unlink()
        shutil.rmtree(self.incoming)
        kept = ", ".join(kept for _old, kept in plan["away"]) or "nothing"
        say(f"Restored backup {plan['snapshot'][:8]}. Kept of what was there before: {kept}")

    def prepare(self, wanted: str, plan_file: Path) -> None:
        """Fetch a backup, and check it where it lies."""
        snapshot = self.snapshot(wanted)
        say(f"Fetching backup {snapshot['id'][:8]} of {snapshot['time'][:19]}Z")
        shutil.rmtree(self.incoming, ignore_errors=True)
        if not self.server.exists():
            self.server.mkdir(parents=True)
            os.chown(self.server, os.geteuid(), pwd.getpwnam(USER).pw_gid)
            # As the role devpi_server makes it.
            self.server.chmod(0o1771)
        privileges.own_folder(self.aside, 0o711)
        self.incoming.mkdir(mode=0o700)
        self.fetch(snapshot, self.incoming)
        manifest, data = self.check(self.incoming, grp.getgrnam(FILES_GROUP).gr_gid)
        for path in OTHERS:
            came, beside = inside(self.incoming, path), path.with_name(f".{path.name}.restore")
            shutil.rmtree(beside, ignore_errors=True)
            if came.exists():
                shutil.copytree(came, beside, symlinks=True)
        beside = CONFIGURATION.with_name(f".{CONFIGURATION.name}.restore")
        # A copy belongs to root. What its group reads, and others do not, is what the group of devpi reads.
        for path in (beside, *(path for path in beside.iterdir() if path.stat().st_mode & 0o044 == 0o040)):
            shutil.chown(path, "root", USER)
        shutil.chown(beside / "secret", USER, USER)
        write(plan_file, {**manifest, "snapshot": snapshot["id"], "data": str(data)})

    def moves(self, plan: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
        """Return what leaves and where to, and what comes and where to."""
        stamp, data = f"before-restore-{int(time.time())}", Path(plan["data"])
        # In there are the data from before upgrades as well, and what former restores moved aside.
        names = sorted((one.name for one in self.server.iterdir() if one != self.aside), key=is_mark)
        away = [(str(self.server / name), str(self.aside / stamp / name)) for name in reversed(names)]
        moves = []
        for path in OTHERS:
            beside = path.with_name(f".{path.name}.restore")
            if beside.exists():
                moves.append((str(beside), str(path)))
                if path.exists():
                    away.append((str(path), f"{path}.{stamp}"))
        come = sorted((one.name for one in data.iterdir()), key=is_mark)
        return {"away": away, "moves": [*moves, *((str(data / name), str(self.server / name)) for name in come)]}

    def confirm(self) -> None:
        """Prove that the server runs with what was restored: the end of the playbook."""
        plan = read(self.restored)
        found = self.data("count", self.server)
        if found["missing"] or found["serial"] < plan["holds"]["serial"]:
            raise FailedError(f"The data hold less than the backup did: {line(found)}, {found['missing']} are missing.")
        say(f"Backup {plan['snapshot'][:8]}: {line(plan['holds'])}")
        say(f"The server now: {line(found)}")
        password = (CONFIGURATION / "root-password").read_text().strip()
        restarts = systemd.state_of(SERVICE).restarts

        def trouble() -> str | None:
            state = systemd.state_of(SERVICE)
            reason = None if state.has_job else state.trouble(restarts)
            return f"{reason} Its last words:\n{systemd.last_words(SERVICE)}" if reason else None

        install(self.settings["url"], found["newest"], password, trouble)
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.restoring.unlink(missing_ok=True)

    def tell(self) -> int:
        """Print the state. Returns 0 where the newest backup was proven, 1 where something failed, 2 otherwise."""
        status = read(self.status)
        made, drill, proven = status.get("backup", {}), status.get("drill", {}), status.get("proven", {})
        complete = status.get("complete", {})
        if not complete:
            say("There is no backup yet.")
        else:
            is_proven = proven.get("snapshot") == complete["snapshot"]
            state = (
                f"PROVEN by the drill of {proven['time']}"
                if is_proven
                else "UNPROVEN, because no drill has passed with it"
            )
            say(f"The newest backup, {complete['snapshot'][:8]}, is {age(complete['time'])} old and {state}.")
            say(f"It holds {line(complete['holds'])}.")
            if not is_proven and proven:
                say(f"The newest that is proven is {proven['snapshot'][:8]}, {age(proven['made'])} old.")
        failed = [(name, one) for name, one in (("backup", made), ("drill", drill)) if one.get("result") == "failed"]
        for name, one in failed:
            say(f"The last {name} FAILED at {one['time']}: {one['message']}")
        if failed:
            return 1
        return 0 if complete and proven.get("snapshot") == complete["snapshot"] else 2

    @contextlib.contextmanager
    def recorded(self, what: str) -> Iterator[dict[str, Any]]:
        """Keep how a backup or a drill went, for `status` and for whoever watches the host."""
        record: dict[str, Any] = {"time": now()}
        begin = time.monotonic()
        try:
            yield record
            record["result"] = "passed"
        except BaseException as reason:
            record.update(result="failed", message=str(reason) or type(reason).__name__)
            raise
        finally:
            record["seconds"] = round(time.monotonic() - begin, 1)
            status = {**read(self.status), what: record}
            if what == "backup" and "snapshot" in record:
                status["complete"] = record
            if what == "drill" and record["result"] == "passed":
                status["proven"] = record
            write(self.status, status)

    def alone(self) -> None:
        """Wait until no other backup, drill or restore goes on."""
        self.lock = os.open(self.work / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another backup, drill or restore goes on: waiting for its end")
            fcntl.flock(self.lock, fcntl.LOCK_EX)


def inside(target: Path, path: Path) -> Path:
    """Return where restic puts a path."""
    return target / path.relative_to("/")


def following(process: subprocess.Popen[str], told: Callable[[str], None] | None) -> str:
    """Wait for the end of a process. Returns what it prints, or nothing where `told` gets each line of it."""
    assert process.stdout is not None
    with process, process.stdout as lines:
        if told is None:
            return lines.read()
        for text in lines:
            told(text.rstrip())
    return ""


def is_mark(name: str) -> bool:
    """Whether this file marks the data as complete; sorted by it, it is the last one."""
    return name == ".nodeinfo"


def left_out(removed: Sequence[str]) -> None:
    """Tell what was no plain file or folder, which no data of devpi are."""
    for path in removed:
        say(f"Left out, because it is no plain file or folder: {path}")


def compare(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise FailedError where data hold something else than they should."""
    wrong = [f"{name}: {found[name]} instead of {wanted[name]}" for name in COUNTED if found[name] != wanted[name]]
    if found["missing"]:
        wrong.append(f"{found['missing']} files are missing")
    if wrong:
        raise FailedError("The restored data are not what the backup held: " + ", ".join(wrong))
    say("Counted: " + line(found))


def line(holds: dict[str, Any]) -> str:
    """Return what data hold, in a line."""
    return (
        f"{holds['users']} users, {holds['indexes']} indexes, {holds['releases']} releases, {holds['files']} files "
        f"({size(holds['bytes'])})"
    )


def age(of: str) -> str:
    """Return for how long something is there."""
    seconds = time.time() - datetime.strptime(of, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def ask(url: str, path: str, headers: dict[str, str], body: dict[str, str] | None = None) -> bytes:
    """Return what a server answers, which has to be devpi's or root's. Raises OSError, HTTPException."""
    sent = None if body is None else json.dumps(body).encode()
    owners = {0, pwd.getpwnam(USER).pw_uid}
    status, _headers, said = local_http.get(url, path, {"Accept": "application/json", **headers}, 60, sent, owners)
    if status != 200:
        raise OSError(f"{path} answers {status}")
    return said


def install(url: str, newest: dict[str, str] | None, password: str, trouble: Callable[[], str | None]) -> None:
    """Log in as root, and fetch a file by the page of its project, as an installer does. Raises FailedError.

    `trouble` returns why there is nothing to wait for any more, None where there is.
    """
    # A drill comes after everybody else: on a busy host, its devpi takes minutes to start.
    for _second in range(600):
        if reason := trouble():
            raise FailedError(f"devpi does not start with what was restored. {reason}")
        if local_http.is_devpi(url, 60):
            break
        time.sleep(1)
    try:
        said = ask(url, "/+login", {"Content-Type": "application/json"}, {"user": "root", "password": password})
        login = base64.b64encode(f"root:{json.loads(said)['result']['password']}".encode()).decode()
        if newest is None:
            say("The old password of root opens it. There is no release yet to install.")
            return
        page = f"/{newest['index']}/+simple/{newest['project']}/"
        listed = ask(url, page, {"X-Devpi-Auth": login, "Accept": "text/html"}).decode()
        link = next(
            (
                one
                for one in re.findall(r'href="([^"#]+)', listed)
                if urllib.parse.unquote(one).endswith("/" + newest["file"])
            ),
            None,
        )
        if link is None:
            raise FailedError(f"{newest['file']} is not on the page of {newest['project']}.")
        # A link may name the host of the index.
        there = urllib.parse.urlsplit(urllib.parse.urljoin(page, link)).path
        content = ask(url, there, {"X-Devpi-Auth": login, "Accept": "*/*"})
    except (OSError, http.client.HTTPException, ValueError, KeyError) as reason:
        raise FailedError(f"What was restored does not answer as it should: {reason}") from reason
    if newest["hash"] not in (hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()):
        raise FailedError(f"{newest['file']} came with other bytes than were uploaded.")
    say(f"The old password of root opens it, and {newest['file']} installs from {newest['index']} with its checksum.")


def main(arguments: Sequence[str]) -> int:
    """Run a command. Returns the exit status."""
    os.umask(0o077)
    commands = ("init", "backup", "drill", "restore", "confirm", "status")
    if not arguments or arguments[0] not in commands or len(arguments) != 1 + (arguments[0] == "restore"):
        print(__doc__, file=sys.stderr)
        return 64
    backup = Backup(json.loads(SETTINGS.read_text()))
    what, *more = arguments
    if what == "status":
        return backup.tell()
    backup.alone()
    if what == "restore":
        say.file = backup.progress
    try:
        getattr(backup, what)(*more)
    except (FailedError, systemd.SystemdError, privileges.WorkError) as reason:
        print(f"devpi-backup {what}: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
