# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what is cached and write new releases, until the file `stop` is there; then keep what came of it as JSON.

The last write is one that is acknowledged, and each of these has to be found at the end, those of former runs as well.
How many reads failed so far is in the file `failed`, the last write of this run in `written`.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from index import HERE, SITE, ask, upload
from make_wheel import make_wheel

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
PAGES = ("/team/base/+simple/own-1/", "/team/dev/+simple/own-2/", "/root/up/+simple/wanted/")
STOP, FAILED, WRITTEN, ACKNOWLEDGED = (HERE / name for name in ("stop", "failed", "written", "acknowledged"))


def write(path: Path, text: str) -> None:
    """Write a file in one step: it is read meanwhile."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


class Load:
    """What readers and a writer see."""

    def __init__(self) -> None:
        self.reads = 0
        self.failures: list[str] = []
        self.refused = 0
        self.other: dict[str, int] = {}
        self.longest = 0.0

    def read(self) -> None:
        """Ask for pages and files as installers do."""
        while not STOP.exists():
            for page in PAGES:
                try:
                    status, _headers, body = ask(page, headers={"Accept": JSON_TYPE})
                    path = urlsplit(urljoin(f"{SITE}{page}", json.loads(body)["files"][0]["url"])).path
                    statuses: list[int | str] = [status, ask(path, headers={"Accept": "*/*"})[0]]
                except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError) as reason:
                    statuses = [repr(reason)]
                self.reads += len(statuses)
                self.failures += [f"{page}: {status}" for status in statuses if status != 200]
                write(FAILED, str(len(self.failures)))
            time.sleep(0.5)

    def write(self) -> None:
        """Upload one new release after the other."""
        last = time.monotonic()
        number = int(time.time())
        with tempfile.TemporaryDirectory() as folder:
            while True:
                number += 1
                version = f"{number}.0"
                try:
                    status: object = upload(
                        "team/dev", "written", version, make_wheel("written", version, Path(folder))
                    )
                except (OSError, http.client.HTTPException) as reason:
                    status = repr(reason)
                if status == 200:
                    with ACKNOWLEDGED.open("a") as file:
                        file.write(f"{version}\n")
                    write(WRITTEN, version)
                    self.longest = max(self.longest, time.monotonic() - last)
                    last = time.monotonic()
                    if STOP.exists():
                        return
                elif status == 503:
                    self.refused += 1
                else:
                    self.other[str(status)] = self.other.get(str(status), 0) + 1
                time.sleep(1)

    def lost(self) -> list[str]:
        """Return the versions that were acknowledged and are not there."""
        _status, _headers, body = ask("/team/dev/+simple/written/", headers={"Accept": JSON_TYPE, "Cookie": "fresh=1"})
        there = {file["filename"] for file in json.loads(body)["files"]}
        versions = ACKNOWLEDGED.read_text().split()
        return [version for version in versions if f"written-{version}-py3-none-any.whl" not in there]


def main() -> None:
    """Load, and tell."""
    load = Load()
    threads = [threading.Thread(target=work) for work in (load.read, load.write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {
        "reads": load.reads,
        "failures": load.failures[:10],
        "failed": len(load.failures),
        "refused": load.refused,
        "other": load.other,
        "longest": round(load.longest, 1),
        "lost": load.lost(),
    }
    (HERE / "load.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
