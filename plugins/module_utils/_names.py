# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of users, groups and indexes: one rule for the modules and for every role."""

from __future__ import annotations

import re
import typing as t

_NAME = r"[^\x00-\x20\x7f!\"#$%&'()*+,/:;<=>?\[\\\]^`{|}~]+"
"""What devpi allows as the name of a user or of an index (``name_char_blocklist_regexp`` in its model)."""

NAME_RULE = "write letters, digits and - . @ _ only"

_IS_NAME = re.compile(_NAME)
_IS_INDEX = re.compile(f"{_NAME}/{_NAME}")
_IS_READER = re.compile(rf"{_NAME}|:[^\x00-\x1f\x7f\"\\:]+")


def is_name(value: t.Any) -> bool:
    """Whether devpi takes a value as the name of a user, or of an index without its user."""
    return isinstance(value, str) and value not in (".", "..") and _IS_NAME.fullmatch(value) is not None


def is_index(value: t.Any) -> bool:
    """Whether a value is the full name of an index, as ``user/index``."""
    return isinstance(value, str) and _IS_INDEX.fullmatch(value) is not None and all(map(is_name, value.split("/")))


def is_reader(value: t.Any) -> bool:
    """Whether a value is the name of a user, or ``:GROUP``."""
    return isinstance(value, str) and _IS_READER.fullmatch(value) is not None
