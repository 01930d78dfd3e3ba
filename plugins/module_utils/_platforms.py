# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are for which platforms: environment markers on one side, the tags in the names of wheels on the other.

Both are sets of the same hosts, so that a file is for an environment where they have one in common. The managed host
has no library ``packaging``. What both sides mean is in the specifications on packaging.python.org: dependency
specifiers, and platform compatibility tags.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

_LINUX_MACHINES = ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "riscv64", "s390x", "loongarch64")
_MACHINES = {"linux": _LINUX_MACHINES, "darwin": ("x86_64", "arm64"), "win32": ("AMD64", "x86", "ARM64")}
_OS_NAMES = {"linux": "posix", "darwin": "posix", "win32": "nt"}
_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}
_PYTHONS = range(6, 26)
"""The minor versions of Python 3 that are told apart."""

_WINDOWS_TAGS = {"win32": "x86", "win_amd64": "AMD64", "win_arm64": "ARM64"}
_MAC_MACHINES = {"universal2": ("x86_64", "arm64"), "universal": ("x86_64",), "intel": ("x86_64",)}

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<sign>[()])|(?P<op>===|~=|==|!=|<=|>=|<|>)|(?P<word>[A-Za-z_][A-Za-z0-9_.]*))"""
)
_VARIABLES = (
    *("os_name", "sys_platform", "platform_machine", "platform_python_implementation", "platform_release"),
    *("platform_system", "platform_version", "python_version", "python_full_version", "implementation_name"),
    *("implementation_version", "extra", "extras", "dependency_groups"),
)


class MarkerError(ValueError):
    """Text that is no environment marker, told in a part of a sentence."""


@dataclass(frozen=True)
class Host:
    """A host on which packages may be installed, as far as markers and tags tell hosts apart. ``minor`` is Python's."""

    system: str
    machine: str
    minor: int
    implementation: str

    @property
    def values(self) -> dict[str, str]:
        """The values of markers. Those that are missing may be anything."""
        return {
            "os_name": _OS_NAMES[self.system],
            "sys_platform": self.system,
            "platform_system": _SYSTEMS[self.system],
            "platform_machine": self.machine,
            "implementation_name": self.implementation,
            "platform_python_implementation": _IMPLEMENTATIONS[self.implementation],
        }


HOSTS = tuple(
    Host(system, machine, minor, implementation)
    for system, machines in _MACHINES.items()
    for machine in machines
    for minor in _PYTHONS
    for implementation in _IMPLEMENTATIONS
)

Hosts = frozenset[Host]


@cache
def hosts_of_marker(marker: str) -> Hosts:
    """Return the hosts for which a marker is true, or may be. Raises MarkerError."""
    holds = _Parser(marker).marker()
    return frozenset(host for host in HOSTS if holds(host) is not False)


def hosts_of_markers(markers: Iterable[str]) -> Hosts:
    """Return the hosts for which one of the markers is true; all where there is none. Raises MarkerError."""
    found = [hosts_of_marker(marker) for marker in markers]
    return frozenset().union(*found) if found else frozenset(HOSTS)


@cache
def hosts_of_file(file_name: str) -> Hosts:
    """Return the hosts that a distribution is for, by its name: a source distribution is for all."""
    tags = file_name[: -len(".whl")].split("-")[-3:]
    if not file_name.endswith(".whl") or len(tags) < 3:
        return frozenset(HOSTS)
    pythons, abis, platforms = (tag.split(".") for tag in tags)
    return frozenset(
        host
        for host in HOSTS
        if any(_is_on(host, platform) for platform in platforms)
        and any(_runs(host, python, abi) for python in pythons for abi in abis)
    )


def _is_on(host: Host, platform: str) -> bool:
    if platform == "any":
        return True
    if platform in _WINDOWS_TAGS:
        return (host.system, host.machine) == ("win32", _WINDOWS_TAGS[platform])
    linux = re.fullmatch(r"(?:manylinux(?:1|2010|2014|_\d+_\d+)|musllinux_\d+_\d+|linux)_(\w+)", platform)
    if linux:
        return (host.system, host.machine) == ("linux", linux[1])
    mac = re.fullmatch(r"macosx_\d+_\d+_(\w+)", platform)
    return mac is not None and host.system == "darwin" and host.machine in _MAC_MACHINES.get(mac[1], (mac[1],))


def _runs(host: Host, python: str, abi: str) -> bool:
    match = re.fullmatch(r"(py|cp|pp)3(\d*)", python)
    if match is None:
        return False
    minor = int(match[2]) if match[2] else None
    if match[1] != "py" and host.implementation != {"cp": "cpython", "pp": "pypy"}[match[1]]:
        return False
    if minor is None:
        return True
    return host.minor >= minor if match[1] == "py" or abi == "abi3" else host.minor == minor


