"""devpi's databases, as SQLite sees them. Whoever opens one heals it first, as devpi's user."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

#: The database of devpi 6 with the table of its changes, and that of devpi 7.
TABLES = {".sqlite": "changelog", ".sqlite_alchemy": "ulid_changelog"}
DATABASE_OF_7 = ".sqlite_alchemy"
MAGIC = b"SQLite format 3\0"
#: What SQLite keeps beside a database; its backup holds what is in there.
COMPANIONS = ("-wal", "-shm", "-journal")
#: Seconds to wait for a writer.
PATIENCE = 60


def connected(database: Path, mode: str = "rw") -> sqlite3.Connection:
    """Return a connection to a database that is there. With `ro`, it only reads."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE)


def is_there(database: Path) -> bool:
    """Whether a database is there: a plain file, which devpi's always is, and no link to somebody else's."""
    try:
        return stat.S_ISREG(database.lstat().st_mode)
    except OSError:
        return False


def heal(data: Path) -> list[str]:
    """Undo what a writer that was killed in a commit left half. Returns the names of the databases that had such.

    Such a writer leaves a hot journal (https://www.sqlite.org/lockingv3.html#hot_journals). devpi opens the database to
    read it only, which cannot roll that back, and ends each time with "attempt to write a readonly database". The first
    read of somebody who may write does it. Raises sqlite3.Error.
    """
    healed = []
    for name in TABLES:
        if not is_there(data / name):
            continue
        journal = data / f"{name}-journal"
        was_there = journal.exists()
        with contextlib.closing(connected(data / name)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if was_there and not journal.exists():
            healed.append(name)
    return healed


def is_database(path: Path) -> bool:
    """Whether a file is one of SQLite."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def back_up(database: Path, target: Path, tell: Callable[[int], None]) -> None:
    """Let SQLite copy a database, with what is in its companions. `tell` gets the bytes so far.

    Raises sqlite3.Error.
    """
    with (
        contextlib.closing(connected(database)) as source,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        page: int = source.execute("PRAGMA page_size").fetchone()[0]
        source.backup(new, pages=4096, progress=lambda _status, left, total: tell((total - left) * page))


def last_serial(data: Path) -> int | None:
    """Return the number of the last change in the data of a devpi that does not run; None where that is unknown."""
    name = DATABASE_OF_7 if is_there(data / DATABASE_OF_7) else ".sqlite"
    try:
        with contextlib.closing(connected(data / name)) as database:
            found: int | None = database.execute(f"SELECT max(serial) FROM {TABLES[name]}").fetchone()[0]
            return found
    except sqlite3.Error:
        return None
