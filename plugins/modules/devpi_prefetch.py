#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let an index fetch the files of a lock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_prefetch
short_description: Let mirrors of devpi-server fetch the files of a lock before anybody asks
version_added: "0.1.0"
description:
  - Takes a C(requirements.txt), a C(pylock.toml) or a C(uv.lock) and makes an index fetch the files that it names from
    its upstream, several at a time. A build that installs them then finds them all in the cache of devpi-server.
  - What is in the cache is not fetched again.
  - Everything in the lock is compared with what the index offers before the first file is fetched. A file that the
    index does not have, or has with another SHA-256, is named, and nothing is fetched.
  - A file that cannot be fetched ends the run; the next one fetches the rest.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
  - wheelhouse.devpi.attributes.watched
attributes:
  check_mode:
    details:
      - The client of the collection refuses to fetch a file. As for every client, devpi-server asks its upstream for
        the page of a project where its own is too old, and the serial then rises where the page is new.
options:
  index:
    description:
      - The index with its user, such as V(root/pypi). A mirror, or an index with mirrors among its bases; files that
        were uploaded count as fetched.
    type: str
    required: true
  path:
    description:
      - The lock, on the managed host. Which of the three it is, is told by its content.
      - In a C(requirements.txt), every requirement must name one version (C(name==1.0)), itself or by a constraints
        file (C(-c)). With C(--hash), the files with these hashes are fetched, otherwise all wheels and source
        distributions of the version that the index offers. Files that it includes (C(-r)) count; indexes that it names
        do not. It is read as pip reads it, also in UTF-16 with a byte order mark, which PowerShell writes.
      - What no index can have is left out, such as URLs, Git repositories and folders. RV(left_out) names it.
    type: path
    required: true
  environments:
    description:
      - Environment markers, as C(environments) of uv has them. Only files for a platform and a Python for which one
        of them is true are fetched; whether a wheel is such a file is told by its name. Source distributions are for
        all.
      - Without it, the environments that the lock names count, which are C(supported-markers) of a C(uv.lock) (written
        by C(environments) of C(tool.uv)) and C(environments) of a C(pylock.toml). Where it names none, all its files
        are fetched, for all platforms.
    type: list
    elements: str
  _lock:
    description:
      - What the action of this name read from the lock, on the controller. Leave it out.
    type: dict
  jobs:
    description:
      - How many files are fetched side by side.
    type: int
    default: 8
seealso:
  - module: wheelhouse.devpi.devpi_index
  - module: wheelhouse.devpi.devpi_info
notes:
  - No password is needed, unless the index is private. It is used where one is given.
  - The bytes pass through the managed host, and are not kept there. It is best the host of devpi-server itself.
  - With C(-v), Ansible shows how far a long run is while it goes on. The module then runs in the background of the
    managed host, and goes on there when the connection is lost or the run is ended on the controller. Without C(-v),
    C(journalctl --follow) on the managed host tells of each file.
  - A file that somebody removed from the disk of devpi-server, past devpi, counts as fetched, unless what stands in
    front of it looks there.
"""

EXAMPLES = r"""
- name: Fetch what the next image build will install
  wheelhouse.devpi.devpi_prefetch:
    index: root/pypi
    path: /srv/build/requirements.txt

- name: Fetch the files of a uv.lock for one platform
  wheelhouse.devpi.devpi_prefetch:
    index: alice/dev
    path: /srv/build/uv.lock
    environments:
      - sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '3.13'
    jobs: 16
"""

RETURN = r"""
msg:
  description: How much was fetched, or would be in check mode.
  returned: success
  type: str
  sample: "root/pypi: 3 files fetched, 57 already there, 140 for other platforms."
changes:
  description:
    - What was fetched, or would be in check mode, with the index that holds it. Of a run that failed, what was
      fetched before.
  returned: always, except when the options, the lock or the connection are wrong
  type: list
  elements: str
  sample: ["fetch file root/pypi/example-1.0-py3-none-any.whl"]
pending:
  description: What was not fetched, beginning with what failed.
  returned: when a run fails after it began to fetch
  type: list
  elements: str
  sample: ["fetch file root/pypi/example-1.1-py3-none-any.whl"]
already_there:
  description: How many files were there already.
  returned: success
  type: int
  sample: 57
other_platforms:
  description: How many files of the lock are for other platforms.
  returned: success
  type: int
  sample: 140
left_out:
  description: What the lock names that no index can have, each with its place.
  returned: success
  type: list
  elements: str
  sample: ["/srv/build/requirements.txt, line 3: example @ git+https://git.example.org/example"]
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

from collections.abc import Sequence

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import DevpiModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._prefetch import Prefetch, Wanted
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import RefusedError, existing_index
from ansible_collections.wheelhouse.devpi.plugins.module_utils._steps import Step, carry_out
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import index_name_problems

OPTIONS: Config = {
    "index": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "environments": {"type": "list", "elements": "str"},
    "jobs": {"type": "int", "default": 8},
    # What the action plugin of this name read from the lock, on the controller, which has the library packaging.
    "_lock": {"type": "dict"},
}


def check(params: Config) -> None:
    """Check the options. Raises RefusedError with all that is wrong."""
    problems = index_name_problems(params["index"], "index")
    if params["jobs"] < 1:
        problems.append(f"jobs: {params['jobs']} is not allowed; write 1 or more.")
    if params["_lock"] is None:
        problems.append(
            "path: the lock was not read; run the module by its whole name, wheelhouse.devpi.devpi_prefetch."
        )
    if problems:
        raise RefusedError(problems)


def summary(index: str, steps: Sequence[Step], plan: Prefetch) -> str:
    """Return how much was fetched, in a sentence."""
    parts = [f"{len(steps)} {'file' if len(steps) == 1 else 'files'} fetched", f"{plan.already_there} already there"]
    if plan.other_platforms:
        parts.append(f"{plan.other_platforms} for other platforms")
    if plan.wanted.skipped:
        parts.append(f"{len(plan.wanted.skipped)} left out")
    return f"{index}: {', '.join(parts)}."


def main() -> None:
    """Run the module."""
    module = DevpiModule(OPTIONS)
    index = module.params["index"]
    with module.telling_failures():
        check(module.params)
        module.log_in_if_possible()
        existing_index(module.client, index, "index")
        plan = Prefetch(module.client, index, Wanted.of(module.params["_lock"]), module.params["jobs"])
        steps = plan.steps()
        if not module.check_mode:
            carry_out(steps, module.client, module.params["jobs"], module.log_progress)
    module.tell(
        steps,
        module.client.version,
        msg=summary(index, steps, plan),
        already_there=plan.already_there,
        other_platforms=plan.other_platforms,
        left_out=plan.wanted.skipped,
    )


if __name__ == "__main__":
    main()
