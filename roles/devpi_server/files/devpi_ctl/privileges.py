"""What root does with what is devpi's: as devpi, and without following what devpi can put in the way."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Tell = Callable[..., None]


class WorkError(Exception):
    """The work of another account failed; the message is the reason."""


def become(account: pwd.struct_passwd) -> None:
    """Give up the rights of root for those of an account, for good. Raises OSError."""
    if os.geteuid() == 0 or account.pw_uid != os.geteuid():
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    os.umask(0o027)


def done_as(account: pwd.struct_passwd, work: Callable[[Tell], Any], told: Tell | None = None) -> Any:
    """Return what `work` returns in a process that has the rights of an account, and no others.

    It is called with a function that lets `told` be called here. Arguments and results are what JSON can say. Raises
    OSError where the work does, and WorkError for whatever else it raises.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(account, work, writing)
    os.close(writing)
    ended = False
    try:
        with os.fdopen(reading) as said:
            for line in said:
                kind, value = json.loads(line)
                if kind == "tell":
                    if told is not None:
                        told(*value)
                    continue
                ended = True
                if kind == "result":
                    return value
                raise OSError(*value) if kind == "oserror" else WorkError(*value)
    finally:
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    raise WorkError("The process that worked as another account was killed.")


def _work(account: pwd.struct_passwd, work: Callable[[Tell], Any], writing: int) -> None:
    """Do the work in the child, write what comes of it, and end."""
    try:
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        with os.fdopen(writing, "w") as out:

            def write(kind: str, value: Any) -> None:
                out.write(json.dumps([kind, value]) + "\n")
                out.flush()

            try:
                become(account)
                write("result", work(lambda *given: write("tell", given)))
            except OSError as reason:
                write(
                    "oserror", [reason.errno, reason.strerror or str(reason), reason.filename and str(reason.filename)]
                )
            except Exception as reason:
                write("error", [str(reason) or type(reason).__name__])
    finally:
        # Nothing of the parent is to be flushed or run here.
        os._exit(0)


@contextlib.contextmanager
def opened_folder(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """Open a folder itself, no link to one. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield number
    finally:
        os.close(number)


def own_folder(path: Path, mode: int) -> None:
    """Make a folder of root's where there is none. Raises OSError where something of somebody else's is in its place.

    Whoever may write to its parent can have put that there, so it is looked at by its descriptor, never by its name.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        with opened_folder(path) as number:
            owner = os.fstat(number).st_uid
            if owner == os.geteuid():
                os.fchmod(number, mode)
                return
    except OSError as reason:
        raise PermissionError(reason.errno, f"it has to be a folder of root ({reason.strerror})", str(path)) from reason
    raise PermissionError(1, f"it has to be a folder of root, and is one of uid {owner}: move it away", str(path))


def give(path: Path, account: pwd.struct_passwd, group: int | None = None) -> list[str]:
    """Give a folder and all in it to an account: folders 0750, files 0640. Returns what was removed.

    With a group, folders are 2750, so that what is made in there gets the group as well.
    """
    owner = (account.pw_uid, account.pw_gid if group is None else group)

    def change(number: int, is_folder: bool) -> None:
        os.fchown(number, *owner)
        # After chown, which takes the setgid bit away.
        os.fchmod(number, 0o640 if not is_folder else 0o750 if group is None else 0o2750)

    return _swept(path, change)


def freeze(path: Path) -> list[str]:
    """Take the folders below a path away from whoever made them, so that what is in them stays.

    Returns what was removed. The files stay whose they are: they may be hard links to those of a running server.
    """
    return _swept(path, lambda _number, _is_folder: None)


def _swept(path: Path, change: Callable[[int, bool], None]) -> list[str]:
    """Call `change` for a folder and all in it, by descriptor. Returns what was removed.

    That is all but plain files and folders. Each entry is opened without following a link. A folder is root's alone
    until all in it is done, so that nobody puts something else in the place of what was looked at.
    """
    removed: list[str] = []

    def walk(folder: int, name: str) -> None:
        os.fchown(folder, os.geteuid(), os.getegid())
        os.fchmod(folder, 0o700)
        for entry in os.listdir(folder):
            kind = os.lstat(entry, dir_fd=folder).st_mode
            if stat.S_ISDIR(kind):
                with opened_folder(entry, folder) as number:
                    walk(number, f"{name}/{entry}")
            elif stat.S_ISREG(kind):
                number = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                try:
                    change(number, False)
                finally:
                    os.close(number)
            else:
                os.unlink(entry, dir_fd=folder)
                removed.append(f"{name}/{entry}")
        change(folder, True)

    with opened_folder(path) as top:
        walk(top, str(path))
    return removed
