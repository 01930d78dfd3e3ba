# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the values of pip.conf, uv.toml and .pypirc such that pip, uv and twine read what was meant.

Pure functions. What a format cannot hold is refused by a ValueError, whose message goes on after the name of the value.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import typing as t
from collections.abc import Mapping, Sequence

_PIP_LISTS = {
    **dict.fromkeys(
        (
            "abi",
            "build-constraint",
            "constraint",
            "editable",
            "exclude",
            "exists-action",
            "extra-index-url",
            "find-links",
            "path",
            "platform",
            "requirement",
            "trusted-host",
            "use-deprecated",
            "use-feature",
        ),
        " ",
    ),
    **dict.fromkeys(("all-releases", "no-binary", "only-binary", "only-final"), ","),
}
"""The options of pip that take several values, and what is between two of them in pip.conf (pip's cli/parser.py splits
those of the action append at blanks, and format_control.py at commas)."""

_PIP_COMMANDS = frozenset(
    [
        "cache",
        "check",
        "config",
        "debug",
        "download",
        "freeze",
        "hash",
        "index",
        "install",
        "list",
        "lock",
        "search",
        "show",
        "uninstall",
        "wheel",
    ]
)

_TOML_INTEGERS = range(-(2**63), 2**63)

_LOGIN_IN_URL = re.compile(r"//[^\s/]*@")


def pip_options(options: Mapping[t.Any, t.Any], place: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return options of pip as pip.conf holds them, and those of single commands by command.

    Raises ValueError with a sentence that begins with the place of the value.
    """
    of_all: dict[str, str] = {}
    of_commands: dict[str, dict[str, str]] = {}
    for key, value in options.items():
        if not isinstance(value, Mapping):
            _add(of_all, key, value, place)
        elif key in _PIP_COMMANDS:
            of_commands[str(key)] = {}
            for name, inner in value.items():
                _add(of_commands[str(key)], name, inner, f"{place}.{key}")
        else:
            raise ValueError(
                f"{place}.{_shown(key)} is a dictionary: pip takes one for a command alone, such as install; write one "
                "value, or a list."
            )
    return of_all, of_commands


def _add(options: dict[str, str], key: t.Any, value: t.Any, place: str) -> None:
    name = str(key).lower().replace("_", "-").lstrip("-")
    if not isinstance(key, str) or not re.fullmatch("[a-z][a-z0-9-]*", name):
        raise ValueError(f"{place} has the name {_shown(key)}: write an option of pip, such as timeout.")
    if name in options:
        raise ValueError(f"{place}.{name} is there twice: write it once.")
    options[name] = _pip_value(name, value, f"{place}.{name}")


def _pip_value(name: str, value: t.Any, place: str) -> str:
    separator = _PIP_LISTS.get(name)
    if isinstance(value, str) and separator and "\n" in value.strip():
        value = [line.strip() for line in value.strip().split("\n")]
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if separator is None:
            raise ValueError(f"{place} is a list: pip takes one value for it (several for {', '.join(_PIP_LISTS)}).")
        parts = [_line(part, place) for part in value]
        if any(re.search(r"[\s,]" if separator == "," else r"\s", part) for part in parts):
            inside = "blank or a comma" if separator == "," else "blank"
            raise ValueError(f"{place} has a part with a {inside} in it: pip takes that for two.")
        if not parts:
            raise ValueError(f"{place} is empty: leave it out, or give it a value.")
        return separator.join(parts)
    return _line(value, place)


def _line(value: t.Any, place: str) -> str:
    """Return a single value as one line of an INI file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, datetime.date)):
        return str(value) if isinstance(value, int) else value.isoformat()
    if isinstance(value, float) and math.isfinite(value):
        return str(value)
    if not isinstance(value, str) and value is not None:
        raise ValueError(f"{place} cannot be written: it has to be a text, a number, true or false, or a list of them.")
    text = (value or "").strip()
    if not text:
        raise ValueError(f"{place} is empty: leave it out, or give it a value.")
    if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text):
        raise ValueError(f"{place} has several lines, or characters that no file can hold: write it as one line.")
    if _LOGIN_IN_URL.search(text):
        raise ValueError(f"{place} has a user or password in a URL: others can read the file; use ~/.netrc.")
    return text


def ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Return an INI file as configparser reads it. The values are lines already; names are of ``pip_options``."""
    return "\n".join(
        "".join([f"[{section}]\n", *(f"{name} = {value}\n" for name, value in values.items())])
        for section, values in sections.items()
    )


def toml(table: Mapping[t.Any, t.Any], place: str) -> str:
    """Return a TOML file: values first, then a section for each dictionary.

    Raises ValueError with a sentence that begins with the place of the value.
    """
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [_toml_pair(key, value, place) for key, value in values.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{_toml_key(key, place)}]"]
            lines += [_toml_pair(name, inner, f"{place}.{key}") for name, inner in value.items()]
    return "".join(f"{line}\n" for line in lines)


def _toml_pair(key: t.Any, value: t.Any, place: str) -> str:
    return f"{_toml_key(key, place)} = {_toml_value(value, f'{place}.{key}')}"


def _toml_key(key: t.Any, place: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{place} has the name {_shown(key)}: it has to be a text; put it in quotes.")
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml_text(key, place)


def _toml_value(value: t.Any, place: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value not in _TOML_INTEGERS:
            raise ValueError(f"{place} is a number that TOML cannot hold: put it in quotes.")
        return str(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else str(value)
    if isinstance(value, datetime.date):
        # uv takes dates as text.
        return json.dumps(value.isoformat())
    if isinstance(value, str):
        return _toml_text(value, place)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_toml_pair(key, inner, place) for key, inner in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[" + ", ".join(_toml_value(part, f"{place}[{number}]") for number, part in enumerate(value)) + "]"
    if value is None:
        raise ValueError(f"{place} is empty: TOML has no null; leave it out, or give it a value.")
    raise ValueError(
        f"{place} cannot be written: it has to be a text, a number, true or false, a list or a dictionary."
    )


def _toml_text(text: str, place: str) -> str:
    if re.search("[\ud800-\udfff]", text):
        raise ValueError(f"{place} has characters that no file can hold.")
    if _LOGIN_IN_URL.search(text):
        raise ValueError(f"{place} has a user or password in a URL: others can read the file; use ~/.netrc.")
    # JSON escapes as TOML does, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(key: t.Any) -> str:
    return key if isinstance(key, str) and re.fullmatch("[A-Za-z0-9_.-]{1,60}", key) else repr(str(key))[:60]
