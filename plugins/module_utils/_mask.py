# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take logins out of URLs, before a value is shown to anybody."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping

MASK = "********"

_LOGIN = re.compile(r"(?<=//)\S*@|^(?![A-Za-z][A-Za-z0-9+.-]*://)[^\s/]+:\S*@(?=\S)")
"""User and password, with a scheme, a wrong one, or none. Up to the last ``@``, which may stand in either of them."""


def masked(value: t.Any) -> t.Any:
    """Return the value with user and password taken out of every URL in it."""
    if isinstance(value, str):
        return _LOGIN.sub(f"{MASK}@", value)
    if isinstance(value, Mapping):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(part) for part in value]
    return value
