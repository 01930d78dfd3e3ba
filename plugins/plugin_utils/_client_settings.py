# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_client have to be."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings


def derive(settings: Settings) -> None:
    """Fill in what follows from other settings where it was left empty."""


def check(settings: Settings, read: Callable[[str], str | None]) -> None:
    """Add what is wrong. ``read`` returns what is in a file of the controller, or None."""
