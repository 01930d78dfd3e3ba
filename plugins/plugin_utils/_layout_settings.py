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
    port = settings.get("devpi_port")
    settings.derive("devpi_layout_url", None if port is None else f"http://127.0.0.1:{port}")


def check(settings: Settings, _read: Callable[[str], str | None]) -> None:
    """Add what is wrong."""
    rules.url(settings, "devpi_layout_url")
    rules.numbers(settings, {"devpi_port": (1, 65535)})
    rules.path(
        settings,
        "devpi_layout_login_password_file",
        "the absolute path of a file of the host",
        "/etc/devpi/root-password",
    )
