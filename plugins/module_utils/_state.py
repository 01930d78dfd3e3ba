# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted against actual: one ordered list of changes.

Check mode, --diff and apply all read that list; nothing compares a second time. A single index or a single user is a
layout with one entry.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, Json, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import (
    EXEMPT_PROJECTS,
    FILLING_IN,
    MIRROR_TYPES,
    PROJECT_RULE,
    Config,
    Dialect,
    DialectError,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.module_utils._presets import preset_settings
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Findings, ProbeError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._switch import (
    is_on_its_way,
    leave_old_upstream,
    settled,
    survey,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import find_circle

SET_BY_DEVPI_INIT = "(set by devpi-init)"

NEW_SERVER: dict[str, Config] = {
    "root": {
        "indexes": {
            "pypi": {
                "type": "mirror",
                "volatile": False,
                "title": "PyPI",
                "mirror_url": SET_BY_DEVPI_INIT,
                "mirror_web_url_fmt": SET_BY_DEVPI_INIT,
            }
        }
    }
}
"""What devpi-init leaves (``set_default_indexes`` in devpi_server/main.py, 6.20.3)."""

ENOUGH = 20
"""How many changes a sentence lists. The result of the module has all of them."""

NEW_SERVER_VERSION = "6.20.3"
"""The version whose words describe NEW_SERVER."""


class RefusedError(Exception):
    """What is wanted cannot or must not be done. Holds one sentence for each reason; nothing was written."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))


class StoppedError(Exception):
    """A write failed after the plan was made. ``done`` and ``pending`` tell the changes before it and from it on."""

    def __init__(self, reason: ApiError, done: Sequence[Change], pending: Sequence[Change]) -> None:
        self.done = [str(change) for change in done]
        self.pending = [str(change) for change in pending]
        super().__init__(
            f"Could not {pending[0]}: {reason}\n"
            f"Done before that: {_listed(self.done) or 'nothing'}.\n"
            f"Not done: {_listed(self.pending)}.\n"
            "Run it again once the cause is gone: it goes on from here."
        )


def existing_index(client: Client, name: str, option: str) -> Config:
    """Ask for an index (``user/index``). Raises ApiError, and RefusedError where it does not exist."""
    # Without projects, of which a mirror can have half a million.
    config = client.get_if_exists(f"{path_of(name)}?no_projects=")
    if config is None:
        raise RefusedError(
            [f"{option}: there is no index {name!r} at {client.url}; create it with devpi_index, or correct the name."]
        )
    return config


@dataclass(frozen=True)
class WantedUser:
    """A user that shall exist. ``config`` holds the named settings, ``place`` the name of the variable it is from."""

    name: str
    config: Config
    password: str | None = None
    place: str = ""


@dataclass(frozen=True)
class WantedIndex:
    """An index that shall exist. ``name`` is user/index, ``config`` what is named of it, in either vocabulary."""

    name: str
    config: Config
    place: str = ""


@dataclass(frozen=True)
class Wanted:
    """What shall be on the server, and what shall not.

    ``force`` also deletes indexes that hold uploads or are protected by volatile false.
    ``always_set_password`` tries the passwords of users that exist, and writes those that do not work.
    """

    users: Sequence[WantedUser] = ()
    indexes: Sequence[WantedIndex] = ()
    absent_users: Sequence[str] = ()
    absent_indexes: Sequence[str] = ()
    force: bool = False
    force_option: str = "force"
    always_set_password: bool = True


@dataclass(frozen=True)
class Change:
    """One difference, and the requests that remove it.

    ``before`` and ``after`` are for people: without secrets, None where the thing does not exist. Each request has a
    method, a path, and a body. ``switched`` is the configuration of a mirror that gets another upstream.
    """

    action: str
    kind: str
    name: str
    requests: tuple[tuple[str, str, Json], ...]
    before: Config | None = None
    after: Config | None = None
    switched: Config | None = None

    def __str__(self) -> str:
        named = ", ".join(self.differing) if self.action == "update" else ""
        return f"{self.action} {self.kind} {self.name}" + (f" ({named})" if named else "")

    @property
    def differing(self) -> list[str]:
        """The names of the settings that differ."""
        before, after = self.before or {}, self.after or {}
        return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))

    @property
    def diff(self) -> dict[str, t.Any]:
        """The change as Ansible shows it with --diff."""
        header = f"{self.kind} {self.name}"
        return {
            "before_header": header,
            "after_header": header,
            "before": self.before if self.before is not None else "",
            "after": self.after if self.after is not None else "",
        }


class Server(t.Protocol):
    """What planning may ask beyond the tree of users and indexes."""

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether a login with this password works."""

    def get(self, path: str) -> Config:
        """Return the result of a GET."""


@dataclass
class Plan:
    """Works out the changes from what the server has (``actual``, the result of GET /) to what is wanted.

    Raises RefusedError with all reasons at once, before anything is written.
    """

    wanted: Wanted
    actual: Mapping[str, Config]
    dialect: Dialect
    server: Server
    probe: t.Callable[[str, str | None], Findings]
    findings: dict[str, Findings] = field(default_factory=dict)
    """What was found at the upstreams of new and switched mirrors, by index."""
    _refusals: list[str] = field(default_factory=list)

    def changes(self) -> list[Change]:
        """Return the changes in the order that the bases dictate: an index after its bases, deletion before them."""
        indexes = indexes_of(self.actual)
        users = [change for user in self.wanted.users for change in self._user(user)]
        translated = {index.name: self._translated(index) for index in self.wanted.indexes}
        updates = {index.name: self._index(index, translated[index.name], indexes) for index in self.wanted.indexes}
        gone = [name for name in self.wanted.absent_indexes if name in indexes]
        bases = {name: list(config.get("bases", ())) for name, config in indexes.items()}
        wanted_bases = {
            **bases,
            **{name: list(config["bases"]) for name, config in translated.items() if "bases" in config},
        }
        self._check_bases(wanted_bases, gone)
        deletions = [self._deleted_index(name, indexes[name]) for name in reversed(_bases_first(gone, bases))]
        departures = [change for name in self.wanted.absent_users for change in self._deleted_user(name, gone)]
        if self._refusals:
            raise RefusedError(self._refusals)
        ordered = _bases_first(list(updates), wanted_bases)
        return [*users, *(change for name in ordered for change in updates[name]), *deletions, *departures]

    def _translated(self, index: WantedIndex) -> Config:
        named = {key: value for key, value in index.config.items() if key not in FILLING_IN}
        preset = index.config.get("preset")
        try:
            filled_in = self.dialect.config(self.dialect.known(preset_settings(preset))) if preset else {}
            return {**filled_in, **self.dialect.config(named)}
        except DialectError as reason:
            self._refusals.append(f"{index.place}.{reason}" if index.place else str(reason))
            return {}

    def _user(self, user: WantedUser) -> list[Change]:
        config = {key: value for key, value in user.config.items() if value is not None}
        actual = self.actual.get(user.name)
        if actual is None:
            if user.password is None:
                self._refusals.append(f"User {user.name!r} does not exist yet: a new user needs a password; write one.")
            filled = {key: value for key, value in config.items() if value}
            request = ("PUT", path_of(user.name), {**filled, "password": user.password})
            after = {**filled, "password": "(new)"}
            return [Change("create", "user", user.name, (request,), None, masked(after))]
        # devpi removes what is empty, and shows nothing for it.
        different = {key: value for key, value in config.items() if (value or None) != (actual.get(key) or None)}
        before = {key: actual[key] for key in config if actual.get(key)}
        after = {key: value for key, value in {**before, **config}.items() if value}
        if (
            user.password is not None
            and self.wanted.always_set_password
            and not self.server.accepts(user.name, user.password)
        ):
            different["password"] = user.password
            before["password"], after["password"] = "(another)", "(new)"
        if not different:
            return []
        request = ("PATCH", path_of(user.name), different)
        return [Change("update", "user", user.name, (request,), masked(before), masked(after))]

    def _index(self, index: WantedIndex, config: Config, indexes: Mapping[str, Config]) -> list[Change]:
        actual = indexes.get(index.name)
        owner = index.name.split("/")[0]
        if actual is None:
            if owner not in self.actual and owner not in {user.name for user in self.wanted.users}:
                self._refusals.append(
                    f"Index {index.name!r} needs the user {owner!r}, who does not exist: create the user first."
                )
            config = {**self._derived(index, config, {}), **config}
            config.setdefault("type", self.dialect.type("stage"))
            requests = self._index_requests("PUT", index.name, config, {})
            return [Change("create", "index", index.name, requests, None, masked(config))]
        wanted_type = config.get("type", actual["type"])
        if wanted_type != actual["type"]:
            self._refusals.append(
                f"Index {index.name!r} is a {actual['type']} on the server, and devpi cannot make it a {wanted_type}: "
                f"write type: {actual['type']}, or delete the index first."
            )
        before, actual = actual, settled(actual, self.dialect)
        unfinished = actual is not before
        config = {**self._derived(index, config, actual), **config}
        exempt: dict[str, bool] = {}
        if self.dialect.keeps_rules_at_projects and EXEMPT_PROJECTS in config:
            exempt = self._exempt_projects(index.name)
            before, actual = ({**shown, EXEMPT_PROJECTS: sorted(exempt)} for shown in (before, actual))
        different = {key: value for key, value in config.items() if not self.dialect.same(key, value, actual)}
        # A partial PATCH would reset the settings of plugins: send all that the server has, and the differences.
        merged = {**actual, **different}
        if wanted_type in MIRROR_TYPES and not merged.get(self.dialect.mirror_url):
            self._refusals.append(
                f"Mirror {index.name!r} has no {self.dialect.mirror_url}, and devpi-server dies of that at its next "
                "start; write one."
            )
        if not different and not unfinished:
            return []
        shown_before, shown_after = masked(before), masked(merged)
        for key in different:
            if shown_before.get(key) == shown_after[key] and before.get(key) != merged[key]:
                shown_after[key] = f"{shown_after[key]} (other credentials)"
        switched = None
        if is_on_its_way(before, self.dialect) or self._is_switch(config, actual):
            # The way there writes it too.
            no_list = self.dialect.word("mirror_no_project_list")
            switched = merged = {**merged, no_list: bool(merged.get(no_list))}
        requests = self._index_requests("PATCH", index.name, merged, exempt)
        return [Change("update", "index", index.name, requests, shown_before, shown_after, switched)]

    def _exempt_projects(self, index: str) -> dict[str, bool]:
        """Ask devpi 7 for the projects with PROJECT_RULE, each with whether it has versions. One request for each."""
        exempt = {}
        for project in self.server.get(path_of(index)).get("projects", []):
            found = self.server.get(f"{path_of(index)}/{quote(project)}?v=2&ignore_bases")
            if PROJECT_RULE.items() <= found["config"].items():
                exempt[project] = bool(found["versions"])
        return exempt

    def _index_requests(
        self, method: str, name: str, config: Config, exempt: Mapping[str, bool]
    ) -> tuple[tuple[str, str, Json], ...]:
        """Return what writes an index, with the rules of its projects. ``exempt`` is what devpi 7 has of them."""
        path = path_of(name)
        if not self.dialect.keeps_rules_at_projects or EXEMPT_PROJECTS not in config:
            return ((method, path, config),)
        wanted = config[EXEMPT_PROJECTS]
        rules: list[tuple[str, str, Json]] = [
            ("PATCH", f"{path}/{quote(project)}", PROJECT_RULE) for project in wanted if project not in exempt
        ]
        for project, has_versions in exempt.items():
            if project not in wanted and has_versions:
                rules.append(("PATCH", f"{path}/{quote(project)}", [f"{key}-=" for key in PROJECT_RULE]))
            elif project not in wanted:
                # The rule alone made it exist, and without it the name would be reserved.
                rules.append(("DELETE", f"{path}/{quote(project)}?force", None))
        return ((method, path, {key: value for key, value in config.items() if key != EXEMPT_PROJECTS}), *rules)

    def _is_switch(self, config: Config, actual: Config) -> bool:
        """Tell whether a mirror shall fetch from another place. Another password for the same place does not count."""
        word = self.dialect.mirror_url
        return word in config and _place(config[word]) != _place(actual.get(word))

    def _derived(self, index: WantedIndex, config: Config, actual: Config) -> Config:
        """Return what follows from the upstream of a new or switched mirror, for settings that are not named."""
        if not self._is_switch(config, actual):
            return {}
        derived: Config = {}
        if index.config.get("probe"):
            try:
                found = self.findings[index.name] = self.probe(
                    config[self.dialect.mirror_url], index.config.get("probe_project")
                )
                derived = found.settings()
            except ProbeError as reason:
                self._refusals.append(f"{index.name}: {reason}")
        if actual:
            # The serials of two mirrors have nothing to do with each other.
            derived["mirror_ignore_serial_header"] = True
        translated = self.dialect.config(self.dialect.known(derived))
        return {name: value for name, value in translated.items() if not self.dialect.same(name, value, actual)}

    def _check_bases(self, bases: Mapping[str, Sequence[str]], gone: Sequence[str]) -> None:
        declared = {index.name for index in self.wanted.indexes}
        staying = [name for name in bases if name not in gone]
        for name in staying:
            for base in bases[name]:
                if base in gone:
                    self._refusals.append(
                        f"Index {base!r} cannot be deleted: it is a base of {name!r}, which stays. "
                        f"Take it out of the bases of {name!r} first."
                    )
                elif base not in bases and base not in declared and name in declared:
                    self._refusals.append(
                        f"Index {name!r} has the base {base!r}, which is neither declared nor on the server: "
                        "declare it, or write bases without it."
                    )
        circle = find_circle({name: bases[name] for name in sorted(staying, key=lambda name: name not in declared)})
        if declared.intersection(circle):
            self._refusals.append(f"The bases go round in a circle: {' -> '.join(circle)}.")

    def _deleted_index(self, name: str, config: Config) -> Change:
        requests: tuple[tuple[str, str, Json], ...] = (("DELETE", path_of(name), None),)
        option = self.wanted.force_option
        if not config.get("volatile", True):
            if not self.wanted.force:
                self._refusals.append(
                    f"Index {name!r} is protected from deletion (volatile: false): "
                    f"write {option}: true to delete it with all that it holds."
                )
            # devpi refuses to delete an index that is not volatile.
            requests = (("PATCH", path_of(name), {**config, "volatile": True}), *requests)
        elif not self.wanted.force and config["type"] not in MIRROR_TYPES:
            uploads = self.server.get(path_of(name)).get("projects", [])
            if uploads and self.dialect.keeps_rules_at_projects:
                # Some projects may be there for their rule only.
                exempt = self._exempt_projects(name)
                uploads = [project for project in uploads if exempt.get(project, True)]
            if uploads:
                self._refusals.append(
                    f"Index {name!r} holds uploads ({', '.join(uploads[:5])}{', …' if len(uploads) > 5 else ''}), "
                    f"which would be lost: write {option}: true to delete it with them."
                )
        return Change("delete", "index", name, requests, masked(config), None)

    def _deleted_user(self, name: str, gone: Sequence[str]) -> list[Change]:
        if name not in self.actual:
            return []
        left = [index for index in self.actual[name].get("indexes", {}) if f"{name}/{index}" not in gone]
        if left:
            self._refusals.append(
                f"User {name!r} still has indexes ({', '.join(sorted(left))}): "
                f"write {self.wanted.force_option}: true to delete them too, with all that they hold."
            )
        shown = {key: self.actual[name][key] for key in ("email", "title") if key in self.actual[name]}
        return [Change("delete", "user", name, (("DELETE", path_of(name), None),), masked(shown), None)]


def indexes_of(actual: Mapping[str, Config]) -> dict[str, Config]:
    """Return all indexes of the server as ``user/index`` -> settings."""
    return {
        f"{user}/{name}": config for user, entry in actual.items() for name, config in entry.get("indexes", {}).items()
    }


def index_types(actual: Mapping[str, Config]) -> dict[str, str | None]:
    """Return all indexes of the server as ``user/index`` -> type."""
    return {name: config["type"] for name, config in indexes_of(actual).items()}


def apply(changes: Sequence[Change], client: Client, dialect: Dialect) -> list[str]:
    """Write the changes in their order. Raises StoppedError at the first that fails, and RefusedError before it.

    Returns the projects (``user/index/project``) of switched mirrors that may have kept links to the old upstream.
    """
    done: list[Change] = []
    stale: list[str] = []
    try:
        pages = {
            change.name: survey(client, dialect, change.name, change.switched)
            for change in changes
            if change.switched is not None
        }
    except ApiError as reason:
        raise RefusedError([str(reason)]) from reason
    try:
        for change in changes:
            if change.switched is not None:
                stale += leave_old_upstream(client, dialect, change.name, change.switched, pages[change.name])
            for method, path, body in change.requests:
                client.write(method, path, body)
            done.append(change)
    except ApiError as reason:
        raise StoppedError(reason, done, changes[len(done) :]) from reason
    return stale


def _listed(sentences: Sequence[str]) -> str:
    shown = "; ".join(sentences[:ENOUGH])
    return shown + (f"; and {len(sentences) - ENOUGH} more" if len(sentences) > ENOUGH else "")


def undeclared(users: Mapping[str, Sequence[str] | None], actual: Mapping[str, Config]) -> tuple[list[str], list[str]]:
    """Return the users and the indexes (``user/index``) on the server that ``users`` does not declare.

    ``users`` maps a name to its declared indexes, None where they are not managed. Never names root, nor the indexes
    of a root that is not declared.
    """
    absent_users = [name for name in sorted(actual) if name not in users and name != "root"]
    absent_indexes = []
    for user, entry in sorted(actual.items()):
        declared = [] if user in absent_users else users.get(user)
        if declared is not None:
            absent_indexes += [f"{user}/{index}" for index in sorted(entry.get("indexes", {})) if index not in declared]
    return absent_users, absent_indexes


def _place(url: str | None) -> str | None:
    """Return the URL of a mirror without what does not change where it points to."""
    return url and re.sub(r"(?<=//)[^/]*@", "", url).rstrip("/")


def _bases_first(names: Sequence[str], bases: Mapping[str, Sequence[str]]) -> list[str]:
    """Sort the names so that each comes after its bases; otherwise their order stays. Circles were refused before."""
    ordered: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered or name in path:
            return
        for base in bases.get(name, ()):
            visit(base, (*path, name))
        ordered[name] = None

    for name in names:
        visit(name, ())
    return [name for name in ordered if name in names]
