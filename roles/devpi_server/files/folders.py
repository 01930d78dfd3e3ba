"""Make the folder of devpi's data, and the one of its files in there, which nginx reads.

Usage: folders.py check|make DIRECTORY USER FILES_GROUP. Prints a line for each folder that was, or would be, changed.

The first one is root's, and sticky: devpi makes what it wants in there, and neither moves nor removes what root keeps
there (SNAPSHOTS of devpi_ctl/files.py). Others may pass through it, but not list it: nginx has to reach the files. The
second one is devpi's, who can put anything in its place, at any moment: it is looked at and changed by its descriptor.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
import sys
from pathlib import Path

FILES = "+files"


def folder_differs(number: int | None, owner: int | None, group: int | None, mode: int) -> bool:
    """Whether a folder is not there, or has another owner, group or mode."""
    if number is None:
        return True
    status = os.fstat(number)
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) != (owner, group, mode)


def opened(name: str, parent: int | None, links: int = 0) -> int | None:
    """Return a descriptor of a folder, None where there is none. Raises OSError where it is something else."""
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | links, dir_fd=parent)
    except FileNotFoundError:
        return None


def made(name: str, parent: int | None, owner: int, group: int, mode: int, links: int = 0) -> int:
    """Return a descriptor of a folder that is as it has to be. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    number = opened(name, parent, links)
    assert number is not None
    if parent is not None and os.fstat(number).st_uid not in (os.geteuid(), owner):
        raise PermissionError(1, "it belongs to somebody else than root and devpi", name)
    os.fchown(number, owner, group)
    # After chown, which takes the setgid bit away.
    os.fchmod(number, mode)
    return number


def main(action: str, directory: str, user: str, files_group: str) -> int:
    """Returns the exit status."""
    try:
        account: pwd.struct_passwd | None = pwd.getpwnam(user)
        group: int | None = grp.getgrnam(files_group).gr_gid
    except KeyError:
        # On a clean host, check mode comes before both.
        account = group = None
    try:
        root, uid, gid = os.geteuid(), account and account.pw_uid, account and account.pw_gid
        data = opened(directory, None)
        files = None if data is None else opened(FILES, data, os.O_NOFOLLOW)
        data_differs = folder_differs(data, root, gid, 0o1771)
        # What devpi makes in there gets the group of nginx.
        files_differ = folder_differs(files, uid, group, 0o2750)
        if action == "make" and (data_differs or files_differ):
            if account is None or uid is None or gid is None or group is None:
                raise OSError(2, "there is no such user or group", f"{user}, {files_group}")
            Path(directory).parent.mkdir(parents=True, exist_ok=True)
            data = made(directory, None, root, gid, 0o1771)
            if files_differ:
                made(FILES, data, uid, group, 0o2750, os.O_NOFOLLOW)
    except OSError as reason:
        print(f"{directory}/{FILES} cannot be made: {reason.filename}: {reason.strerror}.", file=sys.stderr)
        return 1
    for name, differs in ((directory, data_differs), (f"{directory}/{FILES}", files_differ)):
        if differs:
            print(f"{name} {'was' if action == 'make' else 'would be'} made as it has to be.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
