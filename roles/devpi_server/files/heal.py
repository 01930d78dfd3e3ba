"""Undo what a devpi that was killed in a commit left half, before it starts again. Run as devpi's user.

Argument: the folder of the data.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import sqlite


def main(data: Path) -> int:
    """Returns the exit status."""
    try:
        for name in sqlite.heal(data):
            print(f"A writer of {data / name} was killed in a commit, which is undone now.", flush=True)
    except sqlite3.Error as reason:
        print(f"SQLite cannot open the database in {data}: {reason}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
