# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that the settings of several roles have to keep. Each adds a sentence to the settings where one is broken.

A setting that is not there has a problem already, or was not written and needs not be.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from ansible_collections.wheelhouse.devpi.plugins.module_utils._names import NAME_RULE, is_index, is_name, is_reader
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings

CLOSED = ("/home", "/root", "/run", "/tmp", "/var/run", "/var/tmp", "/dev", "/proc", "/sys")
"""Folders that the sandboxes of the units close (ProtectHome, PrivateTmp, PrivateDevices), or that a boot empties."""

SYSTEM = (
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/sbin",
    "/srv",
    "/usr",
    "/var",
    "/var/lib",
)
"""Folders that are the host's own: what a role makes of a folder it gets whole, with owner and mode."""

RUNNING = frozenset({"dbus", "initctl", "lock", "log", "mount", "nginx", "sshd", "sudo", "systemd", "udev", "user"})
"""Folders below /run that belong to others."""

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")
_URL = re.compile(r"https?://(?P<login>[^\s/]*@)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@]+)(:[0-9]{1,5})?([/?#][^\s]*)?")
_PATH = re.compile(r"/[A-Za-z0-9/._+@-]*")
_SOCKET = re.compile(r"/run/(?!\.)[A-Za-z0-9._@-]+/(?!\.)[A-Za-z0-9._@-]+")
_PLACE = re.compile(r"((?P<four>[0-9.]+)|\[(?P<six>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]):(?P<port>[0-9]{1,5})")
_ENVIRONMENT_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def domain(settings: Settings, variable: str = "devpi_domain") -> None:
    """Require a host name."""
    value = settings.get(variable)
    if value is not None and not _DOMAIN.fullmatch(value):
        settings.refuse(
            variable,
            "it has to be a host name such as devpi.example.org, in lower case, without a scheme, a port or a path, "
            "and "
            "no address.",
        )


def url(settings: Settings, variable: str, may_be_empty: bool = False) -> None:
    """Require a URL of HTTP or HTTPS."""
    value = settings.get(variable)
    if value is None or (may_be_empty and not value):
        return
    if not _URL.fullmatch(value) or "'" in value:
        settings.refuse(
            variable,
            f"it has to be a URL that begins with https:// or http://, without blanks and quotes"
            f"{', or empty' if may_be_empty else ''}.",
        )


