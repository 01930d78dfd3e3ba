"""What devpi's data hold, and a copy of them that is consistent beside the running server.

  data.py copy SERVERDIR COPY yes|no   make the copy, with or without mirrored files, and print what it holds
  data.py count SERVERDIR              print what the data hold
devpi's own Python runs it, because it reads the database in devpi's format, as the user devpi, to whom the data belong.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import sqlite
from devpi_server.fileutil import loads

#: Without these two devpi does not know the database.
BESIDE = (".nodeinfo", ".serverversion")
FILES = "+files"
#: devpi writes a file beside its place and renames it. Looking again this often finds it under either name.
LOOKS = 10


class Six:
    """The database of devpi 6: a log of changes, and the serial of the last one of each key."""

    name = ".sqlite"

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def serial(self) -> int:
        """Return the number of the last change."""
        return int(self.database.execute("SELECT max(serial) FROM changelog").fetchone()[0])

    def values(self, *kinds: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield each key of these kinds that was not deleted, the serial that wrote it, and its value."""
        serial, changes = None, {}
        rows = self.database.execute(
            "SELECT key, kv.serial, data FROM kv JOIN changelog USING (serial) "
            f"WHERE keyname IN ({', '.join('?' * len(kinds))}) ORDER BY 2",
            kinds,
        )
        for key, at, data in rows:
            if at != serial:
                serial, changes = at, loads(bytes(data))[0]
            value = changes[key][2]
            if value is not None:
                yield key, at, value

    def users(self) -> int:
        """Count the users."""
        return sum(1 for _user in self.values("USER"))

    def indexes(self) -> dict[str, bool]:
        """Return each index, and whether it is a mirror."""
        return {
            f"{key.split('/')[0]}/{name}": settings["type"] == "mirror"
            for key, _serial, value in self.values("USER")
            for name, settings in value.get("indexes", {}).items()
        }

    def releases(self) -> int:
        """Count the uploaded versions of all projects."""
        return sum(1 for _release in self.values("PROJVERSION"))

    def files(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield the path of each file below +files, the serial that wrote it, and what is known of it."""
        return self.values("STAGEFILE", "PYPIFILE_NOMD5")


class Seven(Six):
    """The database of devpi 7: each key has a number, a parent and a log of its own."""

    name = ".sqlite_alchemy"

    def serial(self) -> int:
        """Return the number of the last change."""
        return int(self.database.execute("SELECT max(serial) FROM ulid_changelog").fetchone()[0])

    def paths(self) -> dict[int, str]:
        """Return the paths of users and indexes by their numbers."""
        found = {-1: ""}
        for kind in ("USER", "INDEX"):
            rows = self.database.execute(
                "SELECT ulid, parent_ulid, name FROM ulid_info WHERE keytype = ? AND deleted_at_serial IS NULL", (kind,)
            ).fetchall()
            found.update(
                {ulid: f"{found[parent]}/{name}".lstrip("/") for ulid, parent, name in rows if parent in found}
            )
        return found

    def values(self, *kinds: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield each key of these kinds, which belong to an index, a user or nobody, its serial and its value."""
        paths = self.paths()
        rows = self.database.execute(
            "SELECT parent_ulid, name, latest_serial, value FROM ulid_info JOIN ulid_latest_serial USING (ulid) "
            "JOIN ulid_changelog ON ulid_changelog.ulid = ulid_info.ulid AND serial = latest_serial "
            f"WHERE keytype IN ({', '.join('?' * len(kinds))}) AND deleted_at_serial IS NULL AND value IS NOT NULL",
            kinds,
        )
        for parent, name, serial, value in rows:
            if parent in paths:
                yield f"{paths[parent]}/{name}".lstrip("/"), serial, loads(bytes(value))

    def indexes(self) -> dict[str, bool]:
        """Return each index, and whether it is a mirror."""
        return {index: settings["type"] == "remote" for index, _serial, settings in self.values("INDEX")}

    def releases(self) -> int:
        """Count the uploaded versions of all projects."""
        return int(
            self.database.execute(
                "SELECT count(*) FROM ulid_info WHERE keytype = 'VERSIONMETADATA' AND deleted_at_serial IS NULL"
            ).fetchone()[0]
        )

    def files(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield the path of each file below +files, the serial that wrote it, and what is known of it."""
        return self.values("FILE", "FILE_NOHASH")


def kind_of(directory: Path) -> type[Six]:
    """Return the kind of the database in a folder of data."""
    kind = next((one for one in (Six, Seven) if sqlite.is_there(directory / one.name)), None)
    if kind is None:
        raise SystemExit(f"{directory} has no database that devpi keeps in SQLite.")
    return kind


def opened(directory: Path) -> sqlite3.Connection:
    """Return a connection that only reads."""
    return sqlite.connected(directory / kind_of(directory).name, "ro")


def holds(directory: Path) -> dict[str, Any]:
    """Count what the data hold. `newest` is the release file that was uploaded last."""
    with closing(opened(directory)) as database:
        kind = kind_of(directory)
        data = kind(database)
        known = data.indexes()
        found: dict[str, Any] = {
            # Of which devpi they are, and which one is installed here.
            "data_of": "7" if kind is Seven else "6",
            "installed": importlib.metadata.version("devpi-server"),
            "serial": data.serial(),
            "users": data.users(),
            "indexes": len(known),
            "releases": data.releases(),
            "files": 0,
            "missing": 0,
            "bytes": 0,
            "mirrored_files": 0,
            # With those of mirrors that nobody asked for yet.
            "known_files": 0,
            "newest": None,
        }
        newest = -1
        for key, serial, entry in data.files():
            found["known_files"] += 1
            if not entry.get("last_modified"):
                continue
            user, index, *_rest, name = key.split("/")
            size = size_of(directory / FILES / key)
            there = size is not None
            found["bytes"] += size or 0
            if known.get(f"{user}/{index}", False):
                found["mirrored_files"] += there
                continue
            found["files"] += 1
            found["missing"] += not there
            if serial > newest and name.endswith((".whl", ".tar.gz", ".zip")) and entry.get("project"):
                newest = serial
                digests = entry.get("hashes") or dict([entry["hash_spec"].split("=")])
                found["newest"] = {
                    "index": f"{user}/{index}",
                    "project": entry["project"],
                    "file": name,
                    "hash": digests.get("sha256") or next(iter(digests.values())),
                }
    return found


def size_of(path: Path) -> int | None:
    """Return the size of a plain file, None where there is none. A link to one is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def link(source: Path, target: Path) -> bool:
    """Link all plain files of a folder into another one. Returns whether one was renamed or deleted meanwhile."""
    missed = False
    for folder, _folders, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = Path(folder) / name
            # Whatever else lies there is not devpi's work, and restoring it may do harm.
            if size_of(path) is None:
                missed = missed or not os.path.lexists(path)
                continue
            try:
                os.link(path, there / name, follow_symlinks=False)
            except FileExistsError:
                continue
            except FileNotFoundError:
                missed = True
    return missed


def link_all(directory: Path, copy: Path, mirrored: bool) -> None:
    """Link the files of all indexes, those of mirrors only where they are wanted."""
    with closing(opened(directory)) as database:
        mirrors = {name for name, is_mirror in kind_of(directory)(database).indexes().items() if is_mirror}
    for folder in (directory / FILES).glob("*/*"):
        name = folder.relative_to(directory / FILES)
        if folder.is_dir() and not folder.is_symlink() and (mirrored or str(name) not in mirrors):
            for _look in range(LOOKS):
                if not link(folder, copy / FILES / name):
                    break


def copy_data(directory: Path, copy: Path, mirrored: bool) -> None:
    """Copy the database and link the files into an empty folder.

    devpi writes a file before the database that names it, and deletes it after that. So all files that the copied
    database names are linked before or after it was copied. Nothing waits for that, and links take no room.
    """
    (copy / FILES).mkdir()
    link_all(directory, copy, mirrored)
    name = kind_of(directory).name
    with closing(opened(directory)) as source, closing(sqlite3.connect(copy / name)) as target:
        source.backup(target)
    for name in BESIDE:
        shutil.copy2(directory / name, copy / name, follow_symlinks=False)
    link_all(directory, copy, mirrored)


def main(what: str, where: str, *more: str) -> None:
    """Do what is asked for, and print what the data hold. The database is healed first."""
    os.umask(0o027)
    sqlite.heal(Path(where))
    if what == "copy":
        copy_data(Path(where), Path(more[0]), more[1] == "yes")
        where = more[0]
    print(json.dumps(holds(Path(where))))


if __name__ == "__main__":
    main(*sys.argv[1:])
