"""Migrate the data of devpi 6 to devpi 7, beside the server that goes on answering.

`migrate.py check STATE` refuses what cannot come out well. `migrate.py run STATE` does what STATE/plan.json says:
nginx refuses writes, the old release exports, the new one imports into a folder of its own, both are compared, and the
program that switches (switch.py) is started with the new data.

Until the switch, nothing of the old server or its data changes: a run that ends in between leaves a folder that the
next run removes.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import http as local_http
from devpi_ctl import privileges, sqlite, systemd

Json = dict[str, Any]

#: Where switch.py keeps the old data as well: on the file system of the data, whatever is mounted where.
WORK = Path(".before") / "migrate"
#: Bytes that stay free on the disk.
SPARE = 64 * 1024 * 1024
DATABASE = ".sqlite"
#: Seconds without a change that mean that nobody writes any more, and after how many seconds it goes on without them.
QUIET, LONGEST_WAIT = 5, 60
SWITCH = "devpi-switch.service"


class MigrationError(Exception):
    """The migration cannot go on; the message is the reason, for a person."""


# --- What can be known before


def size_of(folder: Path) -> tuple[int, int]:
    """Return the number of files below a folder and their bytes."""
    files = size = 0
    for path, _folders, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue  # A file that an upload just moved into place.
            files += 1
    return files, size


def plugins_of(release: Path) -> set[str]:
    """Return the names of the plugins of devpi-server that a release has."""
    script = (
        "import importlib.metadata as m, re\n"
        "for d in m.distributions():\n"
        "    if any(e.group == 'devpi_server' for e in d.entry_points):\n"
        "        print(re.sub('[-_.]+', '-', d.metadata['Name']).lower())"
    )
    asked = subprocess.run([release / "bin/python", "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(asked.stdout.split())


def needed(data: Path) -> int:
    """Return the bytes that a migration takes at most: each file once more, and two databases while it runs."""
    return size_of(data / "+files")[1] + 2 * (data / DATABASE).stat().st_size + SPARE


def check(plan: Json) -> None:
    """Refuse what cannot come out well. Raises MigrationError."""
    data = Path(plan["data"])
    if not (data / DATABASE).exists():
        raise MigrationError(
            f"{data} has no {DATABASE}: only data of SQLite are migrated. What a plugin such as devpi-postgresql keeps "
            "elsewhere has to be exported into a server with SQLite first."
        )
    lost = sorted(plugins_of(Path(plan["current"])) - set(plan["packages"]))
    if lost:
        raise MigrationError(
            f"The old release has plugins that the locks of the new one do not have: {', '.join(lost)}. Name them in "
            "devpi_server_plugins, put them into a lock of your own for devpi_server_lock, or remove them first."
        )
    disk = os.statvfs(data)
    free, wanted = disk.f_bavail * disk.f_frsize, needed(data)
    if free < wanted:
        raise MigrationError(
            f"There is not enough room on the disk of {data}: {mebibytes(wanted)} are needed, {mebibytes(free)} "
            f"are free, {mebibytes(wanted - free)} are missing."
        )


def mebibytes(count: float) -> str:
    """Return bytes as people read them.

    >>> mebibytes(5 * 1024 * 1024)
    '5.0 MiB'
    """
    return f"{count / 1024 / 1024:.1f} MiB"


# --- The comparison of two exports


def load_words(path: Path) -> ModuleType:
    """Return the collection's module that knows the words of devpi 6 and 7."""
    spec = importlib.util.spec_from_file_location("dialect", path)
    if spec is None or spec.loader is None:
        raise MigrationError(f"{path} is no module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1024 * 1024), b""):
            digest.update(block)
    return digest.hexdigest()


def normal(project: str) -> str:
    """Return the name of a project as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", project).lower()


def digests(export: Path, index: str, dump: Json, tell: Callable[[int], None]) -> dict[tuple[str, ...], str]:
    """Return the SHA-256 of each file of an index, computed from its bytes, by type, project, version and name.

    `tell` is called with the bytes of each file.

    Where the server keeps a digest too, it has to be the same. The two versions name the documentation in their own
    ways, and there is one of each version.
    """
    found: dict[tuple[str, ...], str] = {}
    for file in dump.get("files", []):
        path = export / file["relpath"]
        name = "" if file["type"] == "doczip" else path.name
        project = normal(file["projectname"])
        digest = sha256(path)
        tell(path.stat().st_size)
        known = file.get("entrymapping", {}).get("hashes", {}).get("sha256", digest)
        if known != digest:
            raise MigrationError(f"{file['relpath']} of {index} has not the SHA-256 that the server keeps: {known}.")
        found[file["type"], project, str(file.get("version")), name] = digest
    return found


def compare(old: Path, new: Path, words: ModuleType, version: str, tell: Callable[[int], None]) -> str:
    """Compare an export of the old server with one of the new. Returns what was compared. Raises MigrationError.

    `tell` is called with the bytes of each file, of both.
    """
    before = json.loads((old / "dataindex.json").read_text())
    after = json.loads((new / "dataindex.json").read_text())
    for what in ("users", "indexes"):
        differing = sorted(before[what].keys() ^ after[what].keys())
        if differing:
            raise MigrationError(f"The {what} are not the same in the old and the new data: {', '.join(differing)}.")
    for user, settings in before["users"].items():
        for name, value in settings.items():
            if after["users"][user].get(name) != value:
                raise MigrationError(f"{name} of the user {user} is not the same in the old and the new data.")
    files = settings_compared = 0
    for index, dump in before["indexes"].items():
        there = after["indexes"][index]
        settings_compared += compare_settings(index, dump["indexconfig"], there, words, version)
        files += compare_files(index, digests(old, index, dump, tell), digests(new, index, there, tell), dump, there)
    return (
        f"{len(before['users'])} users, {len(before['indexes'])} indexes with {settings_compared} settings, "
        f"{files} files by their SHA-256"
    )


def compare_settings(index: str, config: Json, there: Json, words: ModuleType, version: str) -> int:
    """Compare the settings of an index in the new words. Returns how many. Raises MigrationError."""
    dialect = words.Dialect(version)
    # What a plugin adds has the same name in both.
    own = {name: value for name, value in config.items() if name == "type" or name in words.BY_WORD}
    wanted = {
        **{name: value for name, value in config.items() if name not in own},
        **dialect.config(dialect.known(own)),
    }
    exempt = wanted.pop(words.EXEMPT_PROJECTS, [])
    for name, value in wanted.items():
        actual = there["indexconfig"]
        if not (actual.get("type") == value if name == "type" else dialect.same(name, value, actual)):
            raise MigrationError(f"The setting {name} of {index} is {actual.get(name)!r} in place of {value!r}.")
    for project in exempt:
        rules = there.get("projects", {}).get(project, {}).get("config", {}).get("inheritance_rules")
        if rules != words.PROJECT_RULE["inheritance_rules"]:
            raise MigrationError(f"The project {project} of {index} lost its place in mirror_whitelist: {rules}.")
    return len(wanted) + len(exempt)


def compare_files(
    index: str, old: dict[tuple[str, ...], str], new: dict[tuple[str, ...], str], dump: Json, there: Json
) -> int:
    """Compare files and versions of an index. Returns how many files. Raises MigrationError."""
    mirror = dump["indexconfig"]["type"] == "mirror"
    for file in sorted(old.keys() | new.keys()):
        if old.get(file) == new.get(file):
            continue
        # What a mirror fetched meanwhile, it will fetch again.
        if mirror and file not in new:
            continue
        raise MigrationError(
            f"{' '.join(part for part in file if part)} of {index} is not the same in the old and the new data"
            f"{'.' if file in new else ': somebody wrote past nginx after the export began. Run the migration again.'}"
        )
    if not mirror:
        # devpi 6 has the versions of a project there, devpi 7 beside its settings.
        old_projects = dump.get("projects", {}).items()
        new_projects = [(name, told["versions"]) for name, told in there.get("projects", {}).items()]
        versions = [
            {(normal(name), version) for name, told in side for version in told}
            for side in (old_projects, new_projects)
        ]
        differing = sorted(versions[0] ^ versions[1])
        if differing:
            raise MigrationError(
                f"The versions in {index} are not the same in the old and the new data: {differing[0]}."
            )
    return len(new)


# --- The migration


class Migration:
    """One migration, from its plan to its result."""

    def __init__(self, state: Path, plan: Json) -> None:
        self.state = state
        self.plan = plan
        self.data = Path(plan["data"])
        self.old, self.new = Path(plan["current"]).resolve(), Path(plan["release"])
        self.work = self.data / WORK
        self.export, self.imported = self.work / "export", self.work / "data"
        self.user = pwd.getpwnam(plan["user"])
        self.seconds: dict[str, float] = {}
        self.compared = ""

    def tell(self, what: str) -> None:
        """Tell whoever follows, and the journal of the host."""
        print(what, flush=True)
        # In one step, so that whoever reads never finds half of it.
        new = self.state / "progress.new"
        new.write_text(what)
        new.replace(self.state / "progress")

    def run(self) -> None:
        """Do it. Raises MigrationError, OSError."""
        self.tell("look at the data, the plugins and the disk")
        check(self.plan)
        began = time.monotonic()
        self.tell("writes are refused from now on")
        Path(self.plan["read_only"]).touch()
        self.refuses_writes()
        serial = self.let_writes_end()
        self.make_folders()
        files, size = size_of(self.data / "+files")
        mirrored = ["--include-mirrored-files"] if self.plan["mirrored_files"] else []
        links = ["--hard-links"]
        old, new = ["--serverdir", str(self.data)], ["--serverdir", str(self.imported)]
        privileges.done_as(self.user, lambda _tell: sqlite.heal(self.data))
        # devpi never changes a release file in place: the export needs no copies.
        self.stage("export", "export", self.old, [*old, *links, *mirrored], self.export, (files, size))
        pypi = (
            []
            if "root/pypi" in json.loads((self.export / "dataindex.json").read_text())["indexes"]
            else ["--no-root-pypi"]
        )
        # The events (documentation, search) are for the server: here they would ask the upstreams for all their names.
        files, size = size_of(self.export)
        exported = (files - 1, size - (self.export / "dataindex.json").stat().st_size)
        self.stage("import", "import", self.new, [*new, "--no-events", *pypi], self.imported / "+files", exported)
        begun = time.monotonic()
        again = self.work / "again"
        # Once more, so that whatever was written past nginx meanwhile is seen. The export of then is that of now where
        # nothing was written.
        if self.serial() != serial:
            shutil.rmtree(self.export)
            self.stage("look at the old data", "export", self.old, [*old, *links, *mirrored], self.export, exported)
        self.stage("look at the new data", "export", self.new, [*new, *links, *mirrored], again, exported)
        self.compared = compare(
            self.export,
            again,
            load_words(Path(self.plan["words"])),
            self.plan["version"],
            self.teller("compare", (2 * exported[0], 2 * exported[1])),
        )
        self.seconds["compare"] = round(time.monotonic() - begun, 1)
        shutil.rmtree(self.export)
        shutil.rmtree(again)
        self.tell(f"the same: {self.compared}")
        # One call for all files: the switch must not be on the disk before what it switches to.
        os.sync()
        begun = time.monotonic()
        message = self.switch()
        # It is empty; and what was switched is not to fail for it.
        shutil.rmtree(self.work, ignore_errors=True)
        self.seconds["switch"] = round(time.monotonic() - begun, 1)
        self.seconds["writers"] = round(time.monotonic() - began, 1)
        self.end(True, message)

    def refuses_writes(self) -> None:
        """Refuse to go on where nginx lets writes through. Raises MigrationError."""
        url = urlsplit(self.plan["switch"]["front"]["url"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # To this host, where nobody is in between.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(str(url.hostname), url.port or 443)
        try:
            plain = socket.create_connection(("127.0.0.1", url.port or 443), 30)
            connection.sock = context.wrap_socket(plain, server_hostname=url.hostname)
            connection.request("POST", "/", headers={"Content-Length": "0"})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as reason:
            raise MigrationError(f"nginx of this host gives no answer at {url.geturl()}: {reason}.") from reason
        finally:
            connection.close()
        if (answer.status, bool(answer.getheader("Retry-After"))) != (503, True):
            raise MigrationError(
                f"nginx of this host lets writes through ({answer.status}): run playbooks/site.yml of this version of "
                "the collection first, which writes a vhost that can refuse them."
            )

    def let_writes_end(self) -> str | None:
        """Wait until what nginx let through before is done, and return the number of the last change.

        What takes longer, the comparison finds.
        """
        serials = [self.serial()]
        for second in range(LONGEST_WAIT):
            if len(serials) > QUIET and len(set(serials[-QUIET - 1 :])) == 1:
                break
            self.tell(f"uploads that began before may end: change {serials[-1]}, {second} of at most {LONGEST_WAIT} s")
            time.sleep(1)
            serials.append(self.serial())
        return serials[-1]

    def serial(self) -> str | None:
        """Return the number of the last change. Raises MigrationError."""
        api = self.plan["switch"]["api"]
        try:
            _status, headers, _body = local_http.get(api, "/+api", {"Accept": "application/json"}, 30)
        except (OSError, http.client.HTTPException) as reason:
            raise MigrationError(f"devpi gives no answer at {api}: {reason}.") from reason
        return headers.get("X-Devpi-Serial")

    def make_folders(self) -> None:
        """Begin anew, with folders that are like those of the data."""
        if self.work.exists():
            shutil.rmtree(self.work)
        self.work.parent.mkdir(mode=0o711, exist_ok=True)
        for folder, like in (
            (self.work, None),
            (self.imported, self.data),
            (self.imported / "+files", self.data / "+files"),
        ):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.user.pw_uid, like.stat().st_gid if like else self.user.pw_gid)
            if like:
                # After chown, which takes the setgid bit away.
                folder.chmod(like.stat().st_mode & 0o7777)

    def stage(
        self, name: str, command: str, release: Path, options: list[str], grows: Path, total: tuple[int, int]
    ) -> None:
        """Run a command of devpi as the user of devpi, and tell how far it is. Raises MigrationError."""
        began = time.monotonic()
        log = self.state / f"{command}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [release / f"bin/devpi-{command}", *options, str(grows if command == "export" else self.export)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.work,
                user=self.user.pw_uid,
                group=self.user.pw_gid,
                extra_groups=[],
                umask=0o027,
            )
        try:
            pause = 1.0
            while True:
                begun = time.monotonic()
                self.far(name, began, size_of(grows), total)
                # Counting is to take no more than a tenth of the time.
                pause = max(pause, 10 * (time.monotonic() - begun))
                try:
                    status = process.wait(pause)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status != 0:
            words = log.read_text(errors="replace").strip().splitlines()[-10:]
            raise MigrationError(
                f"devpi-{command} of {release} ended with {status}. Its last words:\n" + "\n".join(words)
            )
        self.seconds[name] = round(time.monotonic() - began, 1)

    def far(self, name: str, began: float, done: tuple[int, int], total: tuple[int, int]) -> None:
        """Tell how far a stage is, in files and bytes."""
        (files, size), spent = done, time.monotonic() - began
        left = f", {spent * (total[1] - size) / size:.0f} s left" if total[1] / 20 < size < total[1] else ""
        self.tell(
            f"{name}: {files} of {total[0]} files, {mebibytes(size)} of {mebibytes(total[1])}, {spent:.0f} s{left}"
        )

    def teller(self, name: str, total: tuple[int, int]) -> Callable[[int], None]:
        """Return what is called with the bytes of each file, and tells how far a stage is, at most once a second."""
        began = said = time.monotonic()
        files = size = 0
        self.far(name, began, (0, 0), total)

        def tell(more: int) -> None:
            nonlocal files, size, said
            files, size = files + 1, size + more
            if time.monotonic() - said >= 1:
                said = time.monotonic()
                self.far(name, began, (files, size), total)

        return tell

    def switch(self) -> str:
        """Let switch.py put the new data and the new release in place. Returns what it says. Raises MigrationError."""
        state = Path(self.plan["switch_state"])
        result = state / "result.json"
        result.unlink(missing_ok=True)
        self.tell("switch")
        plan = state / "plan.json"
        plan.write_text(json.dumps({**self.plan["switch"], "new_data": str(self.imported)}))
        plan.chmod(0o600)
        subprocess.run(["systemctl", "reset-failed", SWITCH], check=False)
        subprocess.run(["systemctl", "start", "--no-block", SWITCH], check=True)
        told = state / "progress"
        while not result.exists():
            state = systemd.state_of(SWITCH)
            # Asked in this order, so that one that ends right now has its result.
            if not state.is_at_work() and not result.exists():
                raise MigrationError(
                    f"{SWITCH} ended ({state.result}) before it changed anything. Its last words:\n"
                    f"{systemd.last_words(SWITCH)}"
                )
            if told.exists():
                self.tell(f"switch: {told.read_text()}")
            time.sleep(0.5)
        said = json.loads(result.read_text())
        if not said["switched"]:
            raise MigrationError(f"The old release and the old data are back. {said['message']}")
        return f"{said['message']} The data of devpi 6 are kept in {said['snapshot']}."

    def end(self, migrated: bool, message: str) -> None:
        """Keep what came of it, and let everybody write again."""
        Path(self.plan["read_only"]).unlink(missing_ok=True)
        result = {"migrated": migrated, "message": message, "compared": self.compared, "seconds": self.seconds}
        (self.state / "result.json").write_text(json.dumps(result, indent=1))
        self.tell(message)


# --- The commands


def run(state: Path) -> int:
    """Do what the plan says. Returns the exit status."""
    (state / "result.json").unlink(missing_ok=True)
    migration = Migration(state, json.loads((state / "plan.json").read_text()))

    def stop(_number: int, _frame: object) -> None:
        raise MigrationError("The migration was stopped, or took longer than devpi_server_migrate_limit.")

    signal.signal(signal.SIGTERM, stop)
    try:
        migration.run()
    # An export that is damaged lacks what it should have.
    except (MigrationError, OSError, subprocess.SubprocessError, ValueError, KeyError) as reason:
        if migration.work.exists():
            shutil.rmtree(migration.work)
        migration.end(False, str(reason) if isinstance(reason, MigrationError) else repr(reason))
        return 1
    return 0


def main(command: str, state: Path) -> int:
    """Run a command. Returns the exit status."""
    if command == "run":
        return run(state)
    try:
        check(json.loads((state / "plan.json").read_text()))
    except MigrationError as reason:
        print(reason)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
