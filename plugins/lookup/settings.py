# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a role: its variables, checked and normalised once, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: settings
short_description: Read the variables of a role of this collection, checked and normalised
version_added: "0.1.0"
description:
  - Returns the variables of a role as they were written, with the types that the specs of the role say, as one
    dictionary. C(devpi_server_threads) is C(threads) in there, and C(devpi_domain) is C(domain). The number that
    C(--extra-vars devpi_server_threads=8) gives as text is a number then.
  - What is not written, or null, has the default of the role, or is null where there is none. What has another type
    than its variable is not there at all.
  - The roles of this collection read their variables by it and in no other way.
author:
  - The wheelhouse founders (@wheelhouse)
options:
  _terms:
    description: The name of a role of this collection, such as V(devpi_server).
    type: list
    elements: str
    required: true
  problems:
    description:
      - Return what is wrong instead, as a list of sentences, each of which names a variable. Passwords, and logins in
        URLs, are not shown.
      - Files of the controller that the variables name are read then.
      - A variable that begins with the name of the role and is none of its own is wrong too, since Ansible would ignore
        what is misspelled.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: The variables are fine
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ lookup('wheelhouse.devpi.settings', 'devpi_server', problems=true) }}"

- name: Show how many requests are answered at the same time
  ansible.builtin.debug:
    msg: "{{ lookup('wheelhouse.devpi.settings', 'devpi_server').threads }}"
"""

RETURN = r"""
_raw:
  description: The settings of each role, or with O(problems) the sentences.
  type: list
  elements: raw
"""

import typing as t
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._checks import checked, settings_of
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import ROLES, options_of
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._unknown import unknown

_OMITTED = object()


class LookupModule(LookupBase):
    """The lookup ``settings``."""

    def run(self, terms: list[str], variables: Mapping[str, t.Any] | None = None, **kwargs: t.Any) -> list[t.Any]:
        """Return the settings of roles, or what is wrong with them."""
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        found: list[t.Any] = []
        for role in terms:
            written = {name: self._value(known, name) for name in options_of(role) if name in known}
            written = {name: value for name, value in written.items() if value is not _OMITTED}
            if self.get_option("problems"):
                problems = checked(role, written, partial(self._read, known, role)).problems
                found.append([*problems, *unknown(role, known)])
            else:
                found.append(settings_of(role, written).keyed())
        return found

    def _value(self, variables: Mapping[str, t.Any], name: str) -> t.Any:
        """Return what a variable is, or _OMITTED: a text of its own before Ansible 2.19, and an error since then."""
        try:
            value = self._templar.template(variables[name])
        except AnsibleError as error:
            if type(error).__name__ == "AnsibleValueOmittedError":
                return _OMITTED
            raise
        return _OMITTED if isinstance(value, str) and value == variables.get("omit") else _decrypted(value)

    def _read(self, variables: Mapping[str, t.Any], role: str, name: str) -> str | None:
        """Return what is in a file of the controller, or None without one.

        It is looked for as ``lookup('file')`` does in the role, also where the role does not run.
        """
        found = self.find_file_in_search_path(variables, "files", name, ignore_missing=True)
        try:
            return (Path(found) if found else ROLES / role / "files" / name).read_text(
                encoding="utf-8", errors="replace"
            )
        except (OSError, ValueError):
            return None


def _decrypted(value: t.Any) -> t.Any:
    """Return a value in which what ansible-vault encrypted is text. Since 2.19, Ansible does so itself."""
    if getattr(value, "__ENCRYPTED__", False):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _decrypted(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_decrypted(part) for part in value]
    return value
