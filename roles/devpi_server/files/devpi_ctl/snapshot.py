"""A copy of the data of a devpi that does not run: hard links, and copies of what is written to."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import sqlite3
import stat
import time
from pathlib import Path

from devpi_ctl import privileges, sqlite
from devpi_ctl.errors import SwitchError
from devpi_ctl.files import entries_of_data

FILES = "+files"
#: Bytes that stay free on the disk beside what the snapshot takes.
SPARE = 64 * 1024 * 1024
#: A hard link takes as long as a copy of so many bytes, about.
LINK = 32 * 1024


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


def needs(data: Path, tell: privileges.Tell) -> Amount:
    """Return what a snapshot takes. `tell` gets the files and bytes that were counted. Raises SwitchError, OSError.

    devpi runs meanwhile, so anything below the data may be gone before it is looked at.
    """
    device = data.stat().st_dev
    amount = Amount()
    folders = [(data, False)]
    while folders:
        folder, linked = folders.pop()
        try:
            size, entries = folder.stat().st_size, entries_of_data(folder, data)
        except FileNotFoundError:
            continue
        amount.inodes += 1
        amount.size += size
        for entry in entries:
            try:
                path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                if status.st_dev != device:
                    raise SwitchError(f"{path} is a file system of its own: a snapshot needs it on that of {data}.")
                folders.append((path, linked or is_linked(path)))
            elif stat.S_ISREG(status.st_mode):
                amount.files += 1
                if not linked:
                    amount.inodes += 1
                    amount.size += status.st_size
                    amount.copied += status.st_size
                tell(amount.files, amount.copied)
            elif entry.name == FILES:
                raise SwitchError(f"{path} is no folder: a snapshot needs it there, and not a link to it.")
    return amount


def check_room(data: Path, account: pwd.struct_passwd, progress: Progress) -> Amount:
    """Return what the snapshot takes. Refuses where that does not fit on the disk."""

    def told(files: int, copied: int) -> None:
        progress.far(f"count: {files} files, {mebibytes(copied)} to be copied")

    amount = Amount(**privileges.done_as(account, lambda tell: dataclasses.asdict(needs(data, tell)), told))
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


def snapshot(data: Path, target: Path, account: pwd.struct_passwd, whole: Amount, progress: Progress) -> None:
    """Make a copy of the data of a devpi that does not run, as its user. What is no plain file or folder stays out.

    The folder of `target` is root's, and lets the user pass through meanwhile.
    """
    done, began = Amount(), time.monotonic()

    def told(files: int, copied: int) -> None:
        done.files, done.copied = files, copied
        progress.far(
            f"snapshot: {files} of {whole.files} files, {mebibytes(copied)} of "
            f"{mebibytes(whole.copied)} copied{left(time.monotonic() - began, done.work(), whole.work())}"
        )

    make_folders(data, target, account)
    privileges.done_as(account, lambda tell: copy(data, target, tell), told)
    progress.stage(f"sync: {done.files} files, {mebibytes(done.copied)} copied, the rest are hard links")
    # One call for all files, in place of one for each.
    os.sync()


def make_folders(data: Path, target: Path, account: pwd.struct_passwd) -> None:
    """Make the folder of other data in a folder of root's, and that of its files, whose group is not devpi's to give.

    Neither is devpi's before both are done.
    """
    target.mkdir(mode=0o700)
    with contextlib.suppress(FileNotFoundError), privileges.opened_folder(data / FILES) as like:
        status = os.fstat(like)
        (target / FILES).mkdir(mode=0o700)
        os.chown(target / FILES, account.pw_uid, status.st_gid)
        # After chown, which takes the setgid bit away.
        (target / FILES).chmod(status.st_mode & 0o7777)
    os.chown(target, account.pw_uid, account.pw_gid)


def copy(data: Path, target: Path, tell: privileges.Tell) -> None:
    """Copy the data into a folder that is there. `tell` gets the files and bytes so far.

    Raises SwitchError, OSError.
    """
    done = Amount()

    def copy_file(path: Path, new: Path, status: os.stat_result) -> None:
        if sqlite.is_database(path):
            try:
                sqlite.back_up(path, new, lambda more: tell(done.files, done.copied + more))
            except sqlite3.Error as reason:
                raise SwitchError(f"SQLite could not copy {path}: {reason}.") from reason
        else:
            shutil.copyfile(path, new, follow_symlinks=False)
        new.chmod(status.st_mode & 0o777)
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
        done.copied += new.stat().st_size

    def copy_folder(source: Path, new: Path, linked: bool) -> None:
        for entry in entries_of_data(source, data):
            # The copy of a database heals it, and then they are gone.
            if not linked and entry.name.endswith(sqlite.COMPANIONS):
                continue
            path, there, status = Path(entry.path), new / entry.name, entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                # What has the setgid bit inherits it: chmod would take it away from whoever is not of the group.
                if there != target / FILES:
                    there.mkdir(mode=status.st_mode & 0o777)
                copy_folder(path, there, linked or is_linked(path))
                os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))
            elif stat.S_ISREG(status.st_mode):
                done.files += 1
                if linked:
                    os.link(path, there, follow_symlinks=False)
                else:
                    copy_file(path, there, status)
                tell(done.files, done.copied)

    # Folders get the modes that they have.
    mask = os.umask(0)
    try:
        copy_folder(data, target, linked=False)
    finally:
        os.umask(mask)
