# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a devpi leaves beside its database that is killed in a commit: a hot journal."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

#: Dies in a commit, with pages of it in the database already, as devpi does that is killed.
DIES = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
for words in ("PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN IMMEDIATE",
              "UPDATE kv SET serial=serial+0", "CREATE TABLE junk AS SELECT * FROM kv"):
    database.execute(words)
os._exit(1)
"""


def make_hot(database: Path) -> None:
    """Leave a hot journal beside a database, which is made where there is none."""
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("PRAGMA journal_mode=delete")
        made.execute("CREATE TABLE IF NOT EXISTS kv (key, serial)")
        made.executemany(
            "INSERT INTO kv (key, serial) VALUES (?, ?)", [(f"{number:0500}", number) for number in range(500)]
        )
        for table in ("changelog", "ulid_changelog"):
            made.execute(f"CREATE TABLE IF NOT EXISTS {table} (serial INTEGER PRIMARY KEY, data)")
            made.execute(f"INSERT OR IGNORE INTO {table} (serial) VALUES (7)")
        made.commit()
    subprocess.run([sys.executable, "-c", DIES, database], check=False)
    assert database.with_name(f"{database.name}-journal").stat().st_size > 0
