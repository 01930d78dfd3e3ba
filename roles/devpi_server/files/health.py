"""Restart devpi where its API does not answer three times in a row.

Arguments: the URL of the server, the seconds that an answer may take, the seconds that a start may take.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from devpi_ctl import http, systemd

#: So many questions without an answer, one after the other, make a restart.
QUESTIONS = 3
UNIT = "devpi.service"


def seconds_since_start() -> float:
    """Return for how long the server runs, in seconds, and 0 where it does not: then it is systemd that starts it."""
    said = systemd.systemctl("show", "--property=ActiveState,ActiveEnterTimestampMonotonic", UNIT)
    shown = dict(line.split("=", 1) for line in said.splitlines())
    if shown["ActiveState"] != "active":
        return 0
    return time.monotonic() - int(shown["ActiveEnterTimestampMonotonic"]) / 1e6


def main(url: str, timeout: float, start_timeout: float) -> None:
    """Ask, and restart the server where it gives no answer."""
    if seconds_since_start() < start_timeout:
        return
    for _question in range(QUESTIONS):
        begin = time.monotonic()
        if http.is_devpi(url, timeout):
            return
        # A refusal comes at once. The server has as long as one that is silent.
        time.sleep(max(0.0, begin + timeout - time.monotonic()))
    if seconds_since_start() < QUESTIONS * timeout:
        return  # It was started again meanwhile.
    # <4> is a warning to the journal.
    print(f"<4>{url} did not answer {QUESTIONS} times within {timeout:.0f} s: restarting {UNIT}", flush=True)
    systemd.systemctl("try-restart", UNIT)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
