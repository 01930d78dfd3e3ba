"""Switch devpi to another release, and back by itself where that does not work.

`switch.py STATE run` does what STATE/plan.json says, or ends what a killed run left. `switch.py STATE recover` ends it
before devpi starts at boot.

The journal says how far a switch is. Up to its step `committed`, the way out of any trouble is back: nobody but this
program talked to the new release until then, because it was tried on a socket that root and devpi alone can open. So
there is nothing in its data that anybody was told to be safe. From that step on, the way out is forward.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import privileges, sqlite, systemd
from devpi_ctl.errors import SwitchError
from devpi_ctl.files import SNAPSHOTS, inodes, point, remove, replace_file, settle, write_json
from devpi_ctl.server import PATIENCE, Front, Server, compare, samples
from devpi_ctl.snapshot import Amount, Progress, check_room, snapshot

Json = dict[str, Any]

#: What the unit is told while the new release is tried; in /run, so that no boot finds it.
TRIAL = Path("/run/systemd/system")
TRIAL_SOCKET = "/run/devpi-trial/devpi.sock"
#: systemd makes the folder for devpi's user, and nobody else passes through it.
TRIAL_UNIT = f"""[Service]
Restart=no
RuntimeDirectory=devpi-trial
RuntimeDirectoryMode=0700
Environment=DEVPISERVER_UNIX_SOCKET={TRIAL_SOCKET}
"""
RESERVE = 1024 * 1024


class StoppedError(Exception):
    """Somebody or the limit stopped the switch, whatever it was trying; the message is the reason, for a person."""


def is_of_another_major(one: Path, other: Path) -> bool:
    """Whether one of two folders of data is of devpi 7 and the other is not."""
    return sqlite.is_there(one / sqlite.DATABASE_OF_7) != sqlite.is_there(other / sqlite.DATABASE_OF_7)


def release_of(kept: Path) -> Path:
    """Return the release that the data in a snapshot belong to."""
    return Path(json.loads((kept / "release.json").read_text())["release"])


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
        self.account = pwd.getpwnam(plan["user"])
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
        self.amount = check_room(self.data, self.account, self.progress)
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
        self.journal["samples"] = (
            privileges.done_as(self.account, lambda _tell: samples(self.data, self.server))
            if self.journal["before"] is not None
            else []
        )

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
        privileges.own_folder(self.place.parent, 0o711)
        # devpi passes through while it makes the snapshot.
        self.place.mkdir(mode=0o700)
        self.place.chmod(0o711)
        (self.place / "configuration").write_bytes(self.configuration.read_bytes())
        write_json(
            self.place / "release.json",
            {"release": self.journal["old_release"], "version": self.journal["old_version"], "time": time.time()},
        )
        self.step("snapshot")
        if self.new_data is None:
            snapshot(self.data, self.beside, self.account, self.amount, self.progress)
            self.step("switch", old_data=inodes(self.beside))
        else:
            self.step("switch", old_data=inodes(self.data), new_data=inodes(self.new_data))
            self.new_data.rename(self.beside)
            settle(self.data, self.beside, self.journal["new_data"])
        self.place.chmod(0o700)
        if self.new_configuration is not None:
            replace_file(self.configuration, self.new_configuration.read_bytes())
        point(self.current, self.release)
        self.step("try")
        self.try_it()
        self.step("committed")

    def try_it(self) -> None:
        """Start the new release where nobody else reaches it, and ask it. Raises SwitchError."""
        self.trial.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.trial.write_text(TRIAL_UNIT)
        self.trial.chmod(0o644)
        systemctl("daemon-reload")
        systemctl("start", "--no-block", self.unit)
        tried = Server(f"unix:{TRIAL_SOCKET}")
        self.judge(self.started(tried, "trial"))
        before = self.journal["before"]
        if before is not None:
            compare(before, tried.look(), self.new_data is not None)
            for sample in self.journal["samples"]:
                self.progress.stage(f"trial: install {sample['file']} of {sample['index']}")
                tried.install(sample)
        systemctl("stop", self.unit)
        self.journal["serial"] = self.last_serial()

    def last_serial(self) -> int | None:
        """Return the number of the last change in the data of a devpi that does not run; None where that is unknown."""
        found: int | None = privileges.done_as(self.account, lambda _tell: sqlite.last_serial(self.data))
        return found

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
        serial = self.last_serial()
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
    if isinstance(reason, OSError) and reason.filename:
        return f"{reason.filename}: {reason.strerror}."
    return str(reason) if isinstance(reason, (SwitchError, StoppedError, privileges.WorkError)) else repr(reason)


def outcome(state: Path) -> int:
    """Return the exit status for the last result."""
    return 0 if json.loads((state / "result.json").read_text())["switched"] else 1


def main(state: Path, command: str) -> int:
    """Run a command. Returns the exit status."""
    os.umask(0o077)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if command == "recover" else 0))
        except BlockingIOError:
            # The switch itself starts devpi.
            return 0
        return run(state, start=command == "run")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
