# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both benches of the front share: requests in a closed loop, what they cost the server, and turns."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

#: What pip 25 asks with; uv asks for the same kind first.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
ENCODINGS = {"gzip": "gzip", "plain": "identity"}
#: What the units of wrk are in seconds.
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}

#: How long a turn of `take_turns` is.
TURN_SECONDS = 0.1


def fetch(url: str, encoding: str = "identity", accept: str = ACCEPT) -> tuple[bytes, str]:
    """Return the bytes of an answer as they came over the wire, and its Content-Type. Raises OSError."""
    request = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": encoding})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), answer.headers.get("Content-Type", "")


@dataclass(frozen=True)
class Load:
    """What a turn of requests gave. ``p99`` and ``cpu`` are in seconds, ``cpu`` of the units for all requests."""

    requests: int
    per_second: float
    p99: float
    errors: int
    cpu: float = 0.0
    said: str = ""


def cpu_seconds(units: Iterable[str]) -> float:
    """Return what the processes of these units of systemd have used, in seconds of a core (cgroup v2, cpu.stat)."""
    used = 0
    for unit in units:
        stat = Path(f"/sys/fs/cgroup/system.slice/{unit}.service/cpu.stat").read_text()
        used += int(stat.split()[1])  # The first line: usage_usec.
    return used / 1e6


def ask(url: str, encoding: str, connections: int, seconds: int, units: Iterable[str] = ()) -> Load:
    """Ask for a URL for some seconds, each connection again as soon as it has its answer."""
    before = cpu_seconds(units)
    load = _start(url, encoding, connections, seconds)
    said = _end(load, seconds + 90)
    return _read(url, said, cpu_seconds(units) - before)


def take_turns(urls: Iterable[str], encoding: str, connections: int, seconds: int) -> list[Load]:
    """Ask for URLs in very short turns, all of which take about these seconds.

    Each URL has a wrk of its own, which keeps its connections and is stopped while it is not its turn. So what else the
    machine has to do meets all of them alike. ``per_second`` counts the time of its own turns alone.
    """
    loads: dict[str, subprocess.Popen[str]] = {}
    used = dict.fromkeys(urls, 0.0)
    results = []
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < seconds - TURN_SECONDS * (len(used) + 1):
            for url in used:
                start = time.monotonic()
                if url in loads:
                    loads[url].send_signal(signal.SIGCONT)
                else:
                    loads[url] = _start(url, encoding, connections, seconds)
                time.sleep(TURN_SECONDS)
                loads[url].send_signal(signal.SIGSTOP)
                used[url] += time.monotonic() - start
        # The time of each is over. It notices that within a tenth of a second of a last turn, and asks until then.
        time.sleep(max(0, begin + seconds + TURN_SECONDS * len(used) - time.monotonic()))
        for url, load in loads.items():
            start = time.monotonic()
            load.send_signal(signal.SIGCONT)
            result = _read(url, _end(load, 90))
            used[url] += time.monotonic() - start
            results.append(replace(result, per_second=result.requests / used[url]))
        return results
    finally:
        for load in loads.values():
            load.kill()


def _start(url: str, encoding: str, connections: int, seconds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *("wrk", f"--threads={min(connections, 2)}", f"--connections={connections}", f"--duration={seconds}s"),
            *("--latency", "--timeout=30s", "--header", f"Accept: {ACCEPT}"),
            *("--header", f"Accept-Encoding: {encoding}", url),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def _end(load: subprocess.Popen[str], timeout: float) -> str:
    """Return what wrk said. Raises subprocess.SubprocessError where it fails or does not come to an end."""
    try:
        said, _errors = load.communicate(timeout=timeout)
    finally:
        load.kill()
    if load.returncode:
        raise subprocess.CalledProcessError(load.returncode, load.args, said)
    return said


def _read(url: str, said: str, cpu: float = 0.0) -> Load:
    """Return the figures that wrk printed."""
    speed = re.search(r"Requests/sec:\s+([\d.]+)", said)
    number = re.search(r"(\d+) requests in ", said)
    last = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", said)
    if speed is None or number is None or last is None:
        raise RuntimeError(f"wrk did not tell how fast {url} is:\n{said}")
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    return Load(int(number[1]), float(speed[1]), float(last[1]) * UNITS[last[2]], errors, cpu, said)
