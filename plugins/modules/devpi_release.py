#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload, document, promote and remove releases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_release
short_description: Upload, document, promote and remove releases on devpi-server
version_added: "0.1.0"
description:
  - Uploads wheels and source distributions, or a folder of them, to an index. What is there already, by SHA-256, is not
    sent again, and files are sent side by side.
  - Attaches documentation to a release, copies a release from one index to another on the server, and removes a
    release or a whole project.
  - Every file is read to its end and compared with its metadata before the first one is sent. Files that are on the
    index already are not read again, apart from their SHA-256.
  - A file that cannot be stored ends the run. The index is then as it was before that file, and the next run sends the
    rest.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.attributes.watched
options:
  index:
    description:
      - The index with its user, such as V(alice/dev). It must take uploads, so it is no mirror.
      - With O(state=promoted), the index that has the release.
    type: str
    required: true
  state:
    description:
      - V(present) uploads O(files) and O(documentation).
      - V(promoted) copies the release O(version) of O(project) from O(index) to O(target), with its documentation, on
        the server. Its files do not pass through another host.
      - V(absent) removes the release O(version) of O(project), without O(version) the whole project.
    type: str
    choices: [present, promoted, absent]
    default: present
  files:
    description:
      - Files and folders on the managed host. Of a folder, all files that end in C(.whl), C(.tar.gz) and C(.zip) count,
        without those of its subfolders; C(.doc.zip), which devpi calls documentation, does not.
      - A file of the same name with other content is replaced on a volatile index. On another one it makes the module
        fail before it sends anything.
    type: list
    elements: path
    default: []
  documentation:
    description:
      - A zip, or a folder that Sphinx made, on the managed host, with C(index.html) at its top. It becomes the
        documentation of the release O(version) of O(project), and devpi-web shows it.
      - The release must be on the index already, or among O(files).
      - A zip that holds the same files as the one on the server is not sent, whatever made it.
    type: path
  project:
    description: The name of the project, in any spelling.
    type: str
  version:
    description:
      - The version. Write it in quotes, because YAML takes V(1.10) for the number V(1.1).
    type: raw
  target:
    description: With O(state=promoted), the index that gets the release.
    type: str
  force:
    description:
      - With O(state=absent), whether to remove from an index that is not volatile, too.
      - With O(state=promoted), whether to replace files of the release that have other content on O(target). That
        needs a volatile O(target).
    type: bool
    default: false
  jobs:
    description:
      - How many files are read, and sent, side by side. That helps where the way to the server is long; the server
        itself stores one file after the other.
    type: int
    default: 4
seealso:
  - module: wheelhouse.devpi.devpi_index
notes:
  - The user needs to be in the C(acl_upload) of the index, V(root) too.
  - With C(-v), Ansible shows how far a long run is while it goes on. The module then runs in the background of the
    managed host, and goes on there when the connection is lost or the run is ended on the controller; run again, the
    task sends what is missing then. Without C(-v), C(journalctl --follow) on the managed host tells of each file.
  - A file may take a second for each 10 MB beyond O(timeout).
  - devpi 7.0.0b4 tells only the first 64 bits of the SHA-256 of a file, so those are compared there.
"""

EXAMPLES = r"""
- name: Upload all wheels of a folder
  wheelhouse.devpi.devpi_release:
    index: alice/dev
    files: [/wheelhouse]
    login_user: alice
    login_password_file: /etc/devpi/alice-password

- name: Upload a release with its documentation
  wheelhouse.devpi.devpi_release:
    index: alice/dev
    files:
      - /srv/build/dist
    project: example
    version: "1.0"
    documentation: /srv/build/docs/_build/html
    login_user: alice
    login_password_file: /etc/devpi/alice-password

- name: Promote it
  wheelhouse.devpi.devpi_release:
    index: alice/dev
    state: promoted
    project: example
    version: "1.0"
    target: alice/prod
    login_user: alice
    login_password_file: /etc/devpi/alice-password

- name: Remove a release that must not be used, from an index that is not volatile
  wheelhouse.devpi.devpi_release:
    index: alice/prod
    state: absent
    project: example
    version: "0.9"
    force: true
    login_password_file: /etc/devpi/root-password

- name: Remove a project with all its releases
  wheelhouse.devpi.devpi_release:
    index: alice/dev
    state: absent
    project: old-example
    login_password_file: /etc/devpi/root-password
"""
RETURN = r"""
msg:
  description: How much was done, or would be in check mode.
  returned: success
  type: str
  sample: "alice/dev: 3 files uploaded, 997 already there."
changes:
  description:
    - What was changed, or would be in check mode. Of a run that failed, what was done before.
  returned: always, except when the options or the connection are wrong
  type: list
  elements: str
  sample: ["upload file alice/dev/example-1.0-py3-none-any.whl", "upload documentation alice/dev/example/1.0"]
