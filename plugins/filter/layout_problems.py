# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the mistakes in a layout on the controller, before anything on a host changes."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import layout_problems

DOCUMENTATION = r"""
name: layout_problems
short_description: Find the mistakes in a layout of users and indexes
version_added: "0.1.0"
description:
  - Returns what is wrong with a tree of users and indexes, in the shape that the module
    M(wheelhouse.devpi.devpi_layout) takes, as a list of sentences. The list is empty where nothing is wrong.
  - Each sentence names the variable, the value and what is allowed. Passwords are not shown.
  - It asks no server, and uses the same code as the module.
author:
  - The wheelhouse founders (@wheelhouse)
positional: existing_indexes
options:
  _input:
    description: The users with their indexes.
    type: list
    elements: dict
    required: true
  existing_indexes:
    description:
      - The indexes that exist without being declared, each as C(user/index), so that they may be bases. A dictionary
        gives their types too.
    type: raw
    default: []
  variable:
    description: The name of the variable that holds the users, for the sentences.
    type: str
    default: devpi_layout_users
"""

EXAMPLES = r"""
- name: The layout has no mistakes
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ devpi_layout_users | wheelhouse.devpi.layout_problems({'root/pypi': 'mirror'}) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each mistake.
  type: list
  elements: str
  sample:
    - "devpi_layout_users[1].indexes[0].bases: 'dev' is no index; write it with its user, such as root/pypi."
"""


def _layout_problems(
    users: t.Any, existing_indexes: t.Iterable[str] = (), variable: str = "devpi_layout_users"
) -> list[str]:
    types = dict(existing_indexes) if isinstance(existing_indexes, Mapping) else dict.fromkeys(existing_indexes)
    return layout_problems(users, types, variable)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        """Return them by name."""
        return {"layout_problems": _layout_problems}