Held = t.Callable[[Host], "bool | None"]
"""Tells whether something holds on a host; None where that is not known."""


class _Parser:
    """Reads one marker."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise MarkerError(f"{text[place:].strip()!r} cannot be read")
            kind = str(match.lastgroup)
            self._tokens.append((kind, match[kind]))
            place = match.end()

    def marker(self) -> Held:
        """Return what the whole text says."""
        held = self._either()
        if self._tokens:
            raise MarkerError(f"{self._tokens[0][1]!r} is one too many")
        return held

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise MarkerError("it ends too early")
        return self._tokens.pop(0)

    def _either(self) -> Held:
        parts = [self._both()]
        while self._tokens[:1] == [("word", "or")]:
            self._tokens.pop(0)
            parts.append(self._both())
        return lambda host: _any(part(host) for part in parts)

    def _both(self) -> Held:
        parts = [self._one()]
        while self._tokens[:1] == [("word", "and")]:
            self._tokens.pop(0)
            parts.append(self._one())
        return lambda host: _all(part(host) for part in parts)

    def _one(self) -> Held:
        if self._tokens[:1] == [("sign", "(")]:
            self._tokens.pop(0)
            held = self._either()
            if self._next() != ("sign", ")"):
                raise MarkerError("a parenthesis is not closed")
            return held
        left, op, right = self._value(), self._operator(), self._value()
        return lambda host: _compared(host, left, op, right)

    def _value(self) -> tuple[str, str]:
        kind, text = self._next()
        if kind == "text":
            return kind, text[1:-1]
        name = text.replace(".", "_")
        if kind != "word" or name not in _VARIABLES:
            raise MarkerError(f"{text!r} is no variable of markers")
        return kind, name

    def _operator(self) -> str:
        kind, text = self._next()
        if text == "not" and self._next() == ("word", "in"):
            return "not in"
        if kind != "op" and text != "in":
            raise MarkerError(f"{text!r} is no comparison")
        return text


def _any(values: Iterable[bool | None]) -> bool | None:
    found = set(values)
    return True if True in found else None if None in found else False


def _all(values: Iterable[bool | None]) -> bool | None:
    found = set(values)
    return False if False in found else None if None in found else True


_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _compared(host: Host, left: tuple[str, str], op: str, right: tuple[str, str]) -> bool | None:
    if left[0] == "text" and right[0] == "word" and op not in ("in", "not in"):
        left, op, right = right, _MIRRORED.get(op, op), left
    names = [name for kind, name in (left, right) if kind == "word"]
    if op not in ("in", "not in") and names in (["python_version"], ["python_full_version"]):
        return _version_compared(host.minor, names[0] == "python_full_version", op, right[1])
    values = {**host.values, "python_version": f"3.{host.minor}"}
    if any(name not in values for name in names):
        return None
    one, other = (values[text] if kind == "word" else text for kind, text in (left, right))
    if op in ("in", "not in"):
        return (one in other) == (op == "in")
    return {"==": one == other, "===": one == other, "!=": one != other}.get(op)


def _version_compared(minor: int, is_full: bool, op: str, wanted: str) -> bool | None:
    """Compare 3.MINOR; of the full version, the third number may be any."""
    match = re.fullmatch(r"(\d+(?:\.\d+)*)(\.\*)?", wanted.strip())
    if match is None:
        # Such as 3.13.0b1.
        return None
    numbers = tuple(int(number) for number in match[1].split("."))
    patches: Sequence[tuple[int, ...]] = [(3, minor, patch) for patch in (0, 10_000)] if is_full else [(3, minor)]
    if match[2]:
        same = {(*version, 0, 0)[: len(numbers)] == numbers for version in patches}
        found = {one == (op == "==") for one in same}
    else:
        found = {_is_so(version, op, numbers) for version in patches}
        if is_full and op in ("==", "===", "!=") and numbers[:2] == (3, minor) and len(numbers) > 2:
            return None
    return found.pop() if len(found) == 1 else None


def _is_so(version: tuple[int, ...], op: str, wanted: tuple[int, ...]) -> bool:
    length = max(len(version), len(wanted))
    one, other = ((*numbers, *[0] * length)[:length] for numbers in (version, wanted))
    if op == "~=":
        return one >= other and version[: len(wanted) - 1] == wanted[:-1]
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other, "!=": one != other}.get(
        op, one == other
    )
