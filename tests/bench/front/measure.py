# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench-quick, on the host of the index: the front against the limit and the vhost that devpi-gen-config writes.

    measure.py LIMIT_DIRECTORY FLOORS

The limit is the same bytes as files that were compressed beforehand, from the same server of the same nginx: it writes
the same log and has the same limits for clients. Ours and the limit take turns over TLS, as clients ask, each a tenth
of a second long, so that the other work of the machine meets both alike. A ratio is the median of some runs.

A page is fresh for 2 seconds (devpi_nginx_page_freshness), and ours has to bear its share of the requests that ask
devpi for a new one. It bears twice that, because the page ages in the turns of the limit as well.

The generated vhost speaks HTTP alone, so ours does, too, where they meet. There, a turn is 2 seconds: a request to the
generated vhost goes on for longer than a tenth of a second, and would do so in the turn of the other.

Pages that devpi never made come faster to many clients at once than to one that asks for one after another: devpi's
threads queue for the database (write_in_turn of the plugin in devpi_server). Without that they take twice as long.

Prints a line for each cell. Exits with 1 where a ratio is below its floor.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from loads import ENCODINGS, Load, ask, fetch, take_turns

SITE = "https://bench.test"
PLAIN_SITE = "http://bench.test:8081"
GENERATED = "http://bench.test:8082"
INDEX = "root/bench"
#: Pages and the number of their files.
PAGES = {"big": 1000, "small": 10}
#: Mirrors that nobody asked for anything, two for each run, and the number of projects that have a page there.
COLD, COLD_PAGES = "root/cold%d", 40
#: Bytes of the release file.
FILE_SIZE = 1024 * 1024
CONNECTIONS = (1, 8, 64)
#: How often a cell is measured.
RUNS = 2
#: Seconds of all turns of a cell, and of each turn against the generated vhost.
SECONDS = 2


def sound(load: Load) -> float:
    """Return the requests a second of a load. Raises SystemExit where it got no answer, or not as it should be."""
    if load.errors or not load.requests:
        sys.exit(f"{'Answers failed under load' if load.errors else 'The machine is too busy'}:\n{load.said}")
    return load.per_second


def in_turn(measure: Callable[[], list[Load]]) -> tuple[float, float, float]:
    """Measure two some times. Returns their medians, in requests a second, and the median of their ratios."""
    pairs = [[sound(load) for load in measure()] for _run in range(RUNS)]
    first, second = (statistics.median(speeds) for speeds in zip(*pairs, strict=True))
    return first, second, statistics.median(one / other for one, other in pairs)


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


def cold_pages(mirror: int, clients: int) -> float:
    """Return how many pages a second a cold mirror makes for so many clients. Raises OSError."""
    index = f"{PLAIN_SITE}/{COLD % mirror}/+simple"
    fetch(f"{index}/small/")  # It has its list of projects then.
    pages = [f"{index}/p{number}/" for number in range(1, COLD_PAGES + 1)]
    begin = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(fetch, pages))
    return COLD_PAGES / (time.monotonic() - begin)


def main() -> int:
    """Measure all cells. Returns the exit status."""
    floors = json.loads(Path(sys.argv[2]).read_text())
    ours = prepare_limit(Path(sys.argv[1]))
    ratios: dict[str, list[float]] = {"pages": [], "files": []}
    print(f"{'against the limit':<28}{'ours/s':>10}{'limit/s':>10}{'ratio':>8}")
    cells = [("pages", page, name) for page in PAGES for name in ENCODINGS] + [("files", "file", "plain")]
    for (kind, what, name), connections in itertools.product(cells, CONNECTIONS):
        both = (ours[what], f"{SITE}/+limit/{what}")
        fast, fastest, ratio = in_turn(partial(take_turns, both, ENCODINGS[name], connections, SECONDS))
        ratios[kind].append(ratio)
        label = f"{what}, {name}, {connections} conn."
        print(f"{label:<28}{fast:>10.0f}{fastest:>10.0f}{ratio:>8.2f}", flush=True)
    reached = {
        "pages_of_limit": statistics.geometric_mean(ratios["pages"]),
        "files_of_limit": statistics.geometric_mean(ratios["files"]),
        "worst_cell_of_limit": min(ratios["pages"] + ratios["files"]),
    }
    path = f"/{INDEX}/+simple/big/"
    fast, slow, times = in_turn(lambda: [ask(site + path, "gzip", 8, SECONDS) for site in (PLAIN_SITE, GENERATED)])
    print(f"{'generated vhost, big page':<28}{fast:>10.0f}{slow:>10.1f}{times:>8.0f}")
    reached["times_generated_vhost"] = times
    runs = [(cold_pages(run * 2 - 1, COLD_PAGES), cold_pages(run * 2, 1)) for run in range(1, RUNS + 1)]
    reached["cold_at_once"] = statistics.median(at_once / in_a_row for at_once, in_a_row in runs)
    at_once, in_a_row = (statistics.median(speeds) for speeds in zip(*runs, strict=True))
    print(f"{'cold pages, at once, in a row':<28}{at_once:>9.1f}{in_a_row:>10.1f}{reached['cold_at_once']:>8.2f}")
    missed = False
    for name, floor in floors.items():
        missed = missed or not (math.isfinite(reached[name]) and reached[name] >= floor)
        print(f"{name:<28}{reached[name]:>10.2f}  floor {floor}{'' if reached[name] >= floor else '  MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
