# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of users and indexes, written once for the modules of one thing and for the whole layout."""

from __future__ import annotations

from textwrap import indent

_TYPE = r"""
type:
  description:
    - What the index is. V(stage) (devpi 7 calls it V(local)) takes uploads, V(mirror) (devpi 7 calls it V(remote))
      fetches from another index. Either word works with either version.
    - V(constrained), V(findlinks) and V(merge) need the plugin that adds them.
    - An index that exists keeps its type, which devpi cannot change. A new index without it becomes a stage.
  type: str
  choices: [stage, local, mirror, remote, constrained, findlinks, merge]
"""

_INDEX = (
    _TYPE
    + r"""
title:
  description: A line that describes the index. Empty text removes it.
  type: str
description:
  description: A longer text that describes the index. Empty text removes it.
  type: str
custom_data:
  description: Any data; devpi keeps it and does nothing with it.
  type: raw
volatile:
  description:
    - Whether releases may be replaced and deleted, and the index itself deleted.
    - devpi makes it V(true) for a new index.
  type: bool
bases:
  description:
    - The indexes that this one inherits from, each as C(user/index). Their order counts.
    - For a stage.
  type: list
  elements: str
acl_upload:
  description:
    - Who may upload. Names of users and groups, V(:AUTHENTICATED:) or V(:ANONYMOUS:). Their order does not count.
    - devpi makes it the owner for a new index. For a stage.
  type: list
  elements: str
acl_toxresult_upload:
  description:
    - Who may upload the results of tox. devpi makes it V(:ANONYMOUS:) for a new index. For a stage.
  type: list
  elements: str
mirror_whitelist:
  description:
    - Projects that are taken from mirrors although they exist in a private index. V(*) stands for all of them.
    - V([]) reserves the names of private projects. Of a project that exists in this index or in one of its bases, no
      file of a mirror is offered, whatever version somebody publishes there. That is devpi's default too; written here,
      it stays so.
    - A name is reserved by its first release, or before that by its registration alone, which is a C(POST) of the form
      C(:action=submit), C(name) and C(version=0) to the URL of the private index.
    - devpi 7 keeps a rule at each such project instead, C(inheritance_rules), and counts the project among those of the
      index. The rules of other projects there are taken away. To see them takes one request for each project of the
      index, for which devpi 7 looks into the lists of its mirrors; O(project_inheritance_rules) takes none.
    - For a stage.
  type: list
  elements: str
project_inheritance_rules:
  description:
    - How devpi 7 says O(mirror_whitelist).
    - V(allow all) is V(['*']) there, and V(block type:remote if local_exists) is V([]), but says nothing about the
      rules that devpi 7 keeps at single projects.
  type: list
  elements: str
  choices: [allow all, "block type:remote if local_exists"]
mirror_whitelist_inheritance:
  description:
    - Whether the whitelists of this index and of its bases are intersected or united. For a stage.
  type: str
  choices: [intersection, union]
trust_inheritance_rules_from:
  description:
    - How devpi 7 says O(mirror_whitelist_inheritance).
    - V(none) is V(intersection) there, and V(type:not remote) is V(union).
  type: str
  choices: [none, "type:not remote"]
mirror_url:
  description:
    - The URL of the index that a mirror fetches from, such as C(https://mirrors.aliyun.com/pypi/simple/).
    - Where it changes to another place, the files in the cache stay, and links to the old mirror go. That takes a few
      requests to devpi-server for each project in the cache. On the way the URL has the mark C(#unfinished-switch) and
      works; a run that finds the mark, because another one was killed, finishes what that one began.
    - devpi 6 is told to ignore serials, unless O(mirror_ignore_serial_header) is written. Where the new mirror takes
      longer for its list than the C(--request-timeout) of devpi-server, names that only it has appear after
      O(mirror_cache_expiry).
    - Of a project that the new mirror does not have, the files in the cache stay and its other files go. For that, and
      for all projects with devpi 7, the mirror points at the module for a moment, on loopback. So C(url) is to be on
      the host of devpi-server. Elsewhere, devpi 7 is not switched where it has files in its cache, and with devpi 6
      RV(stale_projects) names the projects that the new mirror does not have, and those whose page did not come.
    - A switch with devpi 7 is refused before anything changes where there are files in the cache and the new mirror
      does not answer, has pages that devpi finds no files on, or gives no sizes or no SHA-256, as pages in HTML and in
      JSON 1.0 do. devpi 7.0.0b4 would answer 500 for such a file. Check mode does not see that.
    - A file that has no hash and another URL, devpi fetches again when it is asked for. The old one stays at its old
      URL.
    - A new mirror needs it. devpi-server dies at its next start of a mirror without it.
    - User and password in it are not shown in diffs or logs, but devpi itself shows them to everybody.
  type: str
remote_url:
  description: How devpi 7 says O(mirror_url).
  type: str
mirror_web_url_fmt:
  description:
    - The URL of a project's page on the mirror, with C({name}) for the project. Empty text removes it.
  type: str
remote_web_url_fmt:
  description: How devpi 7 says O(mirror_web_url_fmt).
  type: str
mirror_cache_expiry:
  description:
    - How many seconds devpi waits before it asks the mirror again whether a project changed.
    - V(0) is refused, because devpi then answers 404 for every project, for good.
  type: int
remote_refresh_delay:
  description: How devpi 7 says O(mirror_cache_expiry).
  type: int
mirror_no_project_list:
  description: Whether the mirror has no list of all its projects.
  type: bool
remote_no_project_list:
  description: How devpi 7 says O(mirror_no_project_list).
  type: bool
mirror_use_external_urls:
  description: Whether files are fetched from the mirror by the clients, and not by devpi.
  type: bool
remote_use_external_urls:
  description: How devpi 7 says O(mirror_use_external_urls).
  type: bool
mirror_ignore_serial_header:
  description:
    - Whether the serials of the mirror are ignored. Needed when O(mirror_url) changes to a mirror without serials.
    - devpi 7 needs no such setting when the URL changes, and it is refused there. Where the serials of one mirror go
      backwards, devpi 7 serves its last page until they are up again.
  type: bool
mirror_provides_core_metadata:
  description:
    - Whether the mirror has the core metadata of files beside them.
    - devpi 7 needs no such setting, and it is refused there.
  type: bool
preset:
  description:
    - A mirror by name, with the settings that it needs, so that O(mirror_url) and O(mirror_web_url_fmt) need not be
      written. A setting that is written too wins. A new index becomes a mirror by it.
    - V(aliyun) is C(https://mirrors.aliyun.com/pypi/simple/), V(huawei) is
      C(https://repo.huaweicloud.com/repository/pypi/simple/), V(nju) is C(https://mirror.nju.edu.cn/pypi/web/simple/),
      V(tencent) is C(https://mirrors.cloud.tencent.com/pypi/simple/), V(tsinghua) is
      C(https://pypi.tuna.tsinghua.edu.cn/simple/), V(ustc) is C(https://mirrors.ustc.edu.cn/pypi/simple/). They are
      copies of the public index, such as for V(root/pypi), and devpi 6 ignores their serials.
    - V(nvidia) is C(https://pypi.nvidia.com/), V(nvidia-ngc) is C(https://pypi.ngc.nvidia.com/).
    - V(torch-cpu), V(torch-xpu), V(torch-cu128), V(torch-rocm6.4) and so on are the PyTorch wheels for one accelerator.
      Make one index for each, because with two of them as bases pip takes whichever version is higher.
  type: str
probe:
  description:
    - Whether the upstream is looked at before a mirror is created or switched to it. That takes a few requests from the
      managed host, with the C(User-Agent) of devpi, also in check mode. An index that stays as it is is not probed.
    - What it finds sets O(mirror_no_project_list) and O(mirror_ignore_serial_header) where they are not written, and is
      returned. An upstream that devpi could not serve from makes the module fail before it writes anything, with a
      sentence that says what is wrong.
    - The CAs that the host trusts decide about the certificate, and the proxy variables of the task about the way.
      devpi-server has its own, C(REQUESTS_CA_BUNDLE) and the environment of its unit.
  type: bool
probe_project:
  description:
    - The project that O(probe) looks at, for an upstream that does not list its projects and has none of those that are
      tried otherwise, such as C(pip) and C(torch).
  type: str
settings:
  description:
    - Settings that plugins add, by name, such as C(uploadtrigger_jenkins) or C(constraints). They are passed on as
      they are.
  type: dict
"""
)

