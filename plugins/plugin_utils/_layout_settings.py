# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_layout have to be. What is in the users, the filter layout_problems looks at."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _rules as rules
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings


def derive(settings: Settings) -> None:
    """Fill in what follows from other settings where it was left empty."""
    path = settings.get("devpi_socket")
    settings.derive("devpi_layout_url", None if path is None else f"unix://{path}")


def check(settings: Settings, _read: Callable[[str], str | None]) -> None:
    """Add what is wrong."""
    rules.unix_socket(settings, "devpi_socket")
    if not str(settings.get("devpi_layout_url")).startswith("unix:///"):
        rules.url(settings, "devpi_layout_url")
    rules.path(
        settings,
        "devpi_layout_login_password_file",
        "the absolute path of a file of the host",
        "/etc/devpi/root-password",
    )
