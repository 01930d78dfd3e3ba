# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of the plugin devpi-tokens: what is wanted of one, what one allows, and which one a file holds.

Pure functions: they ask no server and no file. A restriction is written as devpi-tokens does (``dump`` in its
restrictions.py, 1.1.0): ``indexes=team/dev,team/prod``, ``expires=1900000000``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import index_name_problems

PERMISSIONS = (
    "del_entry",
    "del_project",
    "del_verdata",
    "index_create",
    "index_delete",
    "index_modify",
    "pkg_read",
    "toxresult_upload",
    "upload",
)
"""What a token can allow (``public_permissions`` in devpi_tokens/client.py, 1.1.0)."""

CLOCK_SLACK = 300
"""Seconds by which a clock may have been set back before a token counts as living longer than wanted."""

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LISTS = {"indexes": "indexes", "projects": "projects", "allowed": "permissions"}
"""The restrictions that are lists, in devpi-tokens' words and in the module's."""


@dataclass(frozen=True)
class Token:
    """A token as a client has it. ``restrictions`` are those that it was made with, and those added to it later."""

    user: str
    token_id: str
    restrictions: tuple[str, ...]


@dataclass(frozen=True)
class WantedToken:
    """What is wanted of a token. A list that is None does not limit it; times are in seconds."""

    user: str
    name: str
    indexes: Sequence[str] | None
    projects: Sequence[str] | None
    permissions: Sequence[str] | None
    lifetime: int
    renew_before: int

    @property
    def limits(self) -> dict[str, list[str]]:
        """The lists that limit the token, in the words of devpi-tokens."""
        lists = {word: getattr(self, own) for word, own in _LISTS.items()}
        return {word: sorted(set(items)) for word, items in lists.items() if items is not None}

    @property
    def restrictions(self) -> list[str]:
        """The restrictions that a token shall have, without the time when it expires."""
        return [
            f"not_before={marker(self.name)}",
            *(f"{word}={','.join(items)}" for word, items in self.limits.items()),
        ]

    def request(self, now: int) -> Config:
        """Return what the server has to be sent to make the token. ``now`` is in seconds since 1970."""
        return {**self.limits, "not_before": marker(self.name), "expires": now + self.lifetime}

    def is_met_by(self, restrictions: Sequence[str], now: int) -> bool:
        """Tell whether a token limits what it should, and has neither too little lifetime left nor too much."""
        times = [text for text in restrictions if text.startswith("expires=")]
        expires = expiry(times)
        if expires is None or {*restrictions} != {*self.restrictions, *times}:
            return False
        return self.renew_before < expires - now <= self.lifetime + CLOCK_SLACK


def marker(name: str) -> int:
    """Return the moment of long ago (before 2004) that marks the tokens of this name, in seconds since 1970.

    The server keeps no name of a token. A ``not_before`` that is over limits nothing, and is kept.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 2


def is_marked(restrictions: Sequence[str], name: str) -> bool:
    """Tell whether a token was made under this name."""
    return f"not_before={marker(name)}" in restrictions


def expiry(restrictions: Sequence[str]) -> int | None:
    """Return when a token expires, in seconds since 1970, or None where it never does."""
    times = [text.partition("=")[2] for text in restrictions if text.startswith("expires=")]
    return min((int(time) for time in times if time.isdigit()), default=None)


def shown(restrictions: Sequence[str]) -> Config:
    """Return what restrictions say, in the words of the module, for people."""
    said: Config = dict.fromkeys(_LISTS.values())
    for text in restrictions:
        key, _sign, value = text.partition("=")
        if key in _LISTS:
            said[_LISTS[key]] = value.split(",")
        elif key == "not_before" and value.isdigit():
            said[key] = moment(int(value))
    expires = expiry(restrictions)
    return {**said, "expires": "never" if expires is None else moment(expires)}


def moment(seconds: int) -> str:
    """Return a time, in seconds since 1970, as people read it."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        # A time after the year 9999.
        return str(seconds)


def seconds_of(text: str) -> int | None:
    """Return how many seconds ``90d`` are (m, h, d and w are known), or None for something else."""
    match = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def read_token(text: str) -> Token | None:
    """Return what a token says of itself, or None for what is no token. Its signature is for the server to check.

    A token is ``devpi-`` and a macaroon of version 2 in base64 (libmacaroons, doc/format.txt): fields of a type, a
    length and a value. Type 2 is first the identifier, ``user-id``, and then each restriction.
    """
    if not re.fullmatch(r"(devpi-)?[\w-]{40,}={0,2}", text, re.ASCII):
        return None
    encoded = re.sub("^devpi-", "", text)
    try:
        texts = [value.decode() for kind, value in _fields(base64.urlsafe_b64decode(encoded + "==")) if kind == 2]
    except (binascii.Error, IndexError, UnicodeDecodeError):
        return None
    user, dash, token_id = texts[0].rpartition("-") if texts else ("", "", "")
    return Token(user, token_id, tuple(texts[1:])) if dash else None


def _fields(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Yield type and value of each field of a macaroon. Raises IndexError where it ends too early."""
    position = 1 if data[0] == 2 else len(data)
    while position < len(data):
        kind = data[position]
        position += 1
        # Type 0 ends a section and has no value.
        length = shift = 0
        while kind:
            length |= (data[position] & 0x7F) << shift
            shift += 7
            position += 1
            if data[position - 1] < 0x80:
                break
        if position + length > len(data):
            raise IndexError
        yield kind, data[position : position + length]
        position += length


def token_problems(params: Mapping[str, t.Any]) -> list[str]:
    """Return what is wrong with the options of a token, a sentence each."""
    problems = []
    for option in ("indexes", "projects", "permissions"):
        if params[option] == []:
            problems.append(f"{option}: the list is empty, which would allow nothing; leave it out to limit nothing.")
    for name in params["indexes"] or ():
        problems += index_name_problems(name, "indexes")
    for name in params["projects"] or ():
        if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII):
            problems.append(f"projects: {name!r} is no name of a project; write one such as my-project.")
    lifetime, renew_before = seconds_of(params["lifetime"]), seconds_of(params["renew_before"] or "1m")
    for option, seconds in (("lifetime", lifetime), ("renew_before", renew_before)):
        if seconds is None:
            problems.append(
                f"{option}: {params[option]!r} is no span of time; write a number and m, h, d or w (minutes, hours, "
                "days or weeks), such as 90d."
            )
    if lifetime is not None and renew_before is not None and renew_before >= lifetime:
        problems.append(
            f"renew_before: {params['renew_before'] or '1m'} is not less than lifetime, {params['lifetime']}, so each "
            "run would make a new token; write less."
        )
    return problems


def wanted_token(params: Mapping[str, t.Any]) -> WantedToken:
    """Make what is wanted of the options, which must have no problems."""
    lifetime = t.cast(int, seconds_of(params["lifetime"]))
    renew_before = seconds_of(params["renew_before"] or "")
    projects = params["projects"]
    return WantedToken(
        user=params["user"],
        name=params["name"],
        indexes=params["indexes"],
        # The server compares normalised names; written so, they also compare with what it has.
        projects=projects and [re.sub(r"[-_.]+", "-", project).lower() for project in projects],
        permissions=params["permissions"],
        lifetime=lifetime,
        renew_before=lifetime // 3 if renew_before is None else renew_before,
    )
