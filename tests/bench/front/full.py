# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make bench, on the host of the index: every candidate, in turn, with the loads that bench-quick makes.

    full.py RESULTS [--turns N] [--seconds S] [--only NAME...] [--measures NAME...] [--more]

Writes what each turn of each candidate gave to RESULTS (JSON); report.py makes tables and a plot of it. In each measure
all candidates have their first turn before the first has its second one, so that other work of the machine weighs on
all alike. What fails is counted, and told with its reason; nothing is left out silently.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from candidates import CANDIDATES, COLD, DIRECT, HERE, LIMIT, OURS, PREFETCHED, TLS, WARM, Candidate
from loads import ENCODINGS, ask, cpu_seconds, fetch

PAGES = {"big": 1000, "small": 10}
CONNECTIONS = (1, 8, 64)
LARGE = 200_000_000
#: Projects that an install asks for.
INSTALLED = [f"p{number}" for number in range(1, 51)]
#: The projects for the cost of files, by their number.
GROWTH = {10: "small", 100: "files100", 1000: "big", 5000: "files5000"}
CHAIN = range(1, 7)
HERD = 64
#: How often a client downloads the wheel in a turn: once is over too soon to be measured.
REPEATED = {1: 8, 8: 2}
#: How often a client installs what is warm in a turn, and the seconds before each of ours: no page is fresh then.
WARM_INSTALLS, AGED = 3, 3.2
CLIENTS = HERE / "venvs" / "clients" / "bin"
#: What installs must not find: caches and settings of whoever runs them.
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "PIP_CONFIG_FILE": os.devnull}


