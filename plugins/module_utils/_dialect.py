# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabularies of devpi 6 and 7, and the way between them.

Users write either one. The equivalences are those of devpi-server's changelog for 7.0.0b4 and of its own import of data
from version 6 (``devpi_server/importexport.py``, ``migrate_local_index`` and ``migrate_remote_index``).

The role devpi_server copies this file to a host that migrates, where there is no Ansible: it imports nothing of it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

PLUGIN_TYPES = ("constrained", "findlinks", "merge")
"""Types that devpi-constrained, devpi-findlinks and devpi-pr add: stages with settings of their own."""

TYPES = (("stage", "local"), ("mirror", "remote"), *((name, name) for name in PLUGIN_TYPES))
"""The types of an index as devpi 6 and 7 call them."""

INDEX_TYPES = tuple(dict.fromkeys(name for pair in TYPES for name in pair))
MIRROR_TYPES = ("mirror", "remote")
STAGE_TYPES = tuple(name for name in INDEX_TYPES if name not in MIRROR_TYPES)

Config: t.TypeAlias = "dict[str, t.Any]"
"""The settings of one index or user by name, as a user of the collection or the server writes them."""


class DialectError(ValueError):
    """A setting that the server's version has no word for, told in a sentence."""


def _as_it_is(value: t.Any) -> t.Any:
    return value


def _set_of_principals(names: list[str]) -> list[str]:
    """Order means nothing here, and devpi writes its two special groups in capitals."""
    return sorted({name.upper() if name.upper() in (":ANONYMOUS:", ":AUTHENTICATED:") else name for name in names})


def _set_of_projects(names: list[str]) -> list[str]:
    """Order means nothing, and names are normalised as PEP 503 says; ``*`` stands for all of them."""
    return sorted({re.sub(r"[-_.]+", "-", name).lower() for name in names})


def _url(value: str | None) -> str | None:
    """Compare without the last slash: devpi keeps a URL as it was written, and adds the slash when it uses it."""
    return value and value.rstrip("/")


@dataclass(frozen=True)
class Word:
    """How one version of devpi calls a setting.

    ``option`` is the spec of the module option, ``absent`` what a missing key stands for on the server,
    ``normal`` makes two values comparable.
    """

    name: str
    option: dict[str, t.Any]
    absent: t.Any = None
    normal: t.Callable[[t.Any], t.Any] = _as_it_is


@dataclass(frozen=True)
class Setting:
    """One setting of an index, as devpi 6 and 7 call it.

    ``values`` pairs the words for its values where they differ too; ``missing`` says what to do where a version has no
    word for the setting or for a value.
    """

    six: Word
    seven: Word | None
    types: tuple[str, ...]
    values: tuple[tuple[t.Any, t.Any], ...] = ()
    missing: str = ""

    @property
    def words(self) -> tuple[Word, ...]:
        """The distinct words for this setting."""
        return (self.six,) if self.seven is None or self.seven is self.six else (self.six, self.seven)


_TEXT: Config = {"type": "str"}
_BOOL: Config = {"type": "bool"}
_LIST: Config = {"type": "list", "elements": "str"}

_ALLOW, _BLOCK = "allow all", "block type:remote if local_exists"


def _same(
    name: str,
    option: Config,
    types: tuple[str, ...] = INDEX_TYPES,
    absent: t.Any = None,
    normal: t.Callable[[t.Any], t.Any] = _as_it_is,
) -> Setting:
    word = Word(name, option, absent, normal)
    return Setting(word, word, types)


def _mirror(
    six: str, seven: str, option: Config, absent: t.Any = None, normal: t.Callable[[t.Any], t.Any] = _as_it_is
) -> Setting:
    return Setting(Word(six, option, absent, normal), Word(seven, option, absent, normal), MIRROR_TYPES)


SETTINGS = (
    _same("title", _TEXT, absent=""),
    _same("description", _TEXT, absent=""),
    _same("custom_data", {"type": "raw"}),
    _same("volatile", _BOOL, absent=True),
    _same("bases", _LIST, STAGE_TYPES, absent=[]),
    _same("acl_upload", _LIST, STAGE_TYPES, absent=[], normal=_set_of_principals),
    _same("acl_toxresult_upload", _LIST, STAGE_TYPES, absent=[":ANONYMOUS:"], normal=_set_of_principals),
    Setting(
        Word("mirror_whitelist", _LIST, [], _set_of_projects),
        Word("project_inheritance_rules", {**_LIST, "choices": [_ALLOW, _BLOCK]}),
        STAGE_TYPES,
        # What devpi 7 makes of the names of single projects, Dialect.config() knows.
        values=((["*"], [_ALLOW]), ([], [_BLOCK])),
        missing="Write one of the two rules.",
    ),
    Setting(
        Word("mirror_whitelist_inheritance", {**_TEXT, "choices": ["intersection", "union"]}, "union"),
        Word("trust_inheritance_rules_from", {**_TEXT, "choices": ["none", "type:not remote"]}, "none"),
        STAGE_TYPES,
        values=(("intersection", "none"), ("union", "type:not remote")),
    ),
    _mirror("mirror_url", "remote_url", _TEXT, normal=_url),
    _mirror("mirror_web_url_fmt", "remote_web_url_fmt", _TEXT, absent=""),
    _mirror("mirror_cache_expiry", "remote_refresh_delay", {"type": "int"}),
    _mirror("mirror_no_project_list", "remote_no_project_list", _BOOL, absent=False),
    _mirror("mirror_use_external_urls", "remote_use_external_urls", _BOOL, absent=False),
    Setting(
        Word("mirror_ignore_serial_header", _BOOL, False),
        None,
        MIRROR_TYPES,
        missing="devpi 7 forgets serials by itself when the URL of a mirror changes; take the setting out.",
    ),
    Setting(
        Word("mirror_provides_core_metadata", _BOOL, False),
        None,
        MIRROR_TYPES,
        missing="devpi 7 always passes on the core metadata that a mirror has; take the setting out.",
    ),
)

