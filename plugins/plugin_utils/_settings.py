# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a role: its variables as people write them, normalised by the specs of the role.

``meta/argument_specs.yml`` says what a role takes. Ansible checks a converted copy by it, and leaves what the role
reads as it was written: ``--extra-vars port=3141`` is text, and a word in place of a list stays a word. What is made
here has the types of the specs, or there is one sentence that names the variable.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_bool, check_type_dict, check_type_int
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked

ROLES = Path(__file__).resolve().parents[2] / "roles"
PREFIX = "devpi_"

SECRETS = frozenset(
    {
        "devpi_backup_environment",
        "devpi_backup_password",
        "devpi_backup_ssh_key",
        "devpi_client_login",
        "devpi_nginx_acme_eab_hmac_key",
        "devpi_server_environment",
        "devpi_server_ldap",
        "devpi_server_root_password",
    }
)
"""The variables of which nothing is ever shown. Of all others, the logins in URLs are not."""

Options: t.TypeAlias = "Mapping[str, Mapping[str, t.Any]]"
"""The options of a role, by the names of their variables, as in its specs."""


@cache
def options_of(role: str) -> Options:
    """Return what the specs of a role say. Raises OSError where there is no such role."""
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: Options = specs["argument_specs"]["main"]["options"]
    return options


def key_of(role: str, variable: str) -> str:
    """Return the name of a setting: its variable without the name of the role, or of the collection."""
    for prefix in (f"{role}_", PREFIX):
        if variable.startswith(prefix):
            return variable[len(prefix) :]
    raise ValueError(variable)


@dataclass
class Settings:
    """The settings of a role, and what is wrong with them."""

    role: str
    #: By the names of their variables. What has a problem is not there; what was not written has its default, or None.
    values: dict[str, t.Any] = field(default_factory=dict)
    #: Whole sentences, each of which names a variable that was written.
    problems: list[str] = field(default_factory=list)
    #: What follows from them and has no variable, by the names that tasks and templates read it by.
    derived: dict[str, t.Any] = field(default_factory=dict)
    _not_written: set[str] = field(default_factory=set)

    def default(self, variable: str) -> t.Any:
        """Return what a variable is that was not written."""
        return options_of(self.role)[variable].get("default")

    def get(self, variable: str) -> t.Any:
        """Return a value, or None where it was not written or has a problem."""
        return self.values.get(variable)

    def derive(self, variable: str, value: t.Any) -> None:
        """Fill in what was left empty. ``value`` is None where it comes from what has a problem."""
        if self.values.get(variable) == "":
            self.values[variable] = value
            self._not_written.add(variable)

    def refuse(self, variable: str, rule: str) -> None:
        """Add a problem. ``rule`` goes on after the value of the variable, which secrets do not show.

        What was not written, but comes from another variable, has that one's problem.
        """
        value = self.values.pop(variable)
        if variable not in self._not_written:
            self.problems.append(f"{variable} is {shown(value, variable)}: {rule}")

    def keyed(self) -> dict[str, t.Any]:
        """Return the values by the names that tasks and templates read them by."""
        values = {key_of(self.role, name): value for name, value in self.values.items()}
        return {**values, **self.derived, "fingerprint": self._fingerprint()}

    def _fingerprint(self) -> str:
        """Return what tells these settings from others, and nothing of the secrets among them."""
        secret = SECRETS | {"devpi_layout_users"}
        told = {name: value for name, value in self.values.items() if name not in secret}
        return hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()


def normalised(role: str, written: Mapping[str, t.Any]) -> Settings:
    """Return the settings of a role. ``written`` holds its variables; what is null counts as not written."""
    settings = Settings(role)
    for name, option in options_of(role).items():
        value = written.get(name)
        if value is None and option.get("required"):
            settings.problems.append(f"{name} is missing. {_plain(option['description'][0])}")
            continue
        if value is None and name in written and name in SECRETS and "default" not in option:
            # Left out, a password has another meaning than one that was meant to be there.
            settings.problems.append(f"{name} is null: write a text, or leave the variable out.")
            continue
        if value is None:
            value = option.get("default")
        if value is not None:
            converted = _converted(value, option, name, settings.problems)
            if converted is None:
                continue
            if value != option.get("default") and not _is_taken_by_ansible(name, option, value):
                settings.problems.append(
                    f"{name} is {shown(value, name, option['type'])}: {_hint(value, option['type'])}"
                )
                continue
            value = converted
        settings.values[name] = value
    return settings


