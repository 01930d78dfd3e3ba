# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/benchmarks.md and its plot of what full.py measured.

    report.py RESULTS FOLDER

Each figure is the median of the turns. An error in any of them is told beside it.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OURS, LIMIT, DIRECT = "ours", "the limit", "the upstream itself"
#: Ours, what it is made of, and the others.
COLOURS = {OURS: "#1a7f5a", LIMIT: "#9aa0a6", DIRECT: "#9aa0a6"}
COLOURS |= {"vhost of devpi-gen-config": "#e0a030", "devpi alone": "#e0a030"}
OTHER = "#5b7db1"
#: What the page says of a run on a machine with more than so much other work, as a part of its processor time.
QUIET = 0.05
DISTURBED = """
**This run was disturbed** by the other work of the machine. The turns lay that on all alike, but single figures are off
by a third and more; small differences between candidates mean nothing.
"""
#: Two that are so close are level: turns of one candidate differ by as much.
LEVEL = 0.9
SHAPES, LOADS = ("big", "small"), (1, 8, 64)
Form = Callable[[float], str]
Columns = dict[str, tuple[str, str, Form]]
"""What a table shows: under each head a cell, what it tells, and how that is written."""


class Results:
    """What was measured, by measure, cell and candidate."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.about: dict[str, Any] = content["about"]
        self.rows: list[dict[str, Any]] = content["results"]
        self.candidates = [one["name"] for one in self.about["candidates"]]

    def values(self, measure: str, cell: str, candidate: str, key: str) -> list[float]:
        """Return what the turns gave."""
        wanted = (measure, cell, candidate)
        rows = [row for row in self.rows if (row["measure"], row["cell"], row["candidate"]) == wanted]
        return [row[key] for row in rows if key in row]

    def median(self, measure: str, cell: str, candidate: str, key: str) -> float | None:
        """Return the median of the turns, None where there is none."""
        values = self.values(measure, cell, candidate, key)
        return statistics.median(values) if values else None

    def errors(self, measure: str, cell: str, candidate: str) -> int:
        """Return how many requests failed in all turns."""
        return int(sum(self.values(measure, cell, candidate, "errors")))

    def text(self, measure: str, cell: str, candidate: str, key: str, form: Form) -> str:
        """Return a figure for a table, with its errors."""
        value, errors = self.median(measure, cell, candidate, key), self.errors(measure, cell, candidate)
        text = "" if value is None else form(value)
        if candidate == OURS and text:
            text = f"**{text}**"
        return f"{text} ({errors} failed)".strip() if errors else text or "-"

    def ratio(self, measure: str, cell: str, candidate: str, key: str) -> float | None:
        """Return the median of the ratios of ours to a candidate in the same turn."""
        ours, other = self.values(measure, cell, OURS, key), self.values(measure, cell, candidate, key)
        pairs = [one / another for one, another in zip(ours, other, strict=False) if another]
        return statistics.median(pairs) if pairs else None


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(value: float) -> str:
    """Return seconds as milliseconds."""
    return number(value * 1e3)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def per_candidate(results: Results, measure: str, columns: Columns, extra: tuple[str, ...] = ()) -> str:
    """Return a table with a row for each candidate that has a figure there."""
    rows = []
    for candidate in [*results.candidates, *extra]:
        row = [results.text(measure, cell, candidate, key, form) for cell, key, form in columns.values()]
        if set(row) != {"-"}:
            rows.append([candidate, *row])
    return table(["", *columns], rows)


def warm_ratios(results: Results, candidate: str) -> dict[str, float]:
    """Return how many times as fast as a candidate ours is, in each cell where both are warm."""
    loads = [f"{page}, {name}, {load}" for page in SHAPES for name in ("gzip", "plain") for load in LOADS]
    cells = [(f"page {cell}", "pages", cell, "per_second") for cell in loads]
    cells += [(f"wheel, {clients} at once", "large", clients, "per_second") for clients in ("1", "8")]
    cells += [(f"50 projects, {client}", "install", f"{client}, warm", "seconds") for client in ("uv", "pip")]
    found = {}
    for title, measure, cell, key in cells:
        ratio = results.ratio(measure, cell, candidate, key)
        if ratio:
            found[title] = ratio if key == "per_second" else 1 / ratio
    return found


def summary(results: Results) -> str:
    """Return how ours compares with each other candidate: in the middle, and where it is not ahead."""
    rows = []

    def named(times: dict[str, float]) -> str:
        return "; ".join(f"{cell} ({number(ratio)})" for cell, ratio in times.items()) or "-"

    for candidate in results.candidates:
        times = warm_ratios(results, candidate) if not candidate.startswith(OURS) else {}
        if times:
            behind = {cell: ratio for cell, ratio in times.items() if ratio < LEVEL}
            level = {cell: ratio for cell, ratio in times.items() if LEVEL <= ratio <= 1 / LEVEL}
            ahead = f"{len(times) - len(behind) - len(level)} of {len(times)}"
            middle = number(statistics.geometric_mean(times.values()))
            rows.append([candidate, middle, ahead, named(level), named(behind)])
    return table(["ours, times as fast as", "geometric mean", "cells ahead", "cells level", "cells behind"], rows)


def cold(results: Results) -> str:
    """Return how the cold path compares with the fastest cache."""
    caches = [one["name"] for one in results.about["candidates"] if one["holds"] == "cache"]
    times = {
        name: results.median("install", "uv, cold", name, "seconds") for name in caches if not name.startswith(OURS)
    }
    known = {name: value for name, value in times.items() if value}
    ours, after = (results.median("install", f"uv, {state}", OURS, "seconds") for state in ("cold", "prefetched"))
    if not known or not ours or not after:
        return "-"
    fastest = min(known, key=lambda name: known[name])
    return (
        f"Cold, 50 projects with uv: ours takes {number(ours / known[fastest])} times as long as the fastest cache "
        f"({fastest}),\nand {number(after / known[fastest])} times as long once `devpi_prefetch` has been there."
    )


def plot(results: Results, target: Path) -> None:
    """Draw the figures that matter most, as bars."""
    panels = [
        ("Page of 1,000 files, 8 connections\nrequests a second (log)", "pages", "big, gzip, 8", "per_second", True),
        ("Page of 10 files, 8 connections\nrequests a second (log)", "pages", "small, gzip, 8", "per_second", True),
        ("50 projects with uv, warm\nseconds, less is better", "install", "uv, warm", "seconds", False),
        ("50 projects with uv, cold\nseconds, less is better", "install", "uv, cold", "seconds", False),
        ("Wheel of 200 MB, 8 downloads\nMB a second", "large", "8", "per_second", False),
        ("64 clients, one cold file of 10 MB\nseconds, less is better", "herd", "cold", "seconds", False),
    ]  # fmt: skip
    plt.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans", "axes.titlesize": 10})
    figure, axes = plt.subplots(3, 2, figsize=(12, 12.6), dpi=130)
    for axis, (title, measure, cell, key, log) in zip(axes.flat, panels, strict=True):
        names = [name for name in [*results.candidates, DIRECT] if results.median(measure, cell, name, key) is not None]
        bars = [(name, results.median(measure, cell, name, key) or 0.0) for name in names]
        if cell == "uv, cold":
            after = results.median("install", "uv, prefetched", OURS, "seconds")
            bars += [("ours, after devpi_prefetch", after)] if after is not None else []
        if not bars:  # It was not measured.
            axis.set_axis_off()
            continue
        bars.sort(key=lambda bar: bar[1], reverse=key == "seconds")
        colours = [COLOURS[OURS] if name.startswith(OURS) else COLOURS.get(name, OTHER) for name, _value in bars]
        drawn = axis.barh([name for name, _value in bars], [value for _name, value in bars], color=colours, height=0.7)
        axis.bar_label(drawn, [number(value) for _name, value in bars], padding=4, fontsize=8.5)
        axis.set_title(title, loc="left", pad=8)
        if log:
            axis.set_xscale("log")
            axis.set_xlim(min(value for _name, value in bars) / 3, max(value for _name, value in bars) * 6)
        else:
            axis.set_xlim(0, max(value for _name, value in bars) * 1.16)
        axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
        axis.tick_params(left=False, bottom=False, labelbottom=False)
        axis.minorticks_off()
        for label, (name, _value) in zip(axis.get_yticklabels(), bars, strict=True):
            label.set_fontweight("bold" if name == OURS else "normal")
    figure.tight_layout(h_pad=2.5, w_pad=3)
    figure.savefig(target)


def tables(results: Results) -> dict[str, str]:
    """Return the tables of the page by their names."""
    for row in list(results.rows):
        if row.get("requests"):
            row["cpu_each"] = row["cpu"] / row["requests"] * 1e3
        for cell, files in {"small, gzip, 8": "10", "big, gzip, 8": "1000"}.items():
            if row["cell"] == cell and "TLS" not in row["candidate"]:
                results.rows.append({**row, "measure": "growth", "cell": files})

    def cells(shape: str, key: str, form: Form, names: tuple[str, ...], loads: tuple[int, ...] = LOADS) -> Columns:
        return {f"{shape}, {name}, {load}": (f"{shape}, {name}, {load}", key, form) for name in names for load in loads}

    big, small = (cells(shape, "per_second", number, ("gzip", "plain")) for shape in SHAPES)
    p99 = cells("big", "p99", milliseconds, ("gzip",)) | cells("small", "p99", milliseconds, ("gzip",))
    both = ("gzip", "plain")
    cost = cells("big", "cpu_each", number, both, (8,)) | cells("small", "cpu_each", number, both, (8,))
    large: Columns = {
        f"{title}, {clients} at once": (clients, key, number)
        for title, key in {"MB/s": "per_second", "CPU seconds a GB": "cpu_per_gb"}.items()
        for clients in ("1", "8")
    }
    installs: Columns = {
        f"{client}, {state}": (f"{client}, {state}", "seconds", number)
        for client in ("uv", "pip")
        for state in ("warm", "cold", "second", "prefetched")
    }
    herd: Columns = {
        "seconds until all have it": ("cold", "seconds", number),
        "seconds of the median client": ("cold", "median", number),
        "requests to the upstream": ("cold", "asked", number),
        "CPU seconds": ("cold", "cpu", number),
    }
    growth: Columns = {f"{files:,} files": (str(files), "per_second", number) for files in (10, 100, 1000, 5000)}
    chain: Columns = {f"{depth}": (str(depth), "per_second", number) for depth in range(1, 7)}
    return {
        "summary": summary(results),
        "cold": cold(results),
        "big": per_candidate(results, "pages", big),
        "small": per_candidate(results, "pages", small),
        "p99": per_candidate(results, "pages", p99),
        "cost": per_candidate(results, "pages", cost),
        "large": per_candidate(results, "large", large),
        "installs": per_candidate(results, "install", installs, (DIRECT,)),
        "herd": per_candidate(results, "herd", herd),
        "growth": per_candidate(results, "growth", growth),
        "chain": per_candidate(results, "chain", chain),
        "memory": per_candidate(results, "memory", {"MB": ("after", "megabytes", number)}),
    }


def page(results: Results, template: str) -> str:
    """Return the page."""
    about = results.about
    notes = [f"- **{one['name']}**: {one['note']}" for one in about["candidates"] if one["note"]]
    notes += [f"- **{name}** does not run here: {reason.splitlines()[0]}" for name, reason in about["failed"].items()]
    values = {
        **{name: about[name] for name in ("date", "cpu", "cores", "memory_gb", "system", "turns")},
        "versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        "seconds": f"{about['seconds']:g} to {about['seconds'] * 3:g}",
        "minutes": f"{about['minutes']:.0f} minutes"
        + (f", in {about['calls']} pieces one after the other, on one host" if about["calls"] > 1 else ""),
        "disturbed": DISTURBED if about["other_work"] > QUIET else "",
        "other_work": f"{about['other_work']:.1%}",
        "level": f"{1 - LEVEL:.0%}",
        "requests": f"{sum(int(row.get('requests', 0)) for row in results.rows):,}",
        "errors": f"{sum(int(row.get('errors', 0)) for row in results.rows):,}",
        "notes": "\n".join(notes),
    }
    return template.format(**values, **tables(results))


def main() -> None:
    """Write the page and the plot."""
    results, folder = Results(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    plot(results, folder / "benchmarks.png")
    (folder / "benchmarks.md").write_text(page(results, Path(__file__).with_name("benchmarks.md").read_text()))


if __name__ == "__main__":
    main()
