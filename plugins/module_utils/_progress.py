# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module tells what it does while it runs: Ansible shows nothing of a module before its end."""

from __future__ import annotations

import os
from pathlib import Path

PROGRESS_FILE = "WHEELHOUSE_PROGRESS_FILE"
"""The environment variable by which an action plugin names a file on the managed host, to show its last line."""


def tell_progress(text: str) -> None:
    """Add a line to the file that the action plugin reads, where there is one. A full disk stops no module."""
    path = os.environ.get(PROGRESS_FILE)
    if path is None:
        return
    try:
        with Path(path).expanduser().open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError:
        # What is told is for the eye; the work itself goes on.
        return
