"""Install and upload all the time through nginx, as index.py of the scenario upgrade does, and tell how it goes.

What became of it stands in load.json, and in readers.json the longest time from one install to the next.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import index

HERE = Path(__file__).parent
READERS = HERE / "readers.json"
index.DOMAIN, index.HERE, index.ACKNOWLEDGED = "backup.test", HERE, HERE / "acknowledged"
install = index.install
last, longest = time.monotonic(), 0.0


def timed(project: str) -> bool:
    """Install, and keep the longest pause."""
    global last, longest  # noqa: PLW0603  # index.py calls a function.
    if not install(project):
        return False
    longest = max(longest, time.monotonic() - last)
    last = time.monotonic()
    READERS.write_text(json.dumps(longest))
    return True


if __name__ == "__main__":
    index.install = timed
    index.load()
