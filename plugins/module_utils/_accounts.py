# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on files as the user whom they belong to, or as root where only root writes.

Whoever owns a folder decides what its names are: root that opens or changes something there can be led to any file of
the host by a link. So what lies in somebody's folder is done with that user's rights, which can do nothing that the
user could not do; and as root only what no one but root can have moved on the way to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINKS = 40
"""How many links Linux follows in a path, too."""

MAX_BYTES = 4 * 1024 * 1024
"""What a configuration file may have. Somebody could have put an endless one there."""


class FileError(Exception):
    """A file cannot be read or written, said in a sentence for people."""


@dataclass(frozen=True)
class Account:
    """A user of the host."""

    name: str
    uid: int
    gid: int
    home: str

    @property
    def is_root(self) -> bool:
        """Whether it may do everything."""
        return self.uid == 0


def account_of(name: str) -> Account:
    """Return a user by name. Raises FileError where the host has none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise FileError(f"The host has no user '{name}'.") from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def owner_of(folder: str) -> Account:
    """Return whom a folder belongs to, who may have no name. Raises FileError where it is not there."""
    try:
        status = os.stat(folder)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror}.") from error
    try:
        entry = pwd.getpwuid(status.st_uid)
    except KeyError:
        return Account(f"#{status.st_uid}", status.st_uid, status.st_gid, "/")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


@contextlib.contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Have the rights of a user, and no others, for as long as the block lasts.

    The real user stays root, so that the user can neither trace nor signal this process. Raises FileError where this
    process is neither root nor the user.
    """
    if os.geteuid() == account.uid:
        yield
        return
    if os.geteuid() != 0:
        raise FileError(f"Only root and {account.name} can do this: run the task with become.")
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups(groups_of(account))
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def groups_of(account: Account) -> list[int]:
    """Return the groups of a user. One without a name has its own alone."""
    return [account.gid] if account.name.startswith("#") else os.getgrouplist(account.name, account.gid)


def real_path(path: str, account: Account) -> str:
    """Return where a path leads, links resolved. Call it as the user.

    Raises FileError for root where somebody else could have put a link, or a folder, on the way.
    """
    return _walk(path) if account.is_root else os.path.realpath(path)


def _walk(path: str) -> str:
    """Return where a path leads, with each step of it checked to be root's alone."""
    parts, done, links = [part for part in path.split("/") if part], "/", 0
    while parts:
        _check_folder(done, path)
        part = parts.pop(0)
        if part == "..":
            done = os.path.dirname(done)
            continue
        step = os.path.join(done, part)
        try:
            status = os.lstat(step)
        except FileNotFoundError:
            return os.path.normpath(os.path.join(step, *parts))
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > MAX_LINKS:
                raise FileError(f"{path}: {os.strerror(errno.ELOOP)}.")
            target = os.readlink(step)
            parts = [piece for piece in target.split("/") if piece] + parts
            done = "/" if target.startswith("/") else done
        else:
            done = step
    return done


def _check_folder(folder: str, path: str) -> None:
    """Require a folder in which only root makes names. Debian gives some of /usr/local to its group staff."""
    status = os.lstat(folder)
    trusted_groups = (0, _STAFF) if folder.startswith("/usr/local") else (0,)
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in trusted_groups)
    if status.st_uid != 0 or others:
        raise FileError(
            f"{path} belongs to root, but {folder} on the way to it can be written by others, who could lead root "
            "elsewhere: take that right away, or give what lies there to the user."
        )


_STAFF = 50
"""The group staff, whose number Debian's base-passwd fixes."""


def read(path: str) -> bytes | None:
    """Return what is in a plain file, or None where there is none. Call it as the user. Raises OSError, FileError."""
    try:
        # Without O_NONBLOCK, a pipe that somebody put there would keep this waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is no plain file.")
        if status.st_size > MAX_BYTES:
            raise FileError(f"{path} has more than {MAX_BYTES} bytes.")
        return file.read(MAX_BYTES)


def mode_of(path: str) -> int:
    """Return the permissions of a file. Call it as the user."""
    return stat.S_IMODE(os.stat(path).st_mode)


def write(path: str, content: bytes, mode: int) -> None:
    """Put a file in its place in one step, and make the folders above it. Call it as the user. Raises OSError."""
    folder = os.path.dirname(path)
    _make_folders(folder)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _make_folders(folder: str) -> None:
    """Make the folders that are missing: for everybody where root does it, else for the user alone."""
    missing: list[str] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        os.chmod(path, 0o755 if os.geteuid() == 0 else 0o700)  # Whatever the umask is.


def why(error: OSError, doing: str, path: str, account: Account) -> str:
    """Return a sentence about what the system refused."""
    led = ""
    with contextlib.suppress(OSError):
        real = os.path.realpath(path)
        if real != os.path.normpath(path):
            led = f", which leads to {real}"
    return f"{account.name} cannot {doing} {path}{led}: {error.strerror}."
