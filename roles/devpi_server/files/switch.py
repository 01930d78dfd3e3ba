"""Switch devpi to another release, and back by itself where that does not work.

`switch.py STATE run` does what STATE/plan.json says, or ends what a killed run left. `switch.py STATE recover` ends it
before devpi starts at boot.

The journal says how far a switch is. Up to its step `committed`, the way out of any trouble is back: nobody but this
program talked to the new release until then, because it was tried on a port that nginx does not know. So there is
nothing in its data that anybody was told to be safe. From that step on, the way out is forward.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import http as local_http
from devpi_ctl import sqlite, systemd

Json = dict[str, Any]

#: In the folder of the data, so that it is on the same file system whatever is mounted where. The role devpi_backup
#: keeps there what it copies, brings back and moved aside.
SNAPSHOTS = ".before"
#: What the unit is told while the new release is tried; in /run, so that no boot finds it.
TRIAL = Path("/run/systemd/system")
#: Bytes that stay free on the disk beside what the snapshot takes.
SPARE = 64 * 1024 * 1024
RESERVE = 1024 * 1024
#: Seconds that one answer may take: a mirror may ask its upstream first.
PATIENCE = 60
#: The largest file that is installed for a proof.
LARGEST_SAMPLE = 50 * 1024 * 1024
SAMPLES = 3
#: A hard link takes as long as a copy of so many bytes, about.
LINK = 32 * 1024


class SwitchError(Exception):
    """The switch cannot go on; the message is the reason, for a person."""


class PrivateError(SwitchError):
    """An answer is for those who log in."""


class StoppedError(Exception):
    """Somebody or the limit stopped the switch, whatever it was trying; the message is the reason, for a person."""


# --- Files that outlive a power loss


def write_json(path: Path, content: Json) -> None:
    """Write a file so that after a power loss there is the old or the new one, and none that is half."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the entries of a folder outlive a power loss."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove(path: Path) -> None:
    """Remove a file, and nothing where there is none; a power loss does not bring it back."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def point(link: Path, target: Path) -> None:
    """Let a symbolic link point elsewhere, in one step."""
    new = link.with_name(link.name + ".new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
    sync_folder(link.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Give a file another content in one step. It keeps its mode and owner."""
    status = path.stat()
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.fchmod(file.fileno(), status.st_mode & 0o7777)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def exchange(one: Path, other: Path) -> None:
    """Exchange two paths of one file system in one step, so that whoever reads always finds something."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_cwd, exchange_them = -100, 2
    if libc.renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange_them) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder."""
    with os.scandir(folder) as entries:
        return list(entries)