class Bench:
    """Measures, tells how far it is, and keeps the results."""

    def __init__(self, turns: int, seconds: float, chosen: list[Candidate]) -> None:
        self.turns, self.seconds, self.chosen = turns, seconds, chosen
        self.results: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        self.begin = time.monotonic()
        self.cold_indexes = 0

    def say(self, text: str) -> None:
        """Print a line with the seconds since the beginning."""
        print(f"[{time.monotonic() - self.begin:5.0f} s] {text}", flush=True)

    def keep(self, measure: str, cell: str, candidate: Candidate, turn: int, **values: float) -> None:
        """Keep what a turn gave."""
        self.results.append({"measure": measure, "cell": cell, "candidate": candidate.name, "turn": turn, **values})

    def each(self, measure: str, candidates: list[Candidate]) -> Iterator[tuple[int, Candidate]]:
        """Yield turns and candidates: all of them, and then all again."""
        for turn in range(self.turns):
            for candidate in candidates:
                if candidate.name not in self.failed:
                    self.say(f"{measure}, turn {turn + 1} of {self.turns}: {candidate.name}")
                    yield turn, candidate

    @contextlib.contextmanager
    def counting_failure(self, measure: str, cell: str, candidate: Candidate, turn: int) -> Iterator[None]:
        """Count what does not work as an error of this cell, and go on."""
        try:
            yield
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as problem:
            self.say(f"  FAILED {cell}: {str(problem)[-600:]}")
            self.keep(measure, cell, candidate, turn, errors=1)

    def prepare(self) -> None:
        """Start the candidates, warm them, and write what the limit serves."""
        for candidate in self.chosen:
            if candidate is LIMIT:
                continue
            try:
                if candidate.command:
                    candidate.start()
                for project, number in {**PAGES, **{name: files for files, name in GROWTH.items()}, "large": 1}.items():
                    found = len(files_of(candidate, project))
                    if found != number:
                        raise RuntimeError(f"its page of {project} has {found} files instead of {number}")
            except (OSError, RuntimeError, subprocess.SubprocessError) as problem:
                self.failed[candidate.name] = str(problem).strip()
                self.say(f"{candidate.name} does not run: {problem}")
            else:
                self.say(f"{candidate.name} runs")
        for project in {*PAGES, *GROWTH.values(), "p1"}:
            (HERE / "limit" / project).mkdir(parents=True, exist_ok=True)
            for suffix, encoding in {"": "identity", ".gz": "gzip"}.items():
                page = HERE / "limit" / project / f"index.html{suffix}"
                page.write_bytes(fetch(OURS.page(project), encoding)[0])
        shutil.copy(next((HERE / "upstream" / "files").glob("large-*.whl")), HERE / "limit" / "large.whl")

    @property
    def spoken_plainly(self) -> list[Candidate]:
        """Those that a measure compares which has nothing to do with TLS."""
        return [one for one in self.chosen if one is not TLS]

    def pages(self, page: str, name: str) -> None:
        """Measure the page of a project."""
        for turn, candidate in self.each(f"page, {page}, {name}", self.chosen):
            for number in CONNECTIONS:
                self.load("pages", f"{page}, {name}, {number}", candidate, turn, page, ENCODINGS[name], number)

    def growth(self) -> None:
        """Measure how the cost of a page grows with its files. The pages of two numbers are measured anyway."""
        for files, project in GROWTH.items():
            if project not in PAGES:
                for turn, candidate in self.each(f"page of {files} files", self.spoken_plainly):
                    self.load("growth", str(files), candidate, turn, project, "gzip", 8)

    def chain(self) -> None:
        """Measure how the cost of a page grows with chained bases: one inherits one that inherits one."""
        for depth in CHAIN:
            for turn, candidate in self.each(f"chain of {depth}", [one for one in self.spoken_plainly if one.is_devpi]):
                self.load("chain", str(depth), candidate, turn, "small", "gzip", 8, index=f"root/chain{depth}")

    def load(
        self, measure: str, cell: str, candidate: Candidate, turn: int, project: str, encoding: str, connections: int,
        index: str = WARM,
    ) -> None:  # fmt: skip
        """Measure requests for a page. One that is slow gets time for an answer to each of its connections."""
        many = connections == 64 or project == GROWTH[5000]
        # Of ours, a page is fresh for 2 seconds: each turn shall have its share of new ones.
        longer = 3 if many and candidate.slow else 2 if many or (candidate.is_devpi and not candidate.slow) else 1
        seconds = max(1, round(self.seconds * longer))
        with self.counting_failure(measure, cell, candidate, turn):
            url = candidate.page(project, index)
            size = len(fetch(url, encoding)[0])
            load = ask(url, encoding, connections, seconds, candidate.units)
            values = {name: value for name, value in asdict(load).items() if name != "said"}
            self.keep(measure, cell, candidate, turn, size=size, **values)

    def large(self) -> None:
        """Measure the wheel of 200 MB, once all have fetched it and had time to write it down."""
        urls = {}
        for candidate in self.chosen:
            if candidate.name not in self.failed:
                with self.counting_failure("large", "1", candidate, 0):
                    if candidate is LIMIT:
                        url = "http://bench.test:8081/+limit/large.whl"
                    else:
                        [url] = files_of(candidate, "large").values()
                    download(url, 1, LARGE)
                    urls[candidate.name] = url
        for clients in (1, 8):
            for turn, candidate in self.each(
                f"wheel of 200 MB, {clients} downloads", [one for one in self.chosen if one.name in urls]
            ):
                with self.counting_failure("large", str(clients), candidate, turn):
                    values = download(urls[candidate.name], clients, LARGE, candidate.units, REPEATED[clients])
                    self.keep("large", str(clients), candidate, turn, **values)

    def herd(self) -> None:
        """Measure 64 clients that ask for one file that nobody asked for before."""
        for turn, candidate in self.each("herd", [one for one in self.spoken_plainly if one is not LIMIT]):
            with self.counting_failure("herd", "cold", candidate, turn):
                files = files_of(candidate, "herd", self.cold(candidate))
                url = next(url for name, url in files.items() if f"-1.{turn}-" in name)
                asked = herd_requests()
                values = download(url, HERD, 10_000_000, candidate.units)
                time.sleep(0.5)
                self.keep("herd", "cold", candidate, turn, asked=herd_requests() - asked, **values)

    def installs(self) -> None:
        """Measure pip and uv with 50 projects: cold, right after that once more, and then warm."""
        direct = [DIRECT] if len(self.chosen) > 1 else []
        cached = [one for one in self.spoken_plainly if one is not LIMIT]
        for client, install in {"uv": uv_install, "pip": pip_download}.items():
            for turn, candidate in self.each(f"50 projects with {client}", cached + direct):
                with self.counting_failure("install", f"{client}, cold", candidate, turn):
                    index = WARM
                    if candidate.holds == "cache":
                        index = self.cold(candidate)
                        self.install("cold", client, install, candidate, turn, index)
                        self.install("second", client, install, candidate, turn, index)
                    for _time in range(WARM_INSTALLS):
                        if candidate is OURS:
                            time.sleep(AGED)
                        self.install("warm", client, install, candidate, turn, index)
            for turn, candidate in self.each(f"50 projects with {client} after devpi_prefetch", [OURS]):
                index = PREFETCHED % (turn + 1 + (50 if client == "pip" else 0))
                with self.counting_failure("install", f"{client}, prefetched", candidate, turn):
                    self.install("prefetched", client, install, candidate, turn, index)

    def install(
        self, state: str, client: str, install: Callable[[str], None], candidate: Candidate, turn: int, index: str
    ) -> None:
        """Measure an install."""
        before, begin = cpu_seconds(candidate.units), time.monotonic()
        install(candidate.simple.format(index=index))
        seconds = time.monotonic() - begin
        cpu = cpu_seconds(candidate.units) - before
        self.keep("install", f"{client}, {state}", candidate, turn, seconds=seconds, cpu=cpu, errors=0)

    def cold(self, candidate: Candidate) -> str:
        """Make it cold. Returns the index to ask."""
        if candidate.is_devpi:
            self.cold_indexes += 1
            return COLD % self.cold_indexes
        if candidate.command:
            candidate.start()
        return WARM

    def memory(self) -> None:
        """Measure what each holds in memory after all that, in MB."""
        for candidate in self.chosen:
            if candidate.name not in self.failed:
                used = sum(map(memory_of, candidate.units)) / 1e6
                self.keep("memory", "after", candidate, 0, megabytes=used)


