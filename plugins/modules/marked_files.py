#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep files that carry a mark, as the users whom they belong to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: marked_files
short_description: Keep configuration files that carry a mark
version_added: "0.1.0"
description:
  - Writes files, and blocks in files that others write to as well, each with a mark in it, and removes those with the
    mark that are no longer wanted. What has no mark, and every other byte of a file with a block, stays as it is.
  - What belongs to a user is read and written with the rights of that user, so that no link in a home leads root
    anywhere. What belongs to root is only written where nobody else can have made a name on the way to it.
  - A file is read by the tool that it is for before it takes the place of the old one. When it is not understood, or
    anything else is wrong, no file has changed.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.attributes.files
options:
  mark:
    description: The text by which the files are found again. It begins the first line, or is around the block.
    type: str
    required: true
  files:
    description: The files that shall be there. All others with the mark are removed, as far as they are known.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path, or one that begins with C(~/), for the home of O(files[].user).
        type: str
        required: true
      user:
        description:
          - Whom the file belongs to, and with whose rights it is written.
          - When it is left out, whom the folder belongs to that the file lies in.
        type: str
      content:
        description: What is in the file, or in the block. It is shown in a diff, without the logins in URLs.
        type: str
      secret:
        description: In place of O(files[].content), what nobody else shall read.
        type: str
      mode:
        description: The permissions of the file, in octal digits. A file of others with a block keeps what it has.
        type: str
        default: "0644"
      block:
        description: Whether others write to the file as well, so that only a block of it is ours.
        type: bool
        default: false
      reader:
        description: The tool that has to understand the file.
        type: str
        choices: [pip, uv, pypirc, netrc, certificate, nobody]
        default: nobody
  places:
    description: Where files with the mark may be left from before, besides those in O(record).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: As in O(files[].path).
        type: str
        required: true
      user:
        description: As in O(files[].user).
        type: str
  record:
    description: A file of root, in which the module writes down where it wrote files. Without root, there is none.
    type: path
    required: true
  remove_others:
    description:
      - Whether files are removed that earlier runs wrote down in O(record) and that this one does not want. Otherwise
        only those in O(places) are.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: The user alice logs in with a token
  wheelhouse.devpi.marked_files:
    mark: Managed by us
    record: /var/lib/our-files.json
    files:
      - path: ~/.netrc
        user: alice
        secret: |
          machine devpi.example.org
          login alice
          password {{ vault_alice_token }}
        mode: "0600"
        block: true
        reader: netrc

- name: Nobody logs in any more
  wheelhouse.devpi.marked_files:
    mark: Managed by us
    record: /var/lib/our-files.json
"""

RETURN = r"""
written:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/home/alice/.netrc]
removed:
  description: The files that were removed, or whose block was, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/pip.conf]
backups:
  description: The files that keep what something else had written in the place of one of O(files).
  returned: success
  type: list
  elements: str
  sample: ["/etc/pip.conf.4711.2026-12-01@08:00:00~"]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._accounts import FileError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._marked_files import Place, Record, Wanted, apply, plan
from ansible_collections.wheelhouse.devpi.plugins.module_utils._readers import READERS

_PLACE: dict[str, t.Any] = {"path": {"type": "str", "required": True}, "user": {"type": "str"}}


def main() -> None:
    """Run the module."""
    file = {
        **_PLACE,
        "content": {"type": "str"},
        "secret": {"type": "str", "no_log": True},
        "mode": {"type": "str", "default": "0644"},
        "block": {"type": "bool", "default": False},
        "reader": {"type": "str", "choices": list(READERS), "default": "nobody"},
    }
    module = AnsibleModule(
        {
            "mark": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": file,
                "mutually_exclusive": [("content", "secret")],
                "required_one_of": [("content", "secret")],
            },
            "places": {"type": "list", "elements": "dict", "default": [], "options": _PLACE},
            "record": {"type": "path", "required": True},
            "remove_others": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        result = _keep(module.params, module.check_mode)
    except FileError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _keep(params: dict[str, t.Any], is_check: bool) -> dict[str, t.Any]:
    """Bring the files to what is wanted and return the result. Raises FileError."""
    wanted = [_wanted(entry) for entry in params["files"]]
    known = [Place(entry["path"], entry["user"]) for entry in params["places"]]
    record = Record(params["record"]) if os.geteuid() == 0 else None
    recorded = record.places if record else []
    steps = plan(wanted, known + recorded if params["remove_others"] else known, params["mark"])
    if not is_check:
        apply(steps)
        if record:
            others = [] if params["remove_others"] else [place for place in recorded if place not in known]
            record.keep([one.place for one in wanted] + others)
    return {
        "changed": bool(steps.changes),
        "written": steps.written,
        "removed": steps.removed,
        "backups": steps.backups,
        "diff": [change.diff for change in steps.changes],
    }


def _wanted(entry: dict[str, t.Any]) -> Wanted:
    is_secret = entry["secret"] is not None
    return Wanted(
        Place(entry["path"], entry["user"]),
        entry["secret"] if is_secret else entry["content"],
        int(entry["mode"], 8),
        entry["block"],
        is_secret,
        entry["reader"],
    )


if __name__ == "__main__":
    main()