def shown(value: t.Any, variable: str, kind: str = "str") -> str:
    """Return how a sentence shows a value that stands where one of the type ``kind`` belongs."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return "a list"
    if variable in SECRETS or variable.endswith(".password"):
        return "not shown here"
    if isinstance(value, str):
        # What should have been a list or a dictionary may have passwords anywhere in it.
        return "a text" if kind in ("list", "dict") else f"'{masked(value)}'"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return str(value)
    return f"of the type {type(value).__name__}"


def _converted(value: t.Any, option: Mapping[str, t.Any], place: str, problems: list[str]) -> t.Any:
    """Return the value with the type of its option, or None and a problem."""
    kind = option.get("type", "str")
    before = len(problems)
    try:
        result = _KINDS[kind](value)
    except (TypeError, ValueError):
        problems.append(f"{place} is {shown(value, place, kind)}: {_hint(value, kind)}")
        return None
    if kind == "list":
        element = {"type": option["elements"], "options": option.get("options"), "choices": option.get("choices")}
        result = [_converted(part, element, f"{place}[{number}]", problems) for number, part in enumerate(result)]
    elif kind == "dict" and option.get("options"):
        result = _suboptions(result, option["options"], place, problems)
    elif option.get("choices") and result not in option["choices"]:
        problems.append(
            f"{place} is {shown(result, place)}: it has to be one of {', '.join(map(str, option['choices']))}."
        )
    return result if len(problems) == before else None


def _is_taken_by_ansible(name: str, option: Mapping[str, t.Any], value: t.Any) -> bool:
    """Whether Ansible lets a value pass, which it asks by itself when the role begins."""
    spec = {key: part for key, part in option.items() if key in ("type", "elements", "choices", "options")}
    return not ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages


def _suboptions(value: Mapping[t.Any, t.Any], options: Options, place: str, problems: list[str]) -> dict[str, t.Any]:
    """Return a dictionary with the types that the suboptions of an option say."""
    known = ", ".join(options)
    problems += [f"{place}.{key} is unknown: it has to be one of {known}." for key in value if key not in options]
    result: dict[str, t.Any] = {}
    for key, option in options.items():
        part = value.get(key)
        if part is None:
            if option.get("required"):
                problems.append(f"{place}.{key} is missing. {_plain(option['description'][0])}")
            result[key] = option.get("default")
        else:
            result[key] = _converted(part, option, f"{place}.{key}", problems)
    return result


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _path(value: t.Any) -> str:
    text = _text(value)
    return text.rstrip("/") or "/" if text.startswith("/") else text


def _int(value: t.Any) -> int:
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", value)):
        raise TypeError
    return int(check_type_int(value))


def _list(value: t.Any) -> list[t.Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return list(value)
    raise TypeError


def _dict(value: t.Any) -> dict[str, t.Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return dict(check_type_dict(value))


def _raw(value: t.Any) -> t.Any:
    return value


_KINDS: dict[str, Callable[[t.Any], t.Any]] = {
    "str": _text,
    "path": _path,
    "int": _int,
    "bool": check_type_bool,
    "list": _list,
    "dict": _dict,
    "raw": _raw,
}


def _hint(value: t.Any, kind: str) -> str:
    """Return what to write in place of a value of another type."""
    if kind in ("str", "path") and isinstance(value, (bool, int, float)):
        # YAML reads 012 as 10 and no as false: what was meant cannot be told any more.
        return "it has to be a text; put it in quotes."
    return {
        "str": "it has to be one text.",
        "path": "it has to be one path.",
        "int": "it has to be a whole number.",
        "bool": "it has to be true or false.",
        "list": "it has to be a list; on the command line, its parts are separated by commas, without blanks.",
        "dict": "it has to be a dictionary, of names with their values.",
    }[kind]


def _plain(sentence: str) -> str:
    """Return a sentence of the specs without its markup."""
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r"\1", sentence)