def files_of(candidate: Candidate, project: str, index: str = WARM) -> dict[str, str]:
    """Return the URLs of a project's files by their names, from the page that it has, JSON or HTML."""
    page = candidate.page(project, index)
    body, kind = fetch(page)
    if "json" in kind:
        return {file["filename"]: urljoin(page, file["url"]) for file in json.loads(body)["files"]}
    links = re.findall(r'<a [^>]*href="([^"#]+)[^>]*>\s*([^<\s]+)\s*</a>', body.decode())
    return {name: urljoin(page, unescape(url)) for url, name in links if name.endswith(".whl")}


def herd_requests() -> int:
    """Return how often the upstream was asked for a wheel of the herd."""
    return len(re.findall(r"^GET /files/herd-\S+\.whl$", (HERE / "upstream.log").read_text(), re.MULTILINE))


def download(url: str, clients: int, size: int, units: tuple[str, ...] = (), repeated: int = 1) -> dict[str, float]:
    """Let clients download a file at the same time, each so often. Returns what it took; a file in part is an error."""
    downloads = clients * repeated
    before, begin = cpu_seconds(units), time.monotonic()
    said = subprocess.run(
        [
            *("curl", "--silent", "--max-time", "120", "--parallel", "--parallel-immediate"),
            *("--parallel-max", str(clients), "--write-out", "%{http_code} %{size_download} %{time_total}\n"),
            *[word for _download in range(downloads) for word in ("--output", os.devnull, url)],
        ],
        capture_output=True,
        text=True,
        check=False,  # Its exit status is that of the last file; each is looked at below.
    ).stdout
    seconds = time.monotonic() - begin
    cpu = cpu_seconds(units) - before
    answers = [line.split() for line in said.splitlines()]
    whole = [float(took) for status, got, took in answers if status == "200" and int(got) >= size]
    if not whole:
        raise RuntimeError(f"no download of {url} was whole: {said}")
    return {
        "seconds": seconds,
        "errors": downloads - len(whole),
        "per_second": len(whole) * size / 1e6 / seconds,
        "cpu": cpu,
        "cpu_per_gb": cpu / (len(whole) * size / 1e9),
        "median": statistics.median(whole),
    }


def uv_install(simple: str) -> None:
    """Install 50 projects with uv. Raises RuntimeError."""
    with tempfile.TemporaryDirectory(dir=HERE) as target:
        run_client(
            *(str(CLIENTS / "uv"), "pip", "install", "--quiet", "--no-config", "--no-cache", "--target", target),
            *("--python", "/usr/bin/python3", "--default-index", simple, *INSTALLED),
        )
        found = len(list(Path(target).glob("*.dist-info")))
    if found != len(INSTALLED):
        raise RuntimeError(f"uv installed {found} projects of {len(INSTALLED)} from {simple}")


def pip_download(simple: str) -> None:
    """Download 50 projects with pip. Raises RuntimeError."""
    with tempfile.TemporaryDirectory(dir=HERE) as target:
        run_client(
            *(str(CLIENTS / "pip"), "--disable-pip-version-check", "download", "--quiet", "--no-cache-dir"),
            *("--dest", target, "--index-url", simple, "--trusted-host", "bench.test", *INSTALLED),
        )
        found = len(list(Path(target).glob("*.whl")))
    if found != len(INSTALLED):
        raise RuntimeError(f"pip downloaded {found} projects of {len(INSTALLED)} from {simple}")


