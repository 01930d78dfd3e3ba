#!/usr/bin/python
# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a token of devpi-tokens in a file, and revoke tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
module: devpi_token
short_description: Keep an upload token in a file, and revoke tokens
version_added: "0.1.0"
description:
  - Makes a token of a user of devpi-server, limited to indexes, projects, permissions and a lifetime, and writes it to
    a file of the managed host that nobody but its owner can read. The file holds the token and nothing else.
  - A new token is made, and the old one revoked, where little lifetime is left, where the options changed, and where
    the server does not accept the one in the file, or the file is gone. The token itself is never printed.
  - Clients take the token as the password of the user, as in C(TWINE_USERNAME=ci) and C(TWINE_PASSWORD=the token), or
    C(UV_PUBLISH_USERNAME) and C(UV_PUBLISH_PASSWORD). The user C(__token__), and so C(UV_PUBLISH_TOKEN), is refused by
    devpi-tokens.
author:
  - The wheelhouse founders (@wheelhouse)
extends_documentation_fragment:
  - wheelhouse.devpi.connection
  - wheelhouse.devpi.attributes
attributes:
  diff_mode:
    details:
      - The token is not shown. Its id and what it is limited to are no secrets, and are.
  idempotent:
    details:
      - A change is reported where the serial of the server rises, or the file changes.
options:
  user:
    description:
      - The user of devpi-server whose token it is. The token can do what this user can, as far as it is not limited.
        It never can change users.
    type: str
    required: true
  path:
    description:
      - The file on the managed host that holds the token. Its folder must exist. Its mode is 0600.
      - Required with O(state=present). A file that holds something else than a token is left alone, with an error.
    type: path
  owner:
    description: The user of the managed host who owns the file. By default the one whom the module runs as.
    type: str
  group:
    description: The group of the file.
    type: str
  state:
    description:
      - V(present) keeps a token that works in the file.
      - V(absent) revokes the token of O(path) and removes the file, and revokes the tokens of O(ids).
    type: str
    choices: [present, absent]
    default: present
  indexes:
    description:
      - The indexes that the token is good for, each as V(user/index). When not set, all.
      - What is read through an index comes from its bases, file by file. Name them too where pip or uv shall read with
        the token.
    type: list
    elements: str
  projects:
    description: The projects that the token is good for. When not set, all.
    type: list
    elements: str
  permissions:
    description:
      - What the token can be used for, in devpi's words. When not set, for all that the user may do.
      - V(upload) uploads files and documentation and takes what is pushed, V(pkg_read) is what pushing needs of the
        index that it pushes from.
    type: list
    elements: str
    choices:
      - del_entry
      - del_project
      - del_verdata
      - index_create
      - index_delete
      - index_modify
      - pkg_read
      - toxresult_upload
      - upload
  lifetime:
    description:
      - How long a new token is good, a number and C(m), C(h), C(d) or C(w) for minutes, hours, days or weeks.
      - More than a year is for O(login_user)s who may change users, such as V(root).
    type: str
    default: 365d
  renew_before:
    description:
      - Make a new token when no more than this much lifetime is left. By default a third of O(lifetime).
      - Run the playbook more often than that.
    type: str
  name:
    description:
      - What the token is recognised by after its file was lost, so that it can be revoked. By default the name of the
        managed host and O(path), so that hosts do not revoke each other's tokens.
      - The server keeps no names. The token gets a C(not_before) before the year 2005 that is worked out from the name.
        Tokens that were made by other means have none, and are revoked by O(ids) only.
    type: str
  ids:
    description:
      - Tokens of O(user) to revoke with O(state=absent), by the ids that RV(tokens) tells. Those that are not there are
        left out.
    type: list
    elements: str
  assume_new_server:
    description:
      - Whether check mode goes on where nothing listens at O(url), or where the server has neither the plugin nor
        O(user) yet, as on a host where a run is yet to install and make them. It then tells of a first token.
      - Means nothing outside check mode.
    type: bool
    default: false
requirements:
  - The plugin devpi-tokens 1.0.0 or newer on the server, as by C(devpi_server_plugins=[tokens]) of the role
    devpi_server.
seealso:
  - module: wheelhouse.devpi.devpi_user
"""

EXAMPLES = r"""
- name: Let CI upload one project to the index of the team, for 90 days at a time
  wheelhouse.devpi.devpi_token:
    user: team
    path: /etc/ci/devpi-token
    owner: ci
    indexes: [team/dev]
    projects: [our-tool]
    permissions: [upload]
    lifetime: 90d
    renew_before: 30d
    login_password_file: /etc/devpi/root-password

