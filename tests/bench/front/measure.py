# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the front is, on its own host: against the limit and against the vhost that devpi-gen-config writes.

    measure.py LIMIT_DIRECTORY FLOORS

The limit is the same bytes as files that were compressed beforehand, from the same server of the same nginx. Ours and
the limit take turns over TLS, as clients ask. The generated vhost speaks HTTP alone, so ours does, too, where they
meet. A turn for a page lasts as long as a page is fresh, so that each has its share of the requests that ask devpi for
a new one. The median of the turns counts, and of the ratios that of neighbours, because the machine has other work.

Prints a line for each cell. Exits with 1 where a ratio is below its floor.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import subprocess
import sys
import urllib.request
from pathlib import Path

SITE = "https://bench.test"
PLAIN_SITE = "http://bench.test:8081"
GENERATED = "http://bench.test:8082"
INDEX = "root/bench"
#: Pages and the number of their files.
PAGES = {"big": 1000, "small": 10}
#: Bytes of the release file.
FILE_SIZE = 1024 * 1024
ENCODINGS = {"gzip": "gzip", "plain": "identity"}
CONNECTIONS = (1, 8, 64)
TURNS = 2
#: Seconds of a turn; those of a page are devpi_nginx_page_freshness.
SECONDS = {"pages": 2, "files": 1, "generated": 1}
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def fetch(url: str, encoding: str) -> bytes:
    """Return the bytes of an answer as they came over the wire."""
    request = urllib.request.Request(url, headers={"Accept": JSON_TYPE, "Accept-Encoding": encoding})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def requests_per_second(url: str, encoding: str, connections: int, seconds: int) -> float:
    """Ask for a URL for some seconds. Raises SystemExit where an answer was not as it should be."""
    said = subprocess.run(
        [
            *("wrk", f"--threads={min(connections, 2)}", f"--connections={connections}", f"--duration={seconds}s"),
            *("--header", f"Accept: {JSON_TYPE}", "--header", f"Accept-Encoding: {encoding}", url),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"{url} failed under load:\n{said}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None:
        sys.exit(f"wrk said nothing of its speed:\n{said}")
    return float(found[1])


def in_turn(ours: str, other: str, encoding: str, connections: int, seconds: int) -> tuple[float, float, float]:
    """Return the medians of two URLs that took turns, in requests a second, and the median of their ratios."""
    turns = [
        [requests_per_second(url, encoding, connections, seconds) for url in (ours, other)] for _turn in range(TURNS)
    ]
    fast, slow = (statistics.median(speeds) for speeds in zip(*turns, strict=True))
    return fast, slow, statistics.median(one / another for one, another in turns)


def prepare_limit(directory: Path) -> dict[str, str]:
    """Write what the limit serves, byte for byte what the front serves. Returns the URL of each of ours."""
    ours = {}
    for page, files in PAGES.items():
        ours[page] = f"{SITE}/{INDEX}/+simple/{page}/"
        (directory / page).write_bytes(fetch(ours[page], "identity"))
        (directory / f"{page}.gz").write_bytes(fetch(ours[page], "gzip"))
        if len(json.loads((directory / page).read_bytes())["files"]) != files:
            sys.exit(f"{ours[page]} does not list {files} files.")
    page = json.loads(fetch(f"{SITE}/{INDEX}/+simple/file/", "identity"))
    ours["file"] = f"{SITE}/{INDEX}/" + page["files"][0]["url"].removeprefix("../../")
    content = fetch(ours["file"], "identity")
    if len(content) != FILE_SIZE:
        sys.exit(f"{ours['file']} has {len(content)} bytes.")
    (directory / "file").write_bytes(content)
    return ours


def main() -> int:
    """Measure all cells. Returns the exit status."""
    floors = json.loads(Path(sys.argv[2]).read_text())
    ours = prepare_limit(Path(sys.argv[1]))
    ratios: dict[str, list[float]] = {"pages": [], "files": []}
    print(f"{'against the limit':<28}{'ours/s':>10}{'limit/s':>10}{'ratio':>8}")
    cells = [("pages", page, name) for page in PAGES for name in ENCODINGS] + [("files", "file", "plain")]
    for kind, what, name in cells:
        for connections in CONNECTIONS:
            limit = f"{SITE}/+limit/{what}"
            fast, fastest, ratio = in_turn(ours[what], limit, ENCODINGS[name], connections, SECONDS[kind])
            ratios[kind].append(ratio)
            label = f"{what}, {name}, {connections} conn."
            print(f"{label:<28}{fast:>10.0f}{fastest:>10.0f}{ratio:>8.2f}", flush=True)
    reached = {
        "pages_of_limit": statistics.geometric_mean(ratios["pages"]),
        "files_of_limit": statistics.geometric_mean(ratios["files"]),
        "worst_cell_of_limit": min(ratios["pages"] + ratios["files"]),
    }
    path = f"/{INDEX}/+simple/big/"
    fast, slow, times = in_turn(PLAIN_SITE + path, GENERATED + path, "gzip", 8, SECONDS["generated"])
    print(f"{'generated vhost, big page':<28}{fast:>10.0f}{slow:>10.1f}{times:>8.0f}")
    reached["times_generated_vhost"] = times
    missed = False
    for name, floor in floors.items():
        missed = missed or not (math.isfinite(reached[name]) and reached[name] >= floor)
        print(f"{name:<28}{reached[name]:>10.2f}  floor {floor}{'' if reached[name] >= floor else '  MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
