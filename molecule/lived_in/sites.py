# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch the sites of somebody else on this host.

Usage: sites.py watch|report FOLDER
`watch` asks each site again and again, for as long as the host runs, and writes down each answer that is not its own
and how long it was silent. `report` asks each once more and prints as JSON how often they were asked, what was wrong,
and the longest silence in seconds; it fails where the watch does not run.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path

#: What each answers by name; nobody's name is the default site's.
SITES = {"one.test": "one", "two.test": "two", "nobody.test": "the default of the host"}
PAUSE = 0.1


def ask(name: str) -> str:
    """Return what a site answers. Raises OSError where it does not."""
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": name})
        return connection.getresponse().read().decode("utf-8", "replace").strip()
    except http.client.HTTPException as error:
        raise OSError(f"no answer: {error}") from error
    finally:
        connection.close()


def watch(folder: Path) -> None:
    """Ask for ever."""
    asked, longest, wrong = 0, 0.0, set[str]()
    silent_since: dict[str, float] = {}
    while True:
        for name, wanted in SITES.items():
            now = time.monotonic()
            asked += 1
            try:
                answer = ask(name)
            except OSError:
                silent_since.setdefault(name, now)
                continue
            longest = max(longest, now - silent_since.pop(name, now))
            if answer != wanted:
                wrong.add(f"{name}: {answer[:80]}")
        partial = folder / "seen.json.new"
        seen = {"asked": asked, "wrong": sorted(wrong), "longest": longest, "at": time.time()}
        partial.write_text(json.dumps(seen), "utf-8")
        partial.replace(folder / "seen.json")
        time.sleep(PAUSE)


def report(folder: Path) -> int:
    """Print what was seen. Returns the exit status."""
    seen = json.loads((folder / "seen.json").read_text("utf-8"))
    now = {name: ask(name) for name in SITES}
    print(json.dumps({**seen, "now_wrong": [name for name in SITES if now[name] != SITES[name]]}))
    return 0 if time.time() - seen["at"] < 30 else 1


if __name__ == "__main__":
    action, place = sys.argv[1:]
    if action == "watch":
        watch(Path(place))
    sys.exit(report(Path(place)))
