# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of each role, normalised, completed and checked."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import (
    _backup_settings,
    _client_settings,
    _layout_settings,
    _nginx_settings,
    _server_settings,
)
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings, normalised

_ROLES: dict[str, t.Any] = {
    "devpi_backup": _backup_settings,
    "devpi_client": _client_settings,
    "devpi_layout": _layout_settings,
    "devpi_nginx": _nginx_settings,
    "devpi_server": _server_settings,
}


def settings_of(role: str, written: Mapping[str, t.Any]) -> Settings:
    """Return the settings of a role, with what follows from others. Of problems, those of types alone."""
    settings = normalised(role, written)
    _ROLES[role].derive(settings)
    return settings


def checked(role: str, written: Mapping[str, t.Any], read: Callable[[str], str | None]) -> Settings:
    """Return the settings of a role with all that is wrong with them.

    ``read`` returns what is in a file of the controller that a variable names, or None where there is none.
    """
    settings = settings_of(role, written)
    _ROLES[role].check(settings, read)
    settings.problems = [masked(problem) for problem in settings.problems]
    return settings