- name: Upload with it
  ansible.builtin.shell: TWINE_PASSWORD=$(cat /etc/ci/devpi-token) twine upload dist/*
  environment:
    TWINE_REPOSITORY_URL: https://devpi.example.org/team/dev/
    TWINE_USERNAME: team

- name: Revoke it and remove the file
  wheelhouse.devpi.devpi_token:
    user: team
    path: /etc/ci/devpi-token
    state: absent
    login_password_file: /etc/devpi/root-password

- name: Look at all tokens of a user, and change nothing
  wheelhouse.devpi.devpi_token:
    user: team
    ids: []
    state: absent
    login_password_file: /etc/devpi/root-password
  register: team

- name: Revoke those that never expire
  wheelhouse.devpi.devpi_token:
    user: team
    ids: "{{ team.tokens | selectattr('expires', 'eq', 'never') | map(attribute='id') }}"
    state: absent
    login_password_file: /etc/devpi/root-password
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, in that order. Of a run that failed, what was done before.
  returned: always, except when the options or the connection are wrong
  type: list
  elements: str
  sample: ["update token of team in /etc/ci/devpi-token (expires)", "revoke token dT238XJv of team"]
id:
  description: The id of the token in the file. It is no secret.
  returned: success, with O(state=present), when there is one
  type: str
  sample: dT238XJv
expires:
  description: When the token in the file expires.
  returned: success, with O(state=present), when there is one
  type: str
  sample: "2027-02-19T13:21:11Z"
tokens:
  description:
    - All tokens of the user, with what limits them. A list that is null limits nothing.
    - What a client added to its own copy of a token is not known to the server.
  returned: success
  type: list
  elements: dict
  sample:
    - id: dT238XJv
      indexes: [team/dev]
      projects:
      permissions: [upload]
      not_before: "1993-04-11T01:30:09Z"
      expires: "2027-02-19T13:21:11Z"
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

import os
import socket
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._module import DevpiModule
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import (
    NEW_SERVER_VERSION,
    Change,
    RefusedError,
    StoppedError,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._tokens import (
    PERMISSIONS,
    Token,
    is_marked,
    read_token,
    shown,
    token_problems,
    wanted_token,
)

OPTIONS: Config = {
    "user": {"type": "str", "required": True},
    "path": {"type": "path"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "indexes": {"type": "list", "elements": "str"},
    "projects": {"type": "list", "elements": "str"},
    "permissions": {"type": "list", "elements": "str", "choices": list(PERMISSIONS)},
    "lifetime": {"type": "str", "default": "365d"},
    "renew_before": {"type": "str"},
    "name": {"type": "str"},
    "ids": {"type": "list", "elements": "str"},
    "assume_new_server": {"type": "bool", "default": False},
}
RULES: Config = {"required_if": [("state", "present", ["path"]), ("state", "absent", ["path", "ids"], True)]}
MODE = "0600"

Step = tuple[Change, t.Callable[[], None]]
"""A change, and what makes it."""


class TokenModule(DevpiModule):
    """Works out the steps from the file and the server's list of tokens, and takes them."""

    def __init__(self) -> None:
        super().__init__(OPTIONS, **RULES)
        self.user: str = self.params["user"]
        self.file = Path(self.params["path"]) if self.params["path"] else None
        self.params["name"] = self.params["name"] or f"{socket.gethostname()}:{self.file}"
        self.tokens: dict[str, list[str]] = {}
        """The restrictions of the user's tokens by their id, as the server has them."""
        self.secret = ""
        """What the file holds, when the module begins."""
        self.kept = ""
        """The id of the token in the file, once it is the right one."""

    def run(self) -> None:
        """Bring the file and the server to the wanted state and end the module."""
        with self.telling_failures():
            problems = token_problems(self.params)
            if problems:
                raise RefusedError(problems)
            held = self._held()
            self.tokens = self._listed()
            steps = self._present(held) if self.params["state"] == "present" else self._absent(held)
            if not self.check_mode:
                self._take(steps)
        limits = self.tokens.get(self.kept)
        self.tell(
            [change for change, _take in steps],
            self.client.version or NEW_SERVER_VERSION,
            tokens=[{"id": token_id, **shown(texts)} for token_id, texts in sorted(self.tokens.items())],
            **({"id": self.kept, "expires": shown(limits)["expires"]} if limits else {}),
        )

    def _held(self) -> Token | None:
        """Return the token in the file, None where there is none. Raises RefusedError for a file of something else."""
        try:
            self.secret = text = self.file.read_text(encoding="utf-8").strip() if self.file else ""
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            text = "(not text)"
        except OSError as reason:
            raise RefusedError([f"path: {self.file} cannot be read on this host ({reason.strerror})."]) from reason
        if not text:
            return None
        self.no_log_values.add(text)
        token = read_token(text)
        if token is None:
            raise RefusedError(
                [f"path: {self.file} holds something that is no token: write another path, or move the file away."]
            )
        if token.user != self.user:
            raise RefusedError(
                [
                    f"path: {self.file} holds a token of user {token.user!r}: write another path, or first revoke it "
                    f"with user: {token.user} and state: absent."
                ]
            )
        return token

    def _listed(self) -> dict[str, list[str]]:
        """Return the restrictions of the user's tokens by their id."""
        if self.is_assumed_new():
            return {}
        assumed = self.check_mode and self.params["assume_new_server"]
        self.log_in()
        if self.user not in self.client.get("/"):
            if assumed or self.params["state"] == "absent":
                return {}
            raise RefusedError([f"User {self.user!r} does not exist: create the user first."])
        listed = self.client.get_if_exists(f"{path_of(self.user)}/+tokens")
        if listed is None:
            if assumed:
                return {}
            raise RefusedError(
                [
                    f"{self.client.url} knows no tokens, because devpi-server runs there without the plugin "
                    "devpi-tokens: write devpi_server_plugins: [tokens] for the role devpi_server, and run it."
                ]
            )
        return {token_id: info.get("restrictions", []) for token_id, info in listed["tokens"].items()}

    def _present(self, held: Token | None) -> list[Step]:
        wanted = wanted_token(self.params)
        folder = t.cast(Path, self.file).parent
        if not self.check_mode and not folder.is_dir():
            raise RefusedError([f"path: the folder {folder} does not exist on this host: make it first."])
        now = int(time.time())
        works = (
            held is not None
            and held.token_id in self.tokens
            # Not so where the secret of the server was lost, or somebody changed the file.
            and self.client.accepts_token(self.user, self.secret)
        )
        steps: list[Step] = []
        if held is not None and works and wanted.is_met_by(held.restrictions, now):
            self.kept = held.token_id
            steps += self._attributes()
        else:
            after = {**shown(wanted.restrictions), "expires": f"{self.params['lifetime']} after it is made"}
            before = None
            if held is not None:
                before = {**shown(held.restrictions), "accepted": works}
                after["accepted"] = True
            name = f"of {self.user} in {self.file}"
            change = Change("create" if before is None else "update", "token", name, (), before, after)
            steps.append((change, lambda: self._make(wanted.request(now))))
        for token_id, limits in self.tokens.items():
            is_held = held is not None and token_id == held.token_id
            if token_id != self.kept and (is_held or is_marked(limits, wanted.name)):
                steps.append(self._revocation(token_id, "" if is_held else ", whose file was lost"))
        return steps

    def _absent(self, held: Token | None) -> list[Step]:
        wrong = [*(self.params["ids"] or ())]
        if self.file:
            wrong += [token_id for token_id, limits in self.tokens.items() if is_marked(limits, self.params["name"])]
            wrong += [held.token_id] if held else []
        steps = [self._revocation(token_id) for token_id in dict.fromkeys(wrong) if token_id in self.tokens]
        if self.file and os.path.lexists(self.file):
            change = Change("delete", "file", str(self.file), (), {"state": "file"}, None)
            steps.append((change, self._remove_file))
        return steps

    def _revocation(self, token_id: str, why: str = "") -> Step:
        change = Change("revoke", "token", f"{token_id} of {self.user}{why}", (), shown(self.tokens[token_id]), None)
        return change, lambda: self._revoke(token_id)

    def _attributes(self) -> list[Step]:
        """Return what has to be done about owner, group and mode of the file."""
        diff: dict[str, Config] = {}
        if not self.set_fs_attributes_if_different(self._file_arguments(), False, diff):
            return []
        change = Change("update", "file", str(self.file), (), diff.get("before", {}), diff.get("after", {}))
        # Outside check mode, it is done already.
        return [(change, lambda: None)]

    def _file_arguments(self, path: str | None = None) -> Config:
        arguments: Config = self.load_file_common_arguments({**self.params, "mode": MODE}, path or str(self.file))
        return arguments

    def _take(self, steps: list[Step]) -> None:
        """Take the steps. Raises StoppedError at the first that fails."""
        for number, (_change, take) in enumerate(steps):
            try:
                take()
            except (ApiError, OSError) as reason:
                if isinstance(reason, OSError):
                    reason = ApiError(f"path: {self.file} cannot be written on this host ({reason.strerror}).")
                changes = [change for change, _take in steps]
                stopped = StoppedError(reason, changes[:number], changes[number:])
                # Of the first step, nothing stays.
                raise stopped if number else ApiError(str(stopped)) from reason

    def _make(self, request: Config) -> None:
        """Make a token and write it. Where it cannot be written, nothing stays of it."""
        file = t.cast(Path, self.file)
        # With its owner and mode before there is a secret in it, and before the server is asked for one.
        handle, new_file = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        self.add_cleanup_file(new_file)
        self.set_fs_attributes_if_different(self._file_arguments(new_file), False)
        made: str = self.client.create(f"{path_of(self.user)}/+token-create", request)["token"]
        self.no_log_values.add(made)
        token = read_token(made)
        if token is None:
            raise ApiError(f"{self.client.url} made a token that is no macaroon of version 2.")
        self.tokens[token.token_id] = list(token.restrictions)
        try:
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(f"{made}\n")
                stream.flush()
                os.fsync(handle)
            os.replace(new_file, file)
        except OSError:
            self._revoke(token.token_id)
            raise
        self.kept = token.token_id

    def _revoke(self, token_id: str) -> None:
        self.client.write("DELETE", f"{path_of(self.user)}/+tokens/{token_id}")
        del self.tokens[token_id]

    def _remove_file(self) -> None:
        t.cast(Path, self.file).unlink()


def main() -> None:
    """Run the module."""
    TokenModule().run()


if __name__ == "__main__":
    main()
