"""What devpi's data hold, and a copy of them that is consistent beside the running server.

  data.py copy SERVERDIR COPY yes|no   make the copy, with or without mirrored files, and print what it holds
  data.py count SERVERDIR              print what the data hold
devpi's own Python runs it, because it reads the database in devpi's format, as the user devpi, to whom the data belong.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from devpi_server.fileutil import loads  # type: ignore[import-not-found]  # only where devpi is installed

DATABASE = ".sqlite"
#: Without these two devpi does not know the database.
BESIDE = (".nodeinfo", ".serverversion")
FILES = "+files"
#: devpi writes a file beside its place and renames it. Looking again this often finds it under either name.
LOOKS = 10


def opened(directory: Path) -> sqlite3.Connection:
    """Return a connection that only reads."""
    return sqlite3.connect(f"file:{directory / DATABASE}?mode=ro", uri=True, timeout=60)


def values(database: sqlite3.Connection, *kinds: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield each key of these kinds that was not deleted, the serial that wrote it, and its value."""
    serial, changes = None, {}
    asked = ", ".join("?" * len(kinds))
    rows = database.execute(
        f"SELECT key, kv.serial, data FROM kv JOIN changelog USING (serial) WHERE keyname IN ({asked}) ORDER BY 2",
        kinds,
    )
    for key, at, data in rows:
        if at != serial:
            serial, changes = at, loads(bytes(data))[0]
        value = changes[key][2]
        if value is not None:
            yield key, at, value


def indexes(database: sqlite3.Connection) -> dict[str, bool]:
    """Return each index, and whether it is a mirror."""
    return {
        f"{key.split('/')[0]}/{name}": settings["type"] == "mirror"
        for key, _serial, user in values(database, "USER")
        for name, settings in user.get("indexes", {}).items()
    }


def holds(directory: Path) -> dict[str, Any]:
    """Count what the data hold. `newest` is the release file that was uploaded last."""
    with closing(opened(directory)) as database:
        known = indexes(database)
        found: dict[str, Any] = {
            "serial": database.execute("SELECT max(serial) FROM changelog").fetchone()[0],
            "users": sum(1 for _user in values(database, "USER")),
            "indexes": len(known),
            "releases": sum(1 for _release in values(database, "PROJVERSION")),
            "files": 0,
            "missing": 0,
            "bytes": 0,
            "mirrored_files": 0,
            "newest": None,
        }
        newest = -1
        for key, serial, entry in values(database, "STAGEFILE", "PYPIFILE_NOMD5"):
            if not entry.get("last_modified"):
                continue  # A file of a mirror that nobody asked for yet.
            user, index, *_rest, name = key.split("/")
            path = directory / FILES / key
            there = path.is_file()
            if there:
                found["bytes"] += path.stat().st_size
            if known.get(f"{user}/{index}", False):
                found["mirrored_files"] += there
                continue
            found["files"] += 1
            found["missing"] += not there
            if serial > newest and name.endswith((".whl", ".tar.gz", ".zip")) and entry.get("project"):
                newest = serial
                digest = entry["hash_spec"].partition("=")[2]
                found["newest"] = {
                    "index": f"{user}/{index}",
                    "project": entry["project"],
                    "file": name,
                    "hash": digest,
                }
    return found


def link(source: Path, target: Path) -> bool:
    """Link all files of a folder into another one. Returns whether one was renamed or deleted meanwhile."""
    missed = False
    for folder, _folders, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                os.link(Path(folder) / name, there / name)
            except FileExistsError:
                continue
            except FileNotFoundError:
                missed = True
    return missed


def link_all(directory: Path, copy: Path, mirrored: bool) -> None:
    """Link the files of all indexes, those of mirrors only where they are wanted."""
    with closing(opened(directory)) as database:
        mirrors = {name for name, is_mirror in indexes(database).items() if is_mirror}
    for folder in (directory / FILES).glob("*/*"):
        name = folder.relative_to(directory / FILES)
        if folder.is_dir() and (mirrored or str(name) not in mirrors):
            for _look in range(LOOKS):
                if not link(folder, copy / FILES / name):
                    break


def copy_data(directory: Path, copy: Path, mirrored: bool) -> None:
    """Copy the database and link the files.

    devpi writes a file before the database that names it, and deletes it after that. So all files that the copied
    database names are linked before or after it was copied. Nothing waits for that, and links take no room.
    """
    shutil.rmtree(copy, ignore_errors=True)
    (copy / FILES).mkdir(parents=True)
    link_all(directory, copy, mirrored)
    with closing(opened(directory)) as source, closing(sqlite3.connect(copy / DATABASE)) as target:
        source.backup(target)
    for name in BESIDE:
        shutil.copy2(directory / name, copy / name)
    link_all(directory, copy, mirrored)


if __name__ == "__main__":
    os.umask(0o027)
    what, where, *more = sys.argv[1:]
    if what == "copy":
        copy_data(Path(where), Path(more[0]), more[1] == "yes")
        where = more[0]
    print(json.dumps(holds(Path(where))))
