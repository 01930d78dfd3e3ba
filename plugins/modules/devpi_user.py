#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage one user of devpi-server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_user
short_description: Manage a user of devpi-server
version_added: "0.1.0"
description:
  - Creates, changes and deletes one user of devpi-server.
  - A password is tried by a login, and written only when the login fails.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.settings.user
options:
  name:
    description: The name of the user. Letters, digits and C(-.@_).
    type: str
    required: true
  state:
    description: Whether the user shall exist. V(root) cannot be deleted.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Whether O(state=absent) also deletes a user who has indexes, with them and all uploads in them.
    type: bool
    default: false
seealso:
  - module: wheelhouse.devpi.devpi_layout
    description: All users and indexes in one pass.
"""

EXAMPLES = r"""
- name: A user whose password always works
  wheelhouse.devpi.devpi_user:
    name: alice
    email: alice@example.com
    password: "{{ vault_alice_password }}"
    login_password_file: /etc/devpi/root-password

- name: A user who may change the password afterwards
  wheelhouse.devpi.devpi_user:
    name: bob
    title: Builds the wheels
    password: "{{ vault_bob_first_password }}"
    update_password: on_create
    login_password_file: /etc/devpi/root-password

- name: Delete a user who has no indexes
  wheelhouse.devpi.devpi_user:
    name: carol
    state: absent
    login_password_file: /etc/devpi/root-password
"""
RETURN = r"""
changes:
  description: What was changed, or would be in check mode, in that order. Of a run that failed, what was done before.
  returned: always, except when the options or the connection are wrong
  type: list
  elements: str
  sample: ["update index root/pypi (mirror_url, mirror_web_url_fmt)"]
server_version:
  description: The version of devpi-server.
  returned: success
  type: str
  sample: 6.20.3
serial:
  description: The number of the last change on the server. It rises with each change.
  returned: success
  type: int
  sample: 42
"""

from collections.abc import Mapping

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import (
    UPDATE_PASSWORD,
    USER_SETTINGS,
    DevpiModule,
    user_config,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import RefusedError, Wanted, WantedUser
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import user_problems


def wanted(params: Config, actual: Mapping[str, Config]) -> Wanted:
    """Make the wanted state of one user. Raises RefusedError where the options are wrong."""
    name: str = params["name"]
    config, password = user_config(params), params["password"]
    problems = user_problems({"name": name, "password": password, **config}, "")
    if params["state"] == "absent" and name == "root":
        problems.append("name: root cannot be deleted; devpi-server needs this user.")
    if problems:
        raise RefusedError(problems)
    if params["state"] == "absent":
        indexes = actual.get(name, {}).get("indexes", {}) if params["force"] else {}
        return Wanted(
            absent_users=[name], absent_indexes=[f"{name}/{index}" for index in sorted(indexes)], force=params["force"]
        )
    always = params["update_password"] == "always"
    return Wanted(users=[WantedUser(name, config, password)], always_set_password=always)


def main() -> None:
    """Run the module."""
    DevpiModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force": {"type": "bool", "default": False},
            **USER_SETTINGS,
            **UPDATE_PASSWORD,
        }
    ).reach(wanted)


if __name__ == "__main__":
    main()