def run_client(*command: str) -> None:
    """Run pip or uv. Raises RuntimeError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name}: {(done.stderr or done.stdout)[-400:]}")


def work() -> tuple[float, float]:
    """Return what the machine has worked since its boot, and what this host of it, in seconds of a core."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, waiting = ticks[3:5]
    usage = re.findall(r"^usage_usec (\d+)", Path("/sys/fs/cgroup/cpu.stat").read_text(), re.MULTILINE)
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK"), int(usage[0]) / 1e6


def memory_of(unit: str) -> int:
    """Return what the processes of a unit hold in memory, in bytes, shared pages by their share (PSS)."""
    used = 0
    for pid in Path(f"/sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs").read_text().split():
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        used += int(found[1]) * 1024 if found else 0
    return used


def about(chosen: list[Candidate]) -> dict[str, Any]:
    """Return what the figures belong to: machine and versions."""

    def line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return (done.stdout or done.stderr).strip().splitlines()[0]

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text())
    versions = {
        "devpi-server": line("/opt/devpi/current/bin/devpi-server", "--version"),
        "nginx": line("/usr/sbin/nginx", "-v").rpartition("/")[2],
        "Python": platform.python_version(),
        "pip": line(str(CLIENTS / "pip"), "--version").split()[1],
        "uv": line(str(CLIENTS / "uv"), "--version").split()[1],
        "wrk": line("dpkg-query", "--show", "--showformat=${Version}", "wrk"),
    }
    for candidate in chosen:
        if candidate.package:
            lock = (HERE / "candidates" / f"{candidate.package}.txt").read_text()
            versions[candidate.package] = re.findall(rf"^{candidate.package}(?:\[\w+\])?==(\S+)", lock, re.MULTILINE)[0]
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[1]) / 1e6) if memory else 0,
        "system": f"{line('cat', '/etc/issue.net')}, Linux {platform.release()}",
        "versions": versions,
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


MEASURES: dict[str, Callable[[Bench], None]] = {
    "installs": Bench.installs,
    "big-gzip": lambda bench: bench.pages("big", "gzip"),
    "big-plain": lambda bench: bench.pages("big", "plain"),
    "small-gzip": lambda bench: bench.pages("small", "gzip"),
    "small-plain": lambda bench: bench.pages("small", "plain"),
    "large": Bench.large,
    "herd": Bench.herd,
    "growth": Bench.growth,
    "chain": Bench.chain,
    "memory": Bench.memory,
}


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--turns", type=int, default=2, choices=(1, 2, 3), help="each needs cold indexes of its own")
    parser.add_argument("--seconds", type=float, default=1, help="of a turn; some take two or three times as long")
    parser.add_argument("--only", nargs="+", default=[one.name for one in CANDIDATES], help="names of candidates")
    parser.add_argument("--more", action="store_true", help="add to RESULTS what an earlier call measured there")
    parser.add_argument("--measures", nargs="+", default=list(MEASURES), choices=MEASURES)
    options = parser.parse_args()
    bench = Bench(options.turns, options.seconds, [one for one in CANDIDATES if one.name in options.only])
    found = about(bench.chosen) | {"turns": options.turns, "seconds": options.seconds}
    machine, host = work()
    if options.more:
        earlier = json.loads(options.results.read_text())
        found |= {key: earlier["about"][key] for key in ("date", "other_work", "minutes", "calls", "failed")}
        bench.results, bench.failed = earlier["results"], found["failed"]
        bench.cold_indexes = earlier["about"]["cold_indexes"]
    else:
        bench.prepare()
    for measure in options.measures:
        MEASURES[measure](bench)
    machine, host = (now - before for now, before in zip(work(), (machine, host), strict=True))
    other_work = (machine - host) / (time.monotonic() - bench.begin) / (os.cpu_count() or 1)
    found |= {
        "other_work": max(other_work, found.get("other_work", 0.0)),
        "minutes": found.get("minutes", 0) + (time.monotonic() - bench.begin) / 60,
        "calls": found.get("calls", 0) + 1,
        "cold_indexes": bench.cold_indexes,
        "candidates": [{"name": one.name, "note": one.note, "holds": one.holds} for one in bench.chosen],
        "failed": bench.failed,
    }
    options.results.write_text(json.dumps({"about": found, "results": bench.results}, indent=1))
    bench.say("All measured")


if __name__ == "__main__":
    main()
