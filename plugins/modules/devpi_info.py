#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what devpi-server has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_info
short_description: Tell the version, users and indexes of devpi-server
version_added: "0.1.0"
description:
  - Tells the version, the features, the users and the indexes of devpi-server.
  - A login is needed only where a plugin such as devpi-lockdown hides them, or the nginx of the role
    P(wheelhouse.devpi.devpi_nginx#role), which leaves them open on the host itself alone.
  - Secrets are left out. In URLs of mirrors, user and password are replaced by asterisks.
options:
  compare_with:
    description:
      - Mirrors by their full name, such as V(root/pypi). They are asked for the name of each project that another index
        has itself, and RV(shared_names) tells which they have as well. Whoever publishes under such a name where a
        mirror gets its files attacks those who install it without the protection of devpi (C(mirror_whitelist)), or
        from both indexes at once (C(--extra-index-url)).
      - That is one request for each project and mirror, which devpi may pass on to the upstream.
    type: list
    elements: str
    default: []
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes.info
"""

EXAMPLES = r"""
- name: Look at devpi-server
  wheelhouse.devpi.devpi_info:
  register: devpi

- name: The mirror is set
  ansible.builtin.assert:
    that: devpi.indexes['root/pypi'].mirror_url is match('https://mirrors.aliyun.com/')

- name: Look for names of ours that somebody else has in public
  wheelhouse.devpi.devpi_info:
    compare_with: [root/pypi]
  register: devpi
  failed_when: devpi is failed or devpi.shared_names | length > 0
"""

RETURN = r"""
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
features:
  description: What the server and its plugins can do, by their own names.
  returned: success
  type: list
  elements: str
  sample: [server-keyvalue-parsing]
users:
  description: The users by name, each with what devpi shows of them to everybody, without their indexes.
  returned: success
  type: dict
  sample: {"alice": {"email": "alice@example.com", "created": "2026-11-21T10:09:24Z"}}
indexes:
  description: The indexes by their full name, with their settings in the words of the version of the server.
  returned: success
  type: dict
  sample: {"root/pypi": {"type": "mirror", "volatile": false, "mirror_url": "https://mirrors.aliyun.com/pypi/simple/"}}
shared_names:
  description: Projects that an index and a mirror have both, of the mirrors in O(compare_with).
  returned: success
  type: list
  elements: dict
  sample: [{"name": "our-tool", "index": "team/prod", "mirror": "root/pypi"}]
"""

import typing as t

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import MIRROR_TYPES, Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import DevpiModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import indexes_of


def shared_names(client: Client, indexes: t.Mapping[str, Config], mirrors: t.Sequence[str]) -> list[dict[str, str]]:
    """Return the projects that an index and one of the mirrors have both. Raises ApiError."""
    for mirror in mirrors:
        if indexes.get(mirror, {}).get("type") not in MIRROR_TYPES:
            raise ApiError(f"compare_with names {mirror!r}: it has to be a mirror of the server, such as root/pypi.")
    return [
        {"name": name, "index": index, "mirror": mirror}
        for index, config in sorted(indexes.items())
        if mirrors and config["type"] not in MIRROR_TYPES
        for name in sorted(client.get(path_of(index)).get("projects", []))
        for mirror in mirrors
        if client.page_if_exists(mirror, name) is not None
    ]


def main() -> None:
    """Run the module."""
    module = DevpiModule({"compare_with": {"type": "list", "elements": "str", "default": []}})
    try:
        actual = module.read()
        features = module.client.get("/+api").get("features", [])
        shared = shared_names(module.client, indexes_of(actual), module.params["compare_with"])
    except ApiError as reason:
        module.fail_json(msg=str(reason))
    module.exit_json(
        changed=False,
        server_version=module.client.version,
        serial=module.client.serial,
        features=features,
        users={
            name: {key: value for key, value in user.items() if key not in ("indexes", "username")}
            for name, user in actual.items()
        },
        indexes=masked(indexes_of(actual)),
        shared_names=shared,
    )


if __name__ == "__main__":
    main()