_USER = r"""
email:
  description: The address of the user. Empty text removes it.
  type: str
title:
  description: A line that describes the user. Empty text removes it.
  type: str
description:
  description: A longer text that describes the user. Empty text removes it.
  type: str
custom_data:
  description: Any data; devpi keeps it and does nothing with it.
  type: raw
password:
  description:
    - The password. A new user needs one, and it must not be empty.
    - It is tried by a login, and written only when that fails. Each login costs the server about 0.2 seconds.
  type: str
"""

_UPDATE_PASSWORD = r"""
update_password:
  description:
    - V(always) makes sure that the password of a user that exists works. V(on_create) leaves it alone.
  type: str
  choices: [always, on_create]
  default: always
"""


class ModuleDocFragment:
    """Options of an index, of a user, and of a layout that holds both.

    The annotations tell ansible-test's yamllint that these are not literal YAML.
    """

    INDEX: str = "options:\n" + indent(_INDEX, "  ")

    USER: str = "options:\n" + indent(_USER + _UPDATE_PASSWORD, "  ")

    LAYOUT: str = (
        "options:\n"
        + indent(_UPDATE_PASSWORD, "  ")
        + r"""
  users:
    description: The users, each with its indexes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the user. Letters, digits and C(-.@_).
          - V(root) may stand here for its indexes, such as V(pypi), but without O(users[].password), because the module
            logs in with it. Set that one with M(wheelhouse.devpi.devpi_user).
        type: str
        required: true
"""
        + indent(_USER, "      ")
        + r"""
      indexes:
        description:
          - The indexes of the user. Where it is left out, the indexes of this user are not touched.
        type: list
        elements: dict
        suboptions:
          name:
            description: The name of the index without its user, such as V(dev).
            type: str
            required: true
"""
        + indent(_INDEX.replace("O(", "O(users[].indexes[]."), "          ")
    )
