#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage one index of devpi-server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_index
short_description: Manage an index of devpi-server
version_added: "0.1.0"
description:
  - Creates, changes and deletes one index of devpi-server.
  - Settings that are not named stay as they are, those that plugins add included.
  - The words of devpi 6 and of devpi 7 are understood, whichever version the server has.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.settings.index
options:
  name:
    description: The index with its user, such as V(alice/dev).
    type: str
    required: true
  state:
    description: Whether the index shall exist.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Whether O(state=absent) also deletes an index that holds uploads, or that O(volatile=false) protects.
    type: bool
    default: false
seealso:
  - module: wheelhouse.devpi.devpi_layout
    description: All users and indexes in one pass.
"""

EXAMPLES = r"""
- name: Fetch from a mirror that is near
  wheelhouse.devpi.devpi_index:
    name: root/pypi
    preset: aliyun
    login_password_file: /etc/devpi/root-password

- name: A mirror of the PyTorch wheels for CUDA 12.8
  wheelhouse.devpi.devpi_index:
    name: root/cu128
    preset: torch-cu128
    login_password_file: /etc/devpi/root-password

- name: A mirror of one's own
  wheelhouse.devpi.devpi_index:
    name: root/ours
    type: mirror
    mirror_url: https://packages.example.com/simple/
    login_password_file: /etc/devpi/root-password

- name: An index of the team, with all that root/pypi has
  wheelhouse.devpi.devpi_index:
    name: alice/dev
    type: stage
    bases: [root/pypi]
    acl_upload: [alice, bob]
    login_password_file: /etc/devpi/root-password

- name: Allow some versions only (with devpi-constrained)
  wheelhouse.devpi.devpi_index:
    name: alice/stable
    type: constrained
    bases: [alice/dev]
    settings:
      constraints: ["pip>=24", "*"]
    login_password_file: /etc/devpi/root-password

- name: Delete an index with all uploads in it
  wheelhouse.devpi.devpi_index:
    name: alice/old
    state: absent
    force: true
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
stale_projects:
  description:
    - Projects in the cache of a switched mirror that may have kept links to the old upstream, as C(user/index/project).
    - None, unless something fails on the way, or C(url) is not on loopback; see O(mirror_url).
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
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import DevpiModule, index_config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import (
    RefusedError,
    Wanted,
    WantedIndex,
    index_types,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import (
    base_problems,
    index_name_problems,
    index_problems,
)


def wanted(params: Config, actual: Mapping[str, Config]) -> Wanted:
    """Make the wanted state of one index. Raises RefusedError where the options are wrong."""
    name: str = params["name"]
    problems = index_name_problems(name, "name")
    if params["state"] == "absent":
        if problems:
            raise RefusedError(problems)
        return Wanted(absent_indexes=[name], force=params["force"])
    config, existing = index_config(params), index_types(actual)
    problems += index_problems(config, "", name, existing)
    problems += base_problems({name: ("", params["bases"])}, existing)
    if problems:
        raise RefusedError(problems)
    return Wanted(indexes=[WantedIndex(name, config)])


def main() -> None:
    """Run the module."""
    DevpiModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "force": {"type": "bool", "default": False},
            **INDEX_OPTIONS,
        }
    ).reach(wanted)


if __name__ == "__main__":
    main()
