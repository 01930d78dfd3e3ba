# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The class that every module is built on: connection options, login, and the way from a plan to a result."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, NothingListensError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import INDEX_OPTIONS, Config, Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Findings, Probe
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import tell_progress
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import (
    NEW_SERVER,
    NEW_SERVER_VERSION,
    Change,
    Plan,
    RefusedError,
    StoppedError,
    Wanted,
    apply,
)

CONNECTION_OPTIONS: Config = {
    "url": {"type": "str", "default": "unix:///run/devpi/devpi.sock", "fallback": (env_fallback, ["DEVPI_URL"])},
    "login_user": {"type": "str", "default": "root", "fallback": (env_fallback, ["DEVPI_USER"])},
    "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["DEVPI_PASSWORD"])},
    "login_password_file": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
}

USER_SETTINGS: Config = {
    "email": {"type": "str"},
    "title": {"type": "str"},
    "description": {"type": "str"},
    "custom_data": {"type": "raw"},
    "password": {"type": "str", "no_log": True},
}
"""The options that describe a user."""

UPDATE_PASSWORD: Config = {
    "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False}
}


def index_config(params: Mapping[str, t.Any]) -> Config:
    """Pick what is named of an index from the options of a module."""
    return {key: params[key] for key in INDEX_OPTIONS if params.get(key) is not None}


def user_config(params: Mapping[str, t.Any]) -> Config:
    """Pick the settings of a user, without the password, from the options of a module."""
    return {key: params[key] for key in USER_SETTINGS if key != "password" and params.get(key) is not None}


class DevpiModule(AnsibleModule):
    """An Ansible module that talks to devpi-server.

    ``options`` are the module's own; the connection options come by themselves. ``rules`` are those that Ansible knows
    for options, such as ``required_if``.
    """

    def __init__(self, options: Config, **rules: t.Any) -> None:
        super().__init__(argument_spec={**CONNECTION_OPTIONS, **options}, supports_check_mode=True, **rules)
        self.no_log_values.update(_url_secrets(self.params))
        try:
            self.client = Client(
                self.params["url"],
                check_mode=self.check_mode,
                validate_certs=self.params["validate_certs"],
                ca_path=self.params["ca_path"],
                timeout=self.params["timeout"],
            )
        except ApiError as reason:
            self.fail_json(msg=str(reason))

    def log_in(self) -> None:
        """Log in. Raises ApiError, also where no password is given."""
        password = self._password()
        if password is None:
            raise ApiError("No password: write login_password_file or login_password, or set DEVPI_PASSWORD.")
        self.client.log_in(self.params["login_user"], password)

    def log_in_if_possible(self) -> None:
        """Log in where a password is given: what is private can then be read. Raises ApiError."""
        if self._password() is not None:
            self.log_in()

    def read(self) -> dict[str, Config]:
        """Log in where a password is given, and return the users with their indexes (GET /). Raises ApiError."""
        self.log_in_if_possible()
        return self.client.get("/")

    def reach(self, wanted: t.Callable[[Config, Mapping[str, Config]], Wanted]) -> None:
        """Bring the server to the wanted state and end the module.

        ``wanted`` makes the wanted state from the options and from what the server has; it raises RefusedError where
        the options are wrong.
        """
        with self.telling_failures():
            if self.is_assumed_new():
                actual, version = NEW_SERVER, NEW_SERVER_VERSION
            else:
                self.log_in()
                actual = self.client.get("/")
                version = self.client.version
            plan = Plan(wanted(self.params, actual), actual, Dialect(version), self.client, self._prober(version))
            changes = plan.changes()
            stale = [] if self.check_mode else apply(changes, self.client, plan.dialect)
        seen_of_mirrors: Config = {}
        if plan.wanted.indexes:
            probes = {index: found.as_result() for index, found in plan.findings.items()}
            seen_of_mirrors = {"probes": probes, "stale_projects": stale}
        self.tell(changes, version, **seen_of_mirrors)

    @contextmanager
    def telling_failures(self) -> t.Iterator[None]:
        """End the module with a sentence where something in the ``with`` block fails."""
        try:
            with self.client.kept_open():
                yield
        except (ApiError, RefusedError) as reason:
            self.fail_json(msg=str(reason), changed=False)
        except StoppedError as reason:
            self.fail_json(msg=str(reason), changed=bool(reason.done), changes=reason.done, pending=reason.pending)

    def tell(self, changes: Sequence[Change], version: str, **more: t.Any) -> None:
        """End the module with the changes that were made, or would be in check mode."""
        self.exit_json(
            changed=bool(changes),
            changes=[str(change) for change in changes],
            diff=[change.diff for change in changes],
            server_version=version,
            serial=self.client.serial,
            # Only what is written: of a large layout, the options that are not take longer to print than to compare.
            invocation={"module_args": _written(self.params)},
            **more,
        )

    def log_progress(self, text: str) -> None:
        """Tell of something that was done, in the journal and to who watches the run."""
        self.log(text)
        tell_progress(text)

    def _prober(self, version: str) -> t.Callable[[str, str | None], Findings]:
        return lambda url, project: Probe(url, version, self.params["timeout"], project).findings()

    def is_assumed_new(self) -> bool:
        """Tell whether to compare with a server that is yet to be installed."""
        if not (self.check_mode and self.params.get("assume_new_server")):
            return False
        try:
            self.client.get("/+api")
        except NothingListensError:
            return True
        return False

    def _password(self) -> str | None:
        """Return the password to log in with: the first line of the file, or the option."""
        path = self.params["login_password_file"]
        if path is None:
            return t.cast("str | None", self.params["login_password"])
        try:
            with Path(path).open(encoding="utf-8") as file:
                password = file.readline().rstrip("\r\n")
        except OSError as reason:
            raise ApiError(f"login_password_file: {path} cannot be read on this host ({reason.strerror}).") from reason
        if not password:
            raise ApiError(f"login_password_file: the first line of {path} is empty; write the password there.")
        self.no_log_values.add(password)
        return password


def _written(value: t.Any) -> t.Any:
    """Return options without those that were not written."""
    if isinstance(value, Mapping):
        return {
            name: _written(part)
            for name, part in value.items()
            # What an action plugin added was not written either.
            if part is not None and not str(name).startswith("_")
        }
    if isinstance(value, list):
        return [_written(part) for part in value]
    return value


def _url_secrets(value: t.Any, key: str = "") -> t.Iterator[str]:
    """Yield the passwords, or the users where they stand alone, in the URLs of mirrors anywhere in the options."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _url_secrets(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _url_secrets(part, key)
    elif key in ("mirror_url", "remote_url") and value:
        login, at, _host = str(value).split("//", 1)[-1].rpartition("@")
        if at:
            yield login.split(":", 1)[-1]