def numbers(settings: Settings, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Require numbers from the first to the second of each range."""
    for variable, (least, most) in ranges.items():
        value = settings.get(variable)
        if value is not None and not least <= value <= most:
            settings.refuse(variable, f"it has to be a whole number from {least} to {most}.")


def path(
    settings: Settings, variable: str, what: str = "the absolute path of a folder of the host", example: str = ""
) -> bool:
    """Require an absolute path that every template can carry. Returns whether it is one."""
    value = settings.get(variable)
    if value is None:
        return False
    if not _PATH.fullmatch(value) or ".." in PurePosixPath(value).parts:
        such_as = f", such as {example}" if example else ""
        settings.refuse(variable, f"it has to be {what}, of letters, digits and / . _ + @ -, without '..'{such_as}.")
        return False
    return True


def unix_socket(settings: Settings, variable: str) -> None:
    """Require the path of a socket, in a folder below /run that a role may have for itself."""
    value = settings.get(variable)
    if value is None:
        return
    # A longer path does not fit into an address (unix(7)).
    if len(value) > 107 or not _SOCKET.fullmatch(value) or PurePosixPath(value).parts[2] in RUNNING:
        settings.refuse(
            variable,
            f"it has to be a path in a folder of its own below /run, such as {settings.default(variable)}.",
        )


def place(settings: Settings, variable: str) -> None:
    """Require an address with a port, or nothing."""
    value = settings.get(variable)
    if value and not is_place(value):
        settings.refuse(variable, "it has to be an address with a port, such as 127.0.0.1:3141, or empty.")


def is_place(value: str) -> bool:
    """Whether a text is an address with a port, 192.0.2.1:3141 or [2001:db8::1]:3141. A host name is no address."""
    parts = _PLACE.fullmatch(value)
    if not parts or not 1 <= int(parts["port"]) <= 65535:
        return False
    try:
        ipaddress.ip_address(parts["four"] or parts["six"])
    except ValueError:
        return False
    return True


def folder(settings: Settings, variable: str) -> None:
    """Require the path of a folder that a role may have for itself, and that its units can reach."""
    value = settings.get(variable)
    default = settings.default(variable)
    if value is None or not path(settings, variable, example=default):
        return
    if str(PurePosixPath(value)) in SYSTEM:
        settings.refuse(variable, f"that is a folder of the system; write one of its own, such as {default}.")
    else:
        reachable(settings, variable, CLOSED, default)


def reachable(settings: Settings, variable: str, closed: Iterable[str], example: str) -> None:
    """Require a path that the sandboxes of the services do not close, and no boot empties."""
    value = PurePosixPath(settings.get(variable))
    for place in map(PurePosixPath, closed):
        if place in (value, *value.parents):
            settings.refuse(
                variable,
                f"the services of this role do not reach what is in {place}, or a boot empties it; write another "
                "path, such as "
                f"{example}.",
            )


def apart(settings: Settings, variables: Iterable[str]) -> None:
    """Require folders none of which lies in another one."""
    known = [(name, PurePosixPath(settings.get(name))) for name in variables if settings.get(name) is not None]
    for name, place in known:
        for other, outer in known:
            if name != other and outer in (place, *place.parents) and (place != outer or name > other):
                settings.refuse(name, f"it lies in {other} ({outer}); write a folder of its own.")


def one_line(settings: Settings, variable: str, without: str) -> None:
    """Require a text of one line where there is one: not empty, and no blank at its ends."""
    value = settings.get(variable)
    if value is not None and not re.fullmatch(r"[^\s\x00](?:[^\x00-\x1f\x7f]*[^\s\x00])?", value):
        settings.problems.append(
            f"{variable} is empty, begins or ends with a blank, or has several lines: give one line of text, or leave "
            "the "
            f"variable out {without}."
        )


def environment(settings: Settings, variable: str) -> None:
    """Require names and values that systemd and a shell read alike. A value may hold a password, and is never shown."""
    for name, value in (settings.get(variable) or {}).items():
        if not isinstance(name, str) or not _ENVIRONMENT_NAME.fullmatch(name):
            known = f" '{name}'" if re.fullmatch(r"[\w .-]{1,64}", str(name)) else ""
            settings.problems.append(
                f"{variable} has an entry{known} that cannot be written: a name has letters, digits and underscores, "
                "and does "
                "not begin with a digit."
            )
        elif not isinstance(value, str):
            settings.problems.append(f"{variable}.{name} has to be a text; put it in quotes.")
        elif re.search(r"['\x00-\x1f\x7f]", value):
            settings.problems.append(f"{variable}.{name} has to be one line of text, without single quotes.")


def private(settings: Settings) -> None:
    """Require names of indexes, users or all, each once, and readers that can be users or groups."""
    rules = items(settings.get("devpi_private"))
    for number, rule in enumerate(rules):
        place, name = f"devpi_private[{number}]", rule["name"]
        if name != "*" and not is_name(name) and not is_index(name):
            settings.problems.append(
                f"{place}.name is '{name}': it has to be an index such as team/dev, a user such as team, or '*' for "
                "all "
                f"({NAME_RULE})."
            )
        settings.problems += [
            f"{place}.readers has '{reader}': it has to be a user such as alice, or :GROUP ({NAME_RULE})."
            for reader in items(rule.get("readers"))
            if not is_reader(reader)
        ]
        if name in [other["name"] for other in rules[:number]]:
            settings.problems.append(f"{place}.name is '{name}' once more: write it once, with all its readers.")


def leave_out_readers(settings: Settings) -> None:
    """Let rules of what is private have readers only where they are written: none is not the same as nobody."""
    rules = settings.get("devpi_private")
    if rules is not None:
        settings.values["devpi_private"] = [
            {key: value for key, value in rule.items() if value is not None} for rule in rules
        ]


def authority_url(settings: Settings) -> str | None:
    """Return the URL that clients reach the index at, or None where the settings that it comes from have problems."""
    name, port = settings.get("devpi_domain"), settings.get("devpi_https_port")
    if name is None or port is None:
        return None
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


def items(values: t.Any) -> list[t.Any]:
    """Return a list, also of what has none."""
    return list(values or [])