EXEMPT_PROJECTS = "mirror_whitelist"
"""devpi 7 has no such setting of an index, but keeps PROJECT_RULE at each project that is named here. It stands in the
configuration of an index all the same, so that it is compared and shown like the others."""

PROJECT_RULE: Config = {"inheritance_rules": [_ALLOW]}
"""What devpi 7 keeps at a project that is exempt (``migrate_projects`` in devpi_server/importexport.py)."""

BY_WORD = {word.name: setting for setting in SETTINGS for word in setting.words}
"""Each setting under each of its names."""

FILLING_IN: Config = {"preset": {"type": "str"}, "probe": {"type": "bool"}, "probe_project": {"type": "str"}}
"""Module options that say where settings come from, and are none themselves."""

INDEX_OPTIONS: Config = {
    "type": {"type": "str", "choices": list(INDEX_TYPES)},
    **{word.name: word.option for setting in SETTINGS for word in setting.words},
    "settings": {"type": "dict"},
    **FILLING_IN,
}
"""The module options that describe an index: its settings in both vocabularies, and what fills them in."""


class Dialect:
    """The words of one server. ``version`` is what the server says of itself, such as 6.20.3 or 7.0.0b4."""

    def __init__(self, version: str) -> None:
        self.major = 7 if int(version.split(".", maxsplit=1)[0]) >= 7 else 6

    def config(self, wanted: Config) -> Config:
        """Translate what a user wrote, in either vocabulary, into the server's words. None means: not named.

        ``settings``, the settings that plugins add, come out beside the others, as they are.
        Raises DialectError where the server has no such word.
        """
        translated = dict(wanted.get("settings") or {})
        for name, value in wanted.items():
            if value is None or name == "settings":
                continue
            if name == "type":
                translated["type"] = self.type(value)
            elif name == EXEMPT_PROJECTS and self.keeps_rules_at_projects:
                translated["project_inheritance_rules"] = [_ALLOW if "*" in value else _BLOCK]
                # Where every project is exempt, no single one need be named.
                if "*" not in value:
                    translated[EXEMPT_PROJECTS] = _set_of_projects(value)
            else:
                word = self._word(name)
                translated[word.name] = self._value(name, word, value)
        return translated

    def type(self, name: str) -> str:
        """Translate the type of an index into the server's word."""
        for six, seven in TYPES:
            if name in (six, seven):
                return six if self.major == 6 else seven
        return name

    def known(self, config: Config) -> Config:
        """Return what the server's version has a word for, for settings that nobody asked for by name."""
        return {name: value for name, value in config.items() if name == "type" or self._find(name) is not None}

    @property
    def keeps_rules_at_projects(self) -> bool:
        """Whether EXEMPT_PROJECTS is no setting of an index."""
        return self.major >= 7

    @property
    def mirror_url(self) -> str:
        """The server's word for the URL of a mirror."""
        return self.word("mirror_url")

    def word(self, name: str) -> str:
        """Return the server's word for a setting. Raises DialectError where it has none."""
        return self._word(name).name

    def same(self, name: str, wanted: t.Any, config: Config) -> bool:
        """Tell whether the server's ``config`` of an index already says what is wanted. ``name`` is the server's."""
        setting = BY_WORD.get(name)
        if setting is None:
            return name in config and config[name] in _as_plugins_store(wanted, config[name])
        word = next(word for word in setting.words if word.name == name)
        actual = config.get(name)
        return bool(word.normal(wanted) == (word.absent if actual is None else word.normal(actual)))

    def _word(self, name: str) -> Word:
        word = self._find(name)
        if word is None:
            raise DialectError(f"{name}: devpi {self.major} has no such setting. {BY_WORD[name].missing}")
        return word

    def _find(self, name: str) -> Word | None:
        setting = BY_WORD[name]
        return setting.six if self.major == 6 else setting.seven

    def _value(self, name: str, word: Word, value: t.Any) -> t.Any:
        setting = BY_WORD[name]
        if name == word.name or not setting.values:
            return value
        other = setting.seven if self.major == 6 else setting.six
        for six, seven in setting.values:
            there, here = (seven, six) if self.major == 6 else (six, seven)
            if other is not None and other.normal(value) == other.normal(there):
                return here
        raise DialectError(f"{name}: {value!r} has no equivalent in devpi {self.major}. {setting.missing}")


def _as_plugins_store(wanted: t.Any, actual: t.Any) -> list[t.Any]:
    """Return what devpi may have made of a plugin's setting that was sent as text.

    devpi splits text for a list at commas, devpi-constrained its constraints at line ends, and the words for a boolean
    become one (``ensure_list`` and ``ensure_boolean`` in devpi's model, ``normalize_indexconfig_value`` in
    devpi-constrained).
    """
    if not isinstance(wanted, str):
        return [wanted]
    if isinstance(actual, bool):
        return [{"yes": True, "true": True, "no": False, "false": False}.get(wanted.lower(), wanted)]
    lines = [line.strip() for line in wanted.splitlines() if line.strip() and not line.strip().startswith("#")]
    return [wanted, lines, [part.strip() for part in wanted.split(",") if part.strip()]]
