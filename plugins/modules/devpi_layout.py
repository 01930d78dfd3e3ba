#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage all users and indexes of devpi-server in one pass."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_layout
short_description: Manage all users and indexes of devpi-server in one pass
version_added: "0.1.0"
description:
  - Takes the whole tree of users and indexes, and writes what differs from the server.
  - One login and one request decide what to do. The order follows from the bases, whatever the order of the list is;
    an index comes after its bases, and is deleted before them.
  - A circle of bases, a base that nobody declares, and every other mistake is told before the first write.
  - A run that fails in the middle tells what was done and what was not. Run again, it goes on from there.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.settings.layout
options:
  purge:
    description:
      - Whether users and indexes that are not declared are deleted. With C(--check --diff) you see which.
      - V(root) is never deleted, nor are its indexes where V(root) is not declared. Indexes of a user who is declared
        without O(users[].indexes) stay too.
      - An index that holds uploads, or that C(volatile=false) protects, makes the module fail before it writes
        anything, unless O(purge_uploads=true).
    type: bool
    default: false
  purge_uploads:
    description: Whether O(purge) also deletes indexes with uploads, and those that C(volatile=false) protects.
    type: bool
    default: false
  assume_new_server:
    description:
      - Whether check mode, when nothing listens at O(url), compares with what C(devpi-init) leaves, that is V(root)
        and V(root/pypi). It tells what a first run will do on a host without devpi-server.
      - What it tells is in the words of devpi 6. Means nothing outside check mode.
    type: bool
    default: false
seealso:
  - module: wheelhouse.devpi.devpi_index
  - module: wheelhouse.devpi.devpi_user
"""

EXAMPLES = r"""
- name: A mirror that is near, PyTorch wheels, and an index of the team
  wheelhouse.devpi.devpi_layout:
    login_password_file: /etc/devpi/root-password
    users:
      - name: root
        indexes:
          - name: pypi
            preset: tsinghua
          - name: cu128
            preset: torch-cu128
      - name: alice
        email: alice@example.com
        password: "{{ vault_alice_password }}"
        indexes:
          - name: dev
            type: stage
            bases: [root/pypi]
            acl_upload: [alice]

- name: See what is on the server and not declared
  wheelhouse.devpi.devpi_layout:
    login_password_file: /etc/devpi/root-password
    users: "{{ devpi_layout_users }}"
    purge: true
  check_mode: true
  diff: true
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
stale_projects:
  description:
    - Projects in the cache of a switched mirror that may have kept links to the old upstream, as C(user/index/project).
    - None, unless something fails on the way, or C(url) is not on loopback; see O(users[].indexes[].mirror_url).
  returned: success, except when all indexes are to be absent
  type: list
  elements: str
  sample: [root/pypi/withdrawn]
probes:
  description: What was found at the upstream of each mirror that was probed, by the name of the index.
  returned: success, except when all indexes are to be absent
  type: dict
  contains:
    url:
      description: The upstream, without user and password.
      type: str
    lists_projects:
      description: Whether its root lists projects.
      type: bool
    project:
      description: The project whose page was looked at.
      type: str
    json:
      description: Whether pages are JSON that devpi reads as such.
      type: bool
    hashes:
      description: Whether all files have hashes.
      type: bool
    upload_times:
      description: Whether all files have upload times. devpi 6 does not pass them on.
      type: bool
    serials:
      description: The serials of two pages in a row, as V(none), V(steady), V(rising) or V(backwards).
      type: str
    file_hosts:
      description: The hosts of the files.
      type: list
      elements: str
    certificate_trusted:
      description: V(true) with C(https), null with C(http). An untrusted certificate makes the module fail.
      type: bool
"""

from collections.abc import Mapping

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import INDEX_OPTIONS, Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import (
    UPDATE_PASSWORD,
    USER_SETTINGS,
    DevpiModule,
    index_config,
    user_config,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import (
    RefusedError,
    Wanted,
    WantedIndex,
    WantedUser,
    index_types,
    undeclared,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import layout_problems


def wanted(params: Config, actual: Mapping[str, Config]) -> Wanted:
    """Make the wanted state of the whole tree. Raises RefusedError where the options are wrong."""
    users = params["users"]
    problems = layout_problems(users, index_types(actual), "users")
    if problems:
        raise RefusedError(problems)
    declared = {
        user["name"]: None if user["indexes"] is None else [index["name"] for index in user["indexes"]]
        for user in users
    }
    absent_users, absent_indexes = undeclared(declared, actual) if params["purge"] else ([], [])
    return Wanted(
        users=[WantedUser(user["name"], user_config(user), user["password"]) for user in users],
        indexes=[
            WantedIndex(f"{user['name']}/{index['name']}", index_config(index))
            for user in users
            for index in user["indexes"] or []
        ],
        absent_users=absent_users,
        absent_indexes=absent_indexes,
        force=params["purge_uploads"],
        force_option="purge_uploads",
        always_set_password=params["update_password"] == "always",
    )


def main() -> None:
    """Run the module."""
    index = {"name": {"type": "str", "required": True}, **INDEX_OPTIONS}
    user = {
        "name": {"type": "str", "required": True},
        **USER_SETTINGS,
        "indexes": {"type": "list", "elements": "dict", "options": index},
    }
    DevpiModule(
        {
            "users": {"type": "list", "elements": "dict", "required": True, "options": user},
            **UPDATE_PASSWORD,
            "purge": {"type": "bool", "default": False},
            "purge_uploads": {"type": "bool", "default": False},
            "assume_new_server": {"type": "bool", "default": False},
        }
    ).reach(wanted)


if __name__ == "__main__":
    main()
