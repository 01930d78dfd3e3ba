"""Make the folder of devpi's data, and two in there: that of its files, which nginx reads, and what root keeps.

Usage: folders.py check|make DIRECTORY USER FILES_GROUP. Prints a line for each folder that was, or would be, changed.

The first one is root's, and sticky: devpi makes what it wants in there, and neither moves nor removes what root keeps
there. Others may pass through it, but not list it: nginx has to reach the files. Those are devpi's, who can put
anything in their place, at any moment: each folder is looked at and changed by its descriptor.
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
#: SNAPSHOTS of devpi_ctl/files.py. It is there before devpi first runs, who could take the name otherwise.
KEPT = ".before"


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
    uid, gid = account and account.pw_uid, account and account.pw_gid
    wanted = {
        KEPT: (os.geteuid(), os.getegid(), 0o711),
        # What devpi makes in there gets the group of nginx.
        FILES: (uid, group, 0o2750),
    }
    name = directory
    try:
        if action == "make":
            if uid is None or gid is None or group is None:
                raise OSError(2, f"there is no user {user} or no group {files_group}")
            Path(directory).parent.mkdir(parents=True, exist_ok=True)
        data = opened(directory, None)
        differing = [directory] if folder_differs(data, os.geteuid(), gid, 0o1771) else []
        if action == "make" and (differing or data is None):
            data = made(directory, None, os.geteuid(), gid or 0, 0o1771)
        for name, (owner, of_group, mode) in wanted.items():
            number = None if data is None else opened(name, data, os.O_NOFOLLOW)
            if folder_differs(number, owner, of_group, mode):
                differing.append(f"{directory}/{name}")
                if action == "make":
                    made(name, data, owner or 0, of_group or 0, mode, os.O_NOFOLLOW)
    except OSError as reason:
        place = directory if name == directory else f"{directory}/{name}"
        print(f"{place} cannot be made: {reason.strerror}.", file=sys.stderr)
        return 1
    for place in differing:
        print(f"{place} {'was' if action == 'make' else 'would be'} made as it has to be.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
