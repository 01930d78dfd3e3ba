# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a tree of users and indexes, said before anything changes.

Pure functions: they ask no server, so that a role's preflight can use them on the controller. They take what a person
wrote, which may be of any shape, and return sentences. Each names the place, the value and what is allowed there.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import (
    BY_WORD,
    INDEX_OPTIONS,
    INDEX_TYPES,
    MIRROR_TYPES,
    SETTINGS,
    STAGE_TYPES,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.module_utils._names import NAME_RULE, is_index, is_name
from ansible_collections.wheelhouse.devpi.plugins.module_utils._presets import preset_problem

USER_OPTIONS = ("email", "title", "description", "custom_data")
"""The settings of a user that devpi shows to everybody."""

_MIRROR_URL = ("mirror_url", "remote_url")
_CACHE_EXPIRY = ("mirror_cache_expiry", "remote_refresh_delay")

Types: t.TypeAlias = "Mapping[str, str | None]"
"""The indexes that exist, ``user/index``, with their type, or None where only the name is known."""


def layout_problems(users: t.Any, existing: Types, where: str) -> list[str]:
    """Return what is wrong with a whole layout. ``where`` is the name of the variable that holds it."""
    if not _is_list(users):
        return [f"{where}: write a list of users, not {_shown(users)}."]
    problems: list[str] = []
    declared: dict[str, tuple[str, t.Any]] = {}
    names: set[str] = set()
    for place, user in _numbered(users, where):
        if not isinstance(user, Mapping):
            problems.append(f"{place}: write a dictionary with name and indexes, not {_shown(user)}.")
            continue
        name = user.get("name")
        problems += user_problems(user, place)
        if name == "root" and user.get("password") is not None:
            problems.append(f"{place}.password: a layout logs in as root; set its password with devpi_user.")
        if name in names:
            problems.append(f"{place}.name: user {name!r} is declared twice; write one entry with all indexes.")
        names.add(str(name))
        indexes = user.get("indexes")
        if indexes is not None and not _is_list(indexes):
            problems.append(f"{place}.indexes: write a list of indexes, not {_shown(indexes)}.")
            continue
        for spot, index in _numbered(indexes or [], f"{place}.indexes"):
            if not isinstance(index, Mapping):
                problems.append(f"{spot}: write a dictionary with name and type, not {_shown(index)}.")
                continue
            full_name = f"{name}/{index.get('name')}"
            problems += _name_problems(index.get("name"), f"{spot}.name", "an index without its user, such as dev")
            problems += index_problems(index, spot, full_name, existing)
            if full_name in declared:
                problems.append(f"{spot}.name: index {full_name!r} is declared twice; write it once.")
            declared[full_name] = (spot, index.get("bases"))
    return problems + base_problems(declared, existing)


def user_problems(user: Mapping[str, t.Any], place: str) -> list[str]:
    """Return what is wrong with one user, without its indexes."""
    problems = _name_problems(user.get("name"), _at(place, "name"), "a user name")
    password = user.get("password")
    if password is not None and (not isinstance(password, str) or not password):
        problems.append(f"{_at(place, 'password')}: it is empty or no text; write one that is not, or leave it out.")
    return problems + _unknown_keys(user, {"name", "password", "indexes", *USER_OPTIONS}, place)


def index_problems(index: Mapping[str, t.Any], place: str, name: str, existing: Types) -> list[str]:
    """Return what is wrong with the settings of one index. ``name`` is ``user/index``."""
    named = {key: value for key, value in index.items() if value is not None}
    problems = _unknown_keys(
        named, {"name", *INDEX_OPTIONS}, place, "a setting that a plugin adds goes into the dictionary settings"
    )
    declared_type = named.get("type")
    if declared_type is not None and declared_type not in INDEX_TYPES:
        problems.append(f"{_at(place, 'type')}: {_shown(declared_type)} is unknown; write {', '.join(INDEX_TYPES)}.")
        return problems
    default_type = "mirror" if "preset" in named else "stage"
    index_type = declared_type or existing.get(name) or (None if name in existing else default_type)
    problems += _preset_problems(named, place, index_type, declared_type)
    problems += _two_words(named, place)
    problems += _settings_problems(named.get("settings"), place)
    for key, value in named.items():
        if key not in BY_WORD:
            continue
        spot = _at(place, key)
        if index_type is not None and index_type not in BY_WORD[key].types:
            problems.append(f"{spot}: {_wrong_type(key, index_type, declared_type)}")
        problems += _value_problems(key, value, spot)
    has_url = any(named.get(key) for key in ("preset", *_MIRROR_URL))
    if index_type in MIRROR_TYPES and name not in existing and not has_url:
        problems.append(
            f"{_at(place, 'mirror_url')}: a mirror needs one (with none, devpi-server dies at its next start); "
            "write the URL of an index, such as https://mirrors.aliyun.com/pypi/simple/."
        )
    return problems


def base_problems(declared: Mapping[str, tuple[str, t.Any]], existing: Types) -> list[str]:
    """Return what is wrong with the bases of indexes: ``user/index`` -> (place, bases)."""
    problems: list[str] = []
    for place, bases in declared.values():
        if bases is None:
            continue
        spot = _at(place, "bases")
        if not _is_list(bases):
            problems.append(f"{spot}: write a list of indexes, not {_shown(bases)}.")
            continue
        for base in bases:
            if not is_index(base):
                problems.append(f"{spot}: {_shown(base)} is no index; write it with its user, such as root/pypi.")
            elif base not in declared and base not in existing:
                problems.append(
                    f"{spot}: index {base!r} is neither declared nor on the server; declare it, or correct the name."
                )
        if len(set(map(str, bases))) < len(bases):
            problems.append(f"{spot}: {_shown(list(bases))} names an index twice; write each once.")
    graph = {name: [str(base) for base in bases] if _is_list(bases) else [] for name, (_p, bases) in declared.items()}
    circle = find_circle(graph)
    if circle:
        problems.append(
            f"{_at(declared[circle[0]][0], 'bases')}: the bases go round in a circle: {' -> '.join(circle)}."
        )
    return problems


def find_circle(bases: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the first circle as the names along it, its start repeated at the end; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for base in bases.get(name, ()):
            circle = walk(base, [*path, name])
            if circle:
                return circle
        done.add(name)
        return []

    for start in bases:
        circle = walk(start, [])
        if circle:
            return circle
    return []


def index_name_problems(name: str, place: str) -> list[str]:
    """Return what is wrong with the full name of an index."""
    if not is_index(name):
        return [f"{place}: {_shown(name)} is no index; write user/index, such as alice/dev ({NAME_RULE})."]
    return []


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _is_list(value: t.Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _numbered(values: t.Any, where: str) -> t.Iterator[tuple[str, t.Any]]:
    for number, value in enumerate(values):
        yield f"{where}[{number}]", value


def _shown(value: t.Any) -> str:
    return repr(masked(value))


def _name_problems(name: t.Any, place: str, what: str) -> list[str]:
    if is_name(name):
        return []
    if isinstance(name, (bool, int, float)):
        return [f"{place}: YAML reads {name!r} there, and no text; put what is written there in quotes."]
    return [f"{place}: {_shown(name)} is not {what}; {NAME_RULE}."]


def _unknown_keys(value: Mapping[str, t.Any], known: set[str], place: str, hint: str = "") -> list[str]:
    rule = hint or f"write one of {', '.join(sorted(known))}"
    return [f"{_at(place, str(key))}: unknown; {rule}." for key in value if key not in known]


def _two_words(named: Mapping[str, t.Any], place: str) -> list[str]:
    return [
        f"{_at(place, setting.seven.name)}: it is {setting.six.name} in the words of devpi 7; write one of the two."
        for setting in SETTINGS
        if setting.seven is not None
        and setting.seven is not setting.six
        and setting.six.name in named
        and setting.seven.name in named
    ]


def _preset_problems(
    named: Mapping[str, t.Any], place: str, index_type: str | None, declared_type: str | None
) -> list[str]:
    if "preset" not in named:
        return []
    problem = preset_problem(named["preset"])
    if problem is None and index_type in STAGE_TYPES:
        problem = _wrong_type("preset", index_type, declared_type)
    return [f"{_at(place, 'preset')}: {problem}"] if problem else []


def _settings_problems(settings: t.Any, place: str) -> list[str]:
    if settings is None:
        return []
    spot = _at(place, "settings")
    if not isinstance(settings, Mapping):
        return [f"{spot}: write a dictionary of the settings that plugins add, not {_shown(settings)}."]
    return [
        f"{_at(spot, str(key))}: it is an option of its own; write it beside settings, not in it."
        for key in settings
        if key in INDEX_OPTIONS or key in ("name", "projects")
    ]


def _wrong_type(key: str, index_type: str, declared_type: str | None) -> str:
    only = "a mirror" if index_type in STAGE_TYPES else "a stage (an index for uploads)"
    has = f"its type is {index_type}" if declared_type else f"no type is written, and it is a {index_type}"
    write = "type: mirror" if index_type in STAGE_TYPES else "type: stage"
    return f"only {only} has {key}, but {has}; write {write}, or take {key} out."


def _value_problems(key: str, value: t.Any, spot: str) -> list[str]:
    if key in _MIRROR_URL and not (isinstance(value, str) and re.match(r"https?://[^\s/]", value)):
        return [f"{spot}: {_shown(value)} is no URL; write one that begins with https:// or http://."]
    if key in _CACHE_EXPIRY and not re.fullmatch(r"[1-9][0-9]*", str(value)):
        return [
            f"{spot}: {_shown(value)} is not allowed, because with 0 or less devpi answers 404 for every project, "
            "for good; write a number of seconds above 0, such as 1800."
        ]
    if _is_list(value) or not isinstance(value, str):
        return []
    choices = next(word.option.get("choices") for word in BY_WORD[key].words if word.name == key)
    if choices and value not in choices:
        return [f"{spot}: {_shown(value)} is unknown; write {' or '.join(choices)}."]
    return []