def entries_of_data(folder: Path, data: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder below the data, and belongs to them."""
    return [entry for entry in entries_of(folder) if folder != data or entry.name != SNAPSHOTS]


def inodes(folder: Path) -> dict[str, int]:
    """Return what is in a folder of data: the inode of each name. It tells one file from another of the same name."""
    return {entry.name: entry.inode() for entry in entries_of(folder) if entry.name != SNAPSHOTS}


def settle(data: Path, beside: Path, wanted: dict[str, int]) -> None:
    """Move entries between two folders until `data` has those that are wanted. May be interrupted and called again."""
    for name in {*inodes(data), *wanted}:
        here, want = inodes(data).get(name), wanted.get(name)
        if here == want:
            continue
        if want is None:
            (data / name).rename(beside / name)
        elif here is None:
            (beside / name).rename(data / name)
        else:
            exchange(data / name, beside / name)
    sync_folder(data)
    sync_folder(beside)


# --- The snapshot


class Progress:
    """How far a stage is, for whoever follows."""

    def __init__(self, state: Path) -> None:
        self.path = state / "progress"
        self.said = 0.0

    def stage(self, what: str) -> None:
        """Tell of a new stage."""
        print(what, flush=True)
        # On a disk that is full, the way back matters more than news of it. Who reads never finds half of them.
        with contextlib.suppress(OSError):
            new = self.path.with_name(self.path.name + ".new")
            new.write_text(what)
            new.replace(self.path)
        self.said = time.monotonic()

    def far(self, what: str) -> None:
        """Tell how far the stage is, at most once a second."""
        if time.monotonic() - self.said >= 1:
            self.stage(what)


def mebibytes(count: int) -> str:
    """Return bytes as people read them.

    >>> mebibytes(5 * 1024 * 1024)
    '5.0 MiB'
    """
    return f"{count / 1024 / 1024:.1f} MiB"


def left(spent: float, done: int, whole: int) -> str:
    """Return the time that is left of a stage, as soon as that can be said.

    >>> left(10, 1000, 4000), left(1, 1, 4000)
    (', 30 s left', '')
    """
    return f", {spent * (whole - done) / done:.0f} s left" if whole / 20 < done < whole else ""


def is_linked(path: Path) -> bool:
    """Whether what is below a path of the data never changes in place, so that a hard link keeps it.

    devpi writes a release file aside and moves it into place, and unpacks documentation into a new folder. The files at
    the top and what begins with a dot (the database, the index of the search) are written to.
    """
    return not path.name.startswith(".")


@dataclasses.dataclass
class Amount:
    """What a snapshot takes, or took so far."""

    #: What is copied and what the folders take, on the disk.
    size: int = 0
    inodes: int = 0
    files: int = 0
    copied: int = 0

    def work(self) -> int:
        """Return how much there is to do, in bytes."""
        return self.copied + self.files * LINK


def needs(data: Path, progress: Progress) -> Amount:
    """Return what a snapshot takes."""
    device = data.stat().st_dev
    amount = Amount()
    folders = [(data, False)]
    while folders:
        folder, linked = folders.pop()
        amount.inodes += 1
        amount.size += folder.stat().st_size
        for entry in entries_of_data(folder, data):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if entry.stat(follow_symlinks=False).st_dev != device:
                    raise SwitchError(f"{path} is a file system of its own: a snapshot needs it on that of {data}.")
                folders.append((path, linked or is_linked(path)))
                continue
            amount.files += 1
            if not linked:
                size = entry.stat(follow_symlinks=False).st_size
                amount.inodes += 1
                amount.size += size
                amount.copied += size
            progress.far(f"count: {amount.files} files, {mebibytes(amount.copied)} to be copied")
    return amount


def check_room(data: Path, progress: Progress) -> Amount:
    """Return what the snapshot takes. Refuses where that does not fit on the disk."""
    amount = needs(data, progress)
    size, count = amount.size, amount.inodes
    disk = os.statvfs(data)
    free = disk.f_bavail * disk.f_frsize
    if free < size + SPARE:
        raise SwitchError(
            f"There is not enough room on the disk of {data}: {mebibytes(size + SPARE)} are needed, {mebibytes(free)} "
            f"are free, {mebibytes(size + SPARE - free)} are missing."
        )
    # Some file systems, such as btrfs, do not count inodes.
    if disk.f_files and disk.f_favail < count:
        raise SwitchError(f"The disk of {data} has {disk.f_favail} inodes left, {count} are needed.")
    return amount


def snapshot(data: Path, target: Path, whole: Amount, progress: Progress) -> None:
    """Make a copy of the data of a devpi that does not run: hard links, and copies of what is written to."""
    done, began = Amount(), time.monotonic()

    def tell(more: int = 0) -> None:
        progress.far(
            f"snapshot: {done.files} of {whole.files} files, {mebibytes(done.copied + more)} of "
            f"{mebibytes(whole.copied)} copied{left(time.monotonic() - began, done.work() + more, whole.work())}"
        )

    def copy_status(source: Path, new: Path) -> None:
        status = source.stat()
        os.chown(new, status.st_uid, status.st_gid)
        # After chown, which takes the setgid bit away.
        os.chmod(new, status.st_mode & 0o7777)
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))

    def copy_folder(source: Path, new: Path, linked: bool) -> None:
        new.mkdir(mode=0o700)
        for entry in entries_of_data(source, data):
            path, there = Path(entry.path), new / entry.name
            if not linked and entry.name.endswith(sqlite.COMPANIONS):
                continue
            if entry.is_dir(follow_symlinks=False):
                copy_folder(path, there, linked or is_linked(path))
                continue
            done.files += 1
            if linked or entry.is_symlink():
                os.link(path, there, follow_symlinks=False)
            elif entry.is_file() and sqlite.is_database(path):
                try:
                    sqlite.back_up(path, there, tell)
                except sqlite3.Error as reason:
                    raise SwitchError(f"SQLite could not copy {path}: {reason}.") from reason
                copy_status(path, there)
                done.copied += there.stat().st_size
            elif entry.is_file():
                shutil.copyfile(path, there)
                copy_status(path, there)
                done.copied += there.stat().st_size
            tell()
        copy_status(source, new)

    copy_folder(data, target, linked=False)
    progress.stage(f"sync: {done.files} files, {mebibytes(done.copied)} copied, the rest are hard links")
    # One call for all files, in place of one for each.
    os.sync()


def is_of_another_major(one: Path, other: Path) -> bool:
    """Whether one of two folders of data is of devpi 7 and the other is not."""
    return (one / sqlite.DATABASE_OF_7).exists() != (other / sqlite.DATABASE_OF_7).exists()


def release_of(kept: Path) -> Path:
    """Return the release that the data in a snapshot belong to."""
    return Path(json.loads((kept / "release.json").read_text())["release"])


# --- What a server says


class Server:
    """A devpi that is asked over HTTP: by itself, or through nginx of this host (`connect` is where that listens)."""

    def __init__(self, url: str, connect: str | None = None) -> None:
        # Of a socket, links have only a path that counts.
        self.local = url if url.startswith("unix:") else None
        self.url = "http://localhost/" if self.local else url.rstrip("/") + "/"
        self.connect = connect

    def get(self, path: str, accept: str = "*/*") -> tuple[http.client.HTTPMessage, bytes]:
        """Return the headers and the body of a good answer. Raises SwitchError."""
        url = urljoin(self.url, path)
        parts = urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https" and not self.local:
            connection = Nginx(str(parts.hostname), parts.port or 443, self.connect)
        else:
            connection = local_http.connection_to(self.local or url, PATIENCE)
        # With a cookie, nginx of this collection lets devpi answer and takes nothing from a cache.
        headers = {"Accept": accept, "Cookie": "devpi-switch=1"}
        try:
            connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            raise SwitchError(f"{url} gives no answer: {reason}.") from reason
        finally:
            connection.close()
        if answer.status != 200:
            raise (PrivateError if answer.status == 401 else SwitchError)(f"{url} answers {answer.status}.")
        return answer.headers, body

    def version(self) -> str:
        """Return the version that the API says. Raises SwitchError."""
        headers, body = self.get("+api", "application/json")
        if parsed(body).get("type") != "apiconfig":
            raise SwitchError(f"{self.url}+api does not answer as devpi does.")
        return str(headers.get("X-Devpi-Server-Version"))

    def look(self) -> Json:
        """Return what must be the same after the switch. Raises SwitchError."""
        version = self.version()
        headers, body = self.get("", "application/json")
        users = parsed(body).get("result")
        if not isinstance(users, dict):
            raise SwitchError(f"{self.url} does not list the users.")
        return {"version": version, "serial": int(headers.get("X-Devpi-Serial") or 0), "users": users}

    def link_to(self, sample: Json) -> str:
        """Return the URL of a file on the page of its project. Raises SwitchError."""
        path = f"{sample['index']}/+simple/{sample['project']}/"
        _headers, body = self.get(path, "text/html")
        for link in re.findall(r'href="([^"]+)"', body.decode(errors="replace")):
            url = urljoin(urljoin(self.url, path), link)
            file, _hash, digest = url.partition("#")
            if file.endswith(f"/{sample['file']}") and digest == f"sha256={sample['sha256']}":
                return str(file)
        raise SwitchError(f"{self.url}{path} does not list {sample['file']} with the hash that it had.")

    def install(self, sample: Json) -> None:
        """Do what an installer does: read the page, fetch the file, compare its hash. Raises SwitchError."""
        _headers, body = self.get(self.link_to(sample))
        if hashlib.sha256(body).hexdigest() != sample["sha256"]:
            raise SwitchError(f"{sample['file']} of {sample['index']} has another content than before.")


class Front(Server):
    """nginx on the way to a devpi that was asked itself before."""

    def install(self, sample: Json) -> None:
        """Do what an installer does, up to where nginx wants a login. Raises SwitchError."""
        with contextlib.suppress(PrivateError):
            super().install(sample)


class Nginx(http.client.HTTPSConnection):
    """HTTPS to nginx of this host under the name of the index, whatever that name means elsewhere."""

    def __init__(self, host: str, port: int, connect: str | None) -> None:
        # To this host, where nobody is in between; and a certificate is not what is tried here.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=PATIENCE, context=context)
        self.address, self.tls = connect or host, context

    def connect(self) -> None:
        """Connect to the address, and ask for the host."""
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)


def parsed(body: bytes) -> Json:
    """Return JSON as a dictionary, an empty one where it is none."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def compare(before: Json, after: Json, other_data: bool) -> None:
    """Refuse a server that lost something. Data that were made anew have serials and words of their own."""
    missing = sorted(before["users"].keys() ^ after["users"].keys())
    if missing:
        raise SwitchError(f"The users are not those from before the switch: {', '.join(missing)}.")
    for user, old in before["users"].items():
        old_indexes, indexes = old.get("indexes", {}), after["users"][user].get("indexes", {})
        missing = sorted(old_indexes.keys() ^ indexes.keys())
        if missing:
            raise SwitchError(f"The indexes of {user} are not those from before the switch: {', '.join(missing)}.")
        for index, settings in old_indexes.items():
            for name in [] if other_data else settings.keys() & indexes[index].keys():
                if settings[name] != indexes[index][name]:
                    raise SwitchError(f"The setting {name} of {user}/{index} is not that from before the switch.")
    if not other_data and after["serial"] < before["serial"]:
        raise SwitchError(f"The serial fell from {before['serial']} to {after['serial']}: changes are missing.")


def project_of(file: str) -> str | None:
    """Return the normalised name of the project of a release file.

    >>> project_of("Some_Thing-1.0-py3-none-any.whl"), project_of("some-thing-1.0.tar.gz"), project_of("a.txt")
    ('some-thing', 'some-thing', None)
    """
    match = re.match(r"([^-]+)-.+\.whl$", file) or re.match(r"(.+)-[^-]+\.(tar\.gz|zip)$", file)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else None


def samples(data: Path, server: Server) -> list[Json]:
    """Return release files that the server can install now, one of each index, from what lies in the data."""
    found: list[Json] = []
    for folder in sorted((data / "+files").glob("*/*/+f")):
        index = "/".join(folder.relative_to(data / "+files").parts[:2])
        for path in first_files(folder):
            project = project_of(path.name)
            if project is None or path.stat().st_size > LARGEST_SAMPLE:
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            sample = {"index": index, "project": project, "file": path.name, "sha256": digest}
            with contextlib.suppress(SwitchError):
                server.install(sample)
                found.append(sample)
                break
        if len(found) == SAMPLES:
            break
    return found


def first_files(folder: Path) -> Iterator[Path]:
    """Return a few files below a folder, without reading all of a large one."""
    count = 0
    for path, _folders, files in os.walk(folder):
        for file in files:
            yield Path(path) / file
            count += 1
            if count == SAMPLES:
                return


def systemctl(*words: str) -> str:
    """Call systemctl and return what it prints. Raises SwitchError."""
    try:
        return systemd.systemctl(*words)
    except systemd.SystemdError as reason:
        raise SwitchError(str(reason)) from reason


def version_of(release: Path) -> str:
    """Return the version of devpi-server in a release. Raises SwitchError."""
    script = "import importlib.metadata as m; print(m.version('devpi-server'))"
    try:
        asked = subprocess.run(
            [release / "bin/python", "-I", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError) as reason:
        raise SwitchError(f"{release} has no devpi-server: {reason}.") from reason
    return asked.stdout.strip()


def await_answer(server: Server, unit: str, seconds: float, progress: Progress, what: str) -> str:
    """Return the version of the server, as soon as it answers. Raises SwitchError as soon as systemd knows better."""
    began, restarts = time.monotonic(), None
    while True:
        state = systemd.state_of(unit)
        restarts = state.restarts if restarts is None else restarts
        trouble = None if state.has_job else state.trouble(restarts)
        if trouble:
            raise SwitchError(f"{trouble} So it does not start. Its last words:\n{systemd.last_words(unit)}")
        try:
            return server.version()
        except SwitchError as reason:
            if time.monotonic() > began + seconds:
                words = systemd.last_words(unit)
                raise SwitchError(f"{reason} So it was for {seconds:.0f} s. Last words:\n{words}") from None
        progress.far(f"{what}: {time.monotonic() - began:.0f} of at most {seconds:.0f} s")
        time.sleep(0.2)


# --- The switch


class Switch:
    """One switch, from its plan to its result."""

    def __init__(self, state: Path, journal: Json) -> None:
        self.state = state
        self.journal = journal
        self.progress = Progress(state)
        plan = journal["plan"]
        self.release = Path(plan["release"])
        self.current = Path(plan["current"])
        self.data = Path(plan["data"])
        self.configuration = Path(plan["configuration"])
        self.unit: str = plan["unit"]
        self.new_data = Path(plan["new_data"]) if plan.get("new_data") else None
        self.new_configuration = Path(plan["new_configuration"]) if plan.get("new_configuration") else None
        self.server = Server(plan["api"])
        self.start_timeout = float(plan["start_timeout"])
        self.kept = int(plan.get("kept", 3))
        self.amount = Amount()
        self.place = self.data / SNAPSHOTS / journal["id"]
        #: The other data: before the switch what shall come, or a copy; afterwards what was.
        self.beside = self.place / "data"
        self.trial = TRIAL / f"{self.unit}.d" / "zz-devpi-switch.conf"

    def step(self, name: str, **more: Any) -> None:
        """Keep how far the switch is."""
        self.journal.update(more, step=name)
        if name == "clean":
            remove(self.state / "reserve")
        write_json(self.state / "journal.json", self.journal)
        self.progress.stage(name)

    def begin(self) -> None:
        """Look at everything, and refuse what cannot come out well. Nothing changes. Raises SwitchError."""
        plan = self.journal["plan"]
        if not (self.release / "bin/devpi-server").exists():
            raise SwitchError(f"{self.release} has no bin/devpi-server.")
        if self.new_data is not None and self.new_data.stat().st_dev != self.data.stat().st_dev:
            raise SwitchError(f"{self.new_data} has to be on the file system of {self.data}.")
        self.amount = check_room(self.data, self.progress)
        self.journal["old_release"] = str(self.current.resolve())
        self.journal["version"] = version_of(self.release)
        self.journal["pauses"] = [unit for unit in plan.get("pauses", []) if systemd.state_of(unit).active == "active"]
        try:
            self.journal["before"] = self.server.look()
        except SwitchError as reason:
            # That a server does not work is a reason to switch, not one against it.
            self.progress.stage(f"The old release cannot be compared with: {reason}")
            self.journal["before"] = None
        else:
            self.journal["front"] = self.front_works()
        self.journal["old_version"] = (self.journal["before"] or {}).get("version") or "?"
        if not plan.get("compare", True):
            # Older data come back on purpose: they do not have what the present ones have.
            self.journal["before"] = None
        self.journal["samples"] = samples(self.data, self.server) if self.journal["before"] is not None else []

    def front(self) -> Server | None:
        """Return the way through nginx, where the plan names one."""
        wanted = self.journal["plan"].get("front")
        return Front(wanted["url"], wanted["connect"]) if wanted else None

    def front_works(self) -> bool:
        """Whether nginx leads to this server. In a first run there is none yet."""
        front = self.front()
        try:
            return front is not None and bool(front.version())
        except SwitchError:
            return False

    def forward(self) -> None:
        """Switch. Raises SwitchError, OSError: then the way is back."""
        # So that the way back can be written down on a disk that is full.
        with (self.state / "reserve").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE)
        self.step("prepare")
        self.begin()
        self.step("stop", stopped=time.time())
        for unit in self.journal["pauses"]:
            systemctl("stop", unit)
        systemctl("stop", self.unit)
        self.place.parent.mkdir(mode=0o711, exist_ok=True)
        if self.place.parent.is_symlink() or self.place.parent.stat().st_uid != os.geteuid():
            raise SwitchError(f"{self.place.parent} has to be a folder of root.")
        self.place.mkdir(mode=0o700)
        (self.place / "configuration").write_bytes(self.configuration.read_bytes())
        write_json(
            self.place / "release.json",
            {"release": self.journal["old_release"], "version": self.journal["old_version"], "time": time.time()},
        )
        self.step("snapshot")
        if self.new_data is None:
            snapshot(self.data, self.beside, self.amount, self.progress)
            self.step("switch", old_data=inodes(self.beside))
        else:
            self.step("switch", old_data=inodes(self.data), new_data=inodes(self.new_data))
            self.new_data.rename(self.beside)
            settle(self.data, self.beside, self.journal["new_data"])
        if self.new_configuration is not None:
            replace_file(self.configuration, self.new_configuration.read_bytes())
        point(self.current, self.release)
        self.step("try")
        self.try_it()
        self.step("committed")

    def try_it(self) -> None:
        """Start the new release where nobody else finds it, and ask it. Raises SwitchError."""
        # In the folder of devpi's own socket, where nobody else can have made it.
        path = Path(urlsplit(self.journal["plan"]["api"]).path).with_name("trial.sock")
        self.trial.parent.mkdir(parents=True, exist_ok=True)
        self.trial.write_text(f"[Service]\nRestart=no\nEnvironment=DEVPISERVER_UNIX_SOCKET={path}\n")
        systemctl("daemon-reload")
        systemctl("start", "--no-block", self.unit)
        tried = Server(f"unix://{path}")
        self.judge(self.started(tried, "trial"))
        before = self.journal["before"]
        if before is not None:
            compare(before, tried.look(), self.new_data is not None)
            for sample in self.journal["samples"]:
                self.progress.stage(f"trial: install {sample['file']} of {sample['index']}")
                tried.install(sample)
        systemctl("stop", self.unit)
        self.journal["serial"] = sqlite.last_serial(self.data)

    def started(self, server: Server, what: str) -> str:
        """Return the version of a server that was started, as soon as it answers. Raises SwitchError."""
        return await_answer(server, self.unit, self.start_timeout, self.progress, what)

    def judge(self, version: str) -> None:
        """Refuse a server of another version than that of the release. Raises SwitchError."""
        if version != self.journal["version"]:
            raise SwitchError(f"The API says version {version}, the release has {self.journal['version']}.")

    def finish(self, start: bool) -> None:
        """Let everybody have the new release, which was tried. Goes back where it fails before anybody wrote."""
        self.end_trial()
        if start:
            systemctl("start", "--no-block", self.unit)
            try:
                self.judge(self.started(self.server, "start"))
                self.install_through_nginx()
            except SwitchError as reason:
                self.give_up(str(reason))
                return
            self.resume()
        self.end(True, f"devpi {self.journal['version']} runs.")
        self.prune()

    def install_through_nginx(self) -> None:
        """Install the samples once more on the way that clients take. Raises SwitchError."""
        front = self.front()
        if front is not None and self.journal.get("front"):
            for sample in self.journal["samples"]:
                self.progress.stage(f"start: install {sample['file']} of {sample['index']} through nginx")
                front.install(sample)

    def give_up(self, reason: str) -> None:
        """Go back, or stay where somebody may have been told already that what they wrote is safe."""
        systemctl("stop", self.unit)
        serial = sqlite.last_serial(self.data)
        if serial is not None and serial == self.journal["serial"]:
            # From here on, an interrupted switch goes back as well.
            self.step("try")
            self.back(reason, start=True)
            return
        systemctl("start", "--no-block", self.unit)
        self.resume()
        self.end(False, f"The new release stays, because changes were written to it. But: {reason}")

    def back(self, reason: str, start: bool) -> None:
        """Let everything be as it was before the switch. May be interrupted and called again."""
        self.progress.stage(f"going back: {reason}")
        step = self.journal["step"]
        if step != "prepare":
            if start:
                systemctl("stop", self.unit)
            self.end_trial()
            if step in ("switch", "try"):
                if self.beside.exists():
                    settle(self.data, self.beside, self.journal["old_data"])
                    if self.new_data is not None:
                        self.beside.rename(self.new_data)
                    else:
                        # On a disk that is full, this makes the room for what follows.
                        shutil.rmtree(self.beside)
                replace_file(self.configuration, (self.place / "configuration").read_bytes())
                point(self.current, Path(self.journal["old_release"]))
                # From here on there is nothing to put back: a second call must not look for it.
                self.step("clean", reason=reason)
            if self.place.exists():
                shutil.rmtree(self.place)
            if start:
                systemctl("start", "--no-block", self.unit)
                try:
                    self.started(self.server, "start of the old release")
                except SwitchError as trouble:
                    reason += f" And the old release is back, but: {trouble}"
                self.resume()
        self.end(False, reason)

    def end_trial(self) -> None:
        """Let the unit be what it is for everybody."""
        if self.trial.exists():
            self.trial.unlink()
            systemctl("daemon-reload")

    def resume(self) -> None:
        """Start what was stopped for the switch."""
        for unit in self.journal.get("pauses", []):
            systemctl("start", unit)

    def end(self, switched: bool, message: str) -> None:
        """Keep what came of it. Without a journal there is nothing left to do."""
        stopped = self.journal.get("stopped")
        result = {
            "plan": self.journal["plan"],
            "switched": switched,
            "message": message,
            "old_release": self.journal.get("old_release"),
            "old_version": self.journal.get("old_version"),
            "version": self.journal.get("version"),
            "snapshot": str(self.place) if self.place.exists() else None,
            "through_nginx": bool(self.journal.get("front")),
            "installed": [sample["file"] for sample in self.journal.get("samples") or []],
            "time": time.time(),
            "writers_seconds": round(time.time() - stopped, 1) if stopped else 0,
        }
        remove(self.state / "reserve")
        write_json(self.state / "result.json", result)
        remove(self.state / "journal.json")
        self.progress.stage(message)

    def prune(self) -> None:
        """Remove the oldest releases and snapshots. The release that runs and the one before it stay.

        What a migration left stays as well, data and release: playbooks/migrate.yml removes that when it is told to.
        """
        # What is called otherwise is the work of a migration.
        snapshots = set(self.place.parent.glob("*T*Z"))
        migrated = {path for path in snapshots if is_of_another_major(path / "data", self.data)}
        stay = {self.current.resolve(), Path(self.journal["old_release"])}
        folder = self.release.parent
        others = set(folder.iterdir()) - stay - {release_of(path) for path in migrated}
        releases = sorted(others, key=lambda path: path.stat().st_mtime)
        for path in releases[: max(0, len(releases) + len(stay) - self.kept)]:
            shutil.rmtree(path)
        old = sorted(snapshots - migrated - {self.place})
        for path in old[: max(0, len(old) + 2 - self.kept)]:
            shutil.rmtree(path)


# --- The commands


def run(state: Path, start: bool) -> int:
    """Do what the plan says, or end what a killed run left. Returns the exit status."""
    plan, journal = state / "plan.json", state / "journal.json"
    if journal.exists():
        switch = Switch(state, json.loads(journal.read_text()))
        step = switch.journal["step"]
        if step == "committed":
            switch.finish(start)
        else:
            switch.back(switch.journal.get("reason") or f"The switch was interrupted (step {step}).", start)
        # At boot, devpi waits for this, and may start now.
        return outcome(state) if start else 0
    if not plan.exists() or not start:
        return 0
    wanted = json.loads(plan.read_text())
    switch = Switch(state, {"plan": wanted, "id": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), "step": "prepare"})
    remove(plan)

    def stop(number: int, _frame: object) -> None:
        if number == signal.SIGALRM:
            raise StoppedError(f"The switch took longer than {wanted['limit']} s.")
        raise StoppedError("The switch was stopped.")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, float(wanted["limit"]))
    try:
        switch.forward()
    except Exception as reason:  # Whatever it is: devpi must not stay down for it.
        quiet()
        switch.back(explained(reason), start)
    else:
        quiet()
        switch.finish(start)
    return outcome(state)


def quiet() -> None:
    """Let nothing interrupt the way back, nor the end."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def explained(reason: BaseException) -> str:
    """Return a reason as a sentence."""
    if isinstance(reason, OSError) and reason.errno == errno.ENOSPC:
        return f"The disk is full: {reason}."
    return str(reason) if isinstance(reason, (SwitchError, StoppedError)) else repr(reason)


def outcome(state: Path) -> int:
    """Return the exit status for the last result."""
    return 0 if json.loads((state / "result.json").read_text())["switched"] else 1


def main(state: Path, command: str) -> int:
    """Run a command. Returns the exit status."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if command == "recover" else 0))
        except BlockingIOError:
            # The switch itself starts devpi.
            return 0
        return run(state, start=command == "run")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
