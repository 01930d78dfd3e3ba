# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench-quick, on the host of the index: the front against the limit and the vhost that devpi-gen-config writes.

    measure.py LIMIT_DIRECTORY FLOORS

The limit is the same bytes as files that were compressed beforehand, from the same server of the same nginx. Ours and
the limit take turns over TLS, as clients ask. The generated vhost speaks HTTP alone, so ours does, too, where they
meet. The median of the turns counts, and of the ratios that of neighbours, because the machine has other work.

A page is fresh for 2 seconds (devpi_nginx_page_freshness), and each turn has to bear its share of the requests that ask
devpi for a new one. So the loads of a page follow each other within one turn, which begins with an old page and lasts
longer than a page is fresh: it has one such request for each 1.5 seconds at most. Each second turn runs backwards, so
that another load is the first.

Prints a line for each cell. Exits with 1 where a ratio is below its floor.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path

from loads import ENCODINGS, ask, fetch

SITE = "https://bench.test"
PLAIN_SITE = "http://bench.test:8081"
GENERATED = "http://bench.test:8082"
INDEX = "root/bench"
#: Pages and the number of their files.
PAGES = {"big": 1000, "small": 10}
#: Bytes of the release file.
FILE_SIZE = 1024 * 1024
CONNECTIONS = (1, 8, 64)
TURNS = 2
#: Seconds of a load.
SECONDS = 1


def speed(url: str, encoding: str, connections: int) -> float:
    """Return how many requests a second a URL answers. Raises SystemExit where an answer was not as it should be."""
    load = ask(url, encoding, connections, SECONDS)
    if load.errors:
        sys.exit(f"{url} failed under load:\n{load.said}")
    return load.per_second


def in_turn(ours: str, other: str, encoding: str, loads: tuple[int, ...]) -> list[tuple[float, float, float]]:
    """Return for each load the medians of two URLs that took turns, in requests a second, and that of their ratios."""
    measured: dict[int, list[tuple[float, float]]] = {load: [] for load in loads}
    for turn in range(TURNS):
        order = loads if turn % 2 == 0 else loads[::-1]
        first, second = ({load: speed(url, encoding, load) for load in order} for url in (ours, other))
        for load in loads:
            measured[load].append((first[load], second[load]))
    return [
        (
            statistics.median(one for one, _other in turns),
            statistics.median(other for _one, other in turns),
            statistics.median(one / other for one, other in turns),
        )
        for turns in measured.values()
    ]


def prepare_limit(directory: Path) -> dict[str, str]:
    """Write what the limit serves, byte for byte what the front serves. Returns the URL of each of ours."""
    ours = {}
    directory.mkdir(exist_ok=True)
    for page, files in PAGES.items():
        ours[page] = f"{SITE}/{INDEX}/+simple/{page}/"
        (directory / page).write_bytes(fetch(ours[page])[0])
        (directory / f"{page}.gz").write_bytes(fetch(ours[page], "gzip")[0])
        if len(json.loads((directory / page).read_bytes())["files"]) != files:
            sys.exit(f"{ours[page]} does not list {files} files.")
    page = json.loads(fetch(f"{SITE}/{INDEX}/+simple/large/")[0])
    ours["file"] = f"{SITE}/{INDEX}/" + page["files"][0]["url"].removeprefix("../../")
    content = fetch(ours["file"])[0]
    if not FILE_SIZE <= len(content) < FILE_SIZE * 1.01:
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
        results = in_turn(ours[what], f"{SITE}/+limit/{what}", ENCODINGS[name], CONNECTIONS)
        for connections, (fast, fastest, ratio) in zip(CONNECTIONS, results, strict=True):
            ratios[kind].append(ratio)
            label = f"{what}, {name}, {connections} conn."
            print(f"{label:<28}{fast:>10.0f}{fastest:>10.0f}{ratio:>8.2f}", flush=True)
    reached = {
        "pages_of_limit": statistics.geometric_mean(ratios["pages"]),
        "files_of_limit": statistics.geometric_mean(ratios["files"]),
        "worst_cell_of_limit": min(ratios["pages"] + ratios["files"]),
    }
    path = f"/{INDEX}/+simple/big/"
    [(fast, slow, times)] = in_turn(PLAIN_SITE + path, GENERATED + path, "gzip", (8,))
    print(f"{'generated vhost, big page':<28}{fast:>10.0f}{slow:>10.1f}{times:>8.0f}")
    reached["times_generated_vhost"] = times
    missed = False
    for name, floor in floors.items():
        missed = missed or not (math.isfinite(reached[name]) and reached[name] >= floor)
        print(f"{name:<28}{reached[name]:>10.2f}  floor {floor}{'' if reached[name] >= floor else '  MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