pending:
  description: What was not done, beginning with what failed.
  returned: when a run fails after it began to send
  type: list
  elements: str
  sample: ["upload file alice/dev/example-1.1-py3-none-any.whl"]
already_there:
  description: How many of O(files) were on the index already.
  returned: success, with O(files)
  type: int
  sample: 997
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

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._distribution import normalised_name
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import DevpiModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._release import (
    Index,
    Uploads,
    promotion,
    read_index,
    removal,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import RefusedError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._steps import Step, carry_out
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import index_name_problems

OPTIONS: Config = {
    "index": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "promoted", "absent"], "default": "present"},
    "files": {"type": "list", "elements": "path", "default": []},
    "documentation": {"type": "path"},
    "project": {"type": "str"},
    "version": {"type": "raw"},
    "target": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "jobs": {"type": "int", "default": 4},
}

NEEDED = {"present": (), "promoted": ("project", "version", "target"), "absent": ("project",)}
UNUSED = {"present": ("target", "force"), "promoted": ("files", "documentation"), "absent": ("files", "documentation")}
"""What a state needs, and what has no meaning in it."""


def problems(params: Config) -> list[str]:
    """Return what is wrong with the options."""
    state, version = params["state"], params["version"]
    found = index_name_problems(params["index"], "index")
    if params["target"] is not None:
        found += index_name_problems(params["target"], "target")
    if params["target"] == params["index"]:
        found.append(f"target: {params['target']!r} is the index itself; name another one.")
    if isinstance(version, float):
        found.append(f'version: {version} is a number, which may be another one than was written; write "{version}".')
    elif version is not None and not isinstance(version, (str, int)):
        found.append("version: write one version, in quotes.")
    if params["jobs"] < 1:
        found.append(f"jobs: {params['jobs']} is not allowed; write 1 or more.")
    needed = list(NEEDED[state])
    if state == "present":
        if params["documentation"] is not None:
            needed += ["project", "version"]
        elif not params["files"]:
            found.append("files: there is nothing to upload; write files, documentation, or both.")
        elif params["project"] is not None or version is not None:
            found.append("project, version: they say whose documentation it is; write documentation, or take them out.")
    found += [f"{option}: state {state} needs it; write one." for option in needed if not params[option]]
    found += [f"{option}: it means nothing with state {state}; take it out." for option in _unused(params)]
    return found


def _unused(params: Config) -> list[str]:
    unused = [*UNUSED[params["state"]], *(["target"] if params["state"] == "absent" else [])]
    return [option for option in unused if params[option]]


def summary(steps: Sequence[Step], index: str, already_there: int | None) -> str:
    """Return how much was done, in a sentence."""
    counted = Counter((step.action, step.kind) for step in steps)
    parts = [
        f"{number} {kind if number == 1 or kind == 'documentation' else f'{kind}s'} {_PAST[action]}"
        for (action, kind), number in counted.items()
    ]
    if already_there is not None:
        parts.append(f"{already_there} already there")
    return f"{index}: {', '.join(parts) or 'nothing to do'}."


_PAST = {"upload": "uploaded", "replace": "replaced", "delete": "deleted", "promote": "promoted"}


def plan(module: DevpiModule, index: Index) -> tuple[list[Step], int | None]:
    """Return what is to be done, and how many files are there already. Raises ApiError and RefusedError."""
    params = module.params
    project, version = normalised_name(params["project"] or ""), str(params["version"])
    if params["state"] == "absent":
        return removal(index, project, None if params["version"] is None else version, params["force"]), None
    already_there = None
    if params["state"] == "promoted":
        changed = read_index(module.client, params["target"], "target")
        steps = promotion(index, changed, project, version, params["force"])
    else:
        changed = index
        documentation = None if params["documentation"] is None else Path(params["documentation"])
        workspace = Path(module.tmpdir)
        uploads = Uploads(index, params["files"], documentation, project, version, params["jobs"], workspace)
        steps = uploads.steps()
        already_there = uploads.already_there if params["files"] else None
    refusal = changed.refusal_of_uploads(params["login_user"]) if steps else None
    if refusal is not None:
        raise RefusedError([refusal])
    return steps, already_there


def main() -> None:
    """Run the module."""
    module = DevpiModule(OPTIONS)
    with module.telling_failures():
        wrong = problems(module.params)
        if wrong:
            raise RefusedError(wrong)
        module.log_in()
        index = read_index(module.client, module.params["index"], "index")
        steps, already_there = plan(module, index)
        if not module.check_mode:
            carry_out(steps, module.client, module.params["jobs"], module.log_progress)
    more = {} if already_there is None else {"already_there": already_there}
    module.tell(steps, module.client.version, msg=summary(steps, index.name, already_there), **more)


if __name__ == "__main__":
    main()
