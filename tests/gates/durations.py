"""How long the parts of the suite took last time: by that they begin, and by that one that grew is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from parts import CHECKOUT, Part

#: Of the last run here, and of a run on a quiet machine with two cores.
LAST = CHECKOUT / ".cache" / "test" / "durations.json"
COMMITTED = Path(__file__).with_name("durations.json")
#: Seconds that a part is taken for of which nothing is known.
UNKNOWN = 300.0
#: What a part may take longer than last time before it is told, as a factor and in seconds.
GROWTH, NOISE = 1.5, 10.0


def known() -> dict[str, float]:
    """Return the seconds of each part, the last ones before the committed ones."""
    seconds: dict[str, float] = {}
    for path in (COMMITTED, LAST):
        if path.exists():
            seconds |= json.loads(path.read_text())
    return seconds


def keep(taken: Mapping[str, float]) -> None:
    """Keep what parts took for the next run."""
    LAST.parent.mkdir(parents=True, exist_ok=True)
    seconds = {name: round(value) for name, value in (known() | dict(taken)).items()}
    LAST.write_text(json.dumps(seconds, indent=2, sort_keys=True) + "\n")


def longest_first(parts: Sequence[Part], seconds: Mapping[str, float]) -> list[Part]:
    """Return the parts in the order in which they begin, so that no lane waits at the end for a long one."""
    return sorted(parts, key=lambda part: -seconds.get(part.name, UNKNOWN))


def grown(before: Mapping[str, float], taken: Mapping[str, float]) -> list[str]:
    """Return a sentence for each part that took half as long again as before.

    >>> grown({"a": 100, "b": 100, "c": 2}, {"a": 151, "b": 149, "c": 9, "d": 500})
    ['a took 151 s, and 100 s the last time']
    """
    return [
        f"{name} took {seconds:.0f} s, and {before[name]:.0f} s the last time"
        for name, seconds in taken.items()
        if name in before and seconds > max(before[name] * GROWTH, before[name] + NOISE)
    ]
