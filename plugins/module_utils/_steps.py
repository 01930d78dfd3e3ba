# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that move files: several at a time, and each told when it is done."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import Change, StoppedError


@dataclass(frozen=True)
class Step(Change):
    """A change that is more than a request or two: ``send`` makes it."""

    send: t.Callable[[Client], None] = lambda _client: None


def carry_out(steps: Sequence[Step], client: Client, jobs: int, log: t.Callable[[str], None]) -> None:
    """Send the files, several at a time, and then the rest. Raises StoppedError at the first that fails.

    What is being sent then is sent to its end, and nothing else begins. ``log`` is told of each that is done.
    """
    done: dict[int, Step] = {}
    failed: tuple[ApiError, Step] | None = None
    stopped = Event()

    def is_sent(step: Step) -> bool:
        if stopped.is_set():
            return False
        try:
            step.send(client)
        except ApiError:
            stopped.set()
            raise
        except OSError as reason:
            # The file is not what it was when it was checked.
            stopped.set()
            raise ApiError(unreadable(reason)) from reason
        return True

    files = [step for step in steps if step.kind == "file"]
    for group in (files, *([step] for step in steps if step.kind != "file")):
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(is_sent, step): step for step in group}
            for future in as_completed(futures):
                step = futures[future]
                try:
                    sent = future.result()
                except ApiError as reason:
                    failed = failed or (reason, step)
                    continue
                if sent:
                    done[id(step)] = step
                    log(f"{len(done)} of {len(steps)}: {step}")
        if failed is not None:
            cause, first = failed
            pending = [step for step in steps if id(step) not in done and step is not first]
            raise StoppedError(cause, [step for step in steps if id(step) in done], [first, *pending])


def unreadable(reason: OSError) -> str:
    """Return the sentence for a file of this host that cannot be read."""
    return f"{reason.filename} cannot be read on this host ({reason.strerror})."
