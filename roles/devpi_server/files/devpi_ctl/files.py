"""Files that outlive a power loss, and folders of data whose entries change places."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: What root keeps beside the data, in a folder of root's in theirs: so it is on the same file system, and in the same
#: view of it that a sandbox gives, whatever is mounted where. The role devpi_backup keeps there what it copies, brings
#: back and moved aside. The folder of the data is root's, and sticky: devpi makes what it wants in there, and neither
#: moves nor removes what is not its own.
SNAPSHOTS = ".before"


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
