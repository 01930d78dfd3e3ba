# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module devpi_prefetch, and with -v show how far it is."""

from __future__ import annotations

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._watched_action import WatchedAction


class ActionModule(WatchedAction):
    """The action that carries the name of the module, which Ansible therefore runs in its place."""
