# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave what a devpi leaves that is killed in a commit: a hot journal. Run as devpi's user, while no devpi runs.

Argument: the database.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

if __name__ == "__main__":
    path = Path(sys.argv[1])
    database = sqlite3.connect(path, isolation_level=None)
    table = "kv" if path.name == ".sqlite" else "ulid_changelog"
    # So little memory that pages of the change are in the database before it is committed.
    for words in ("PRAGMA cache_size=1", "PRAGMA cache_spill=1", "BEGIN IMMEDIATE"):
        database.execute(words)
    database.execute(f"UPDATE {table} SET serial=serial+0")
    database.execute(f"CREATE TABLE junk AS SELECT * FROM {table}")
    if not path.with_name(f"{path.name}-journal").stat().st_size:
        sys.exit("The journal is not hot.")
    os._exit(0)
