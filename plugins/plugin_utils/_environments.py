# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For which hosts a marker is true, and the tags of the wheels that such hosts take.

Both come from ``packaging``, which ansible-core brings to the controller: markers and tags mean here what they mean to
pip and uv, also those that are newer than this collection (abi3t of PEP 803).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

# ansible-core brings it along; a test of ansible-test imports this without it.
with suppress(ImportError):
    import packaging
    from packaging import tags
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
    from packaging.version import InvalidVersion, Version

_LINUX_MACHINES = ("x86_64", "aarch64", "i686", "armv7l", "ppc64le", "riscv64", "s390x", "loongarch64")
_MACHINES = {"linux": _LINUX_MACHINES, "darwin": ("x86_64", "arm64"), "win32": ("AMD64", "x86", "ARM64")}
_OS_NAMES = {"linux": "posix", "darwin": "posix", "win32": "nt"}
_SYSTEMS = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}
_WINDOWS_TAGS = {"x86": "win32", "AMD64": "win_amd64", "ARM64": "win_arm64"}

_PYTHONS = range(6, 26)
"""The minor versions of Python 3 that are told apart."""

_NEWEST_GLIBC, _NEWEST_MUSL, _NEWEST_MACOS = (2, 99), (1, 9), (40, 0)
"""A marker says nothing of them, so a host may have any up to these."""

_OPEN = ("python_full_version", "implementation_version", "platform_release", "platform_version", "extra")
_OPEN_SETS = ("extras", "dependency_groups")
"""Variables that a host leaves open: it counts where they can have values for which the marker is true."""


@cache
def _how() -> dict[str, Any]:
    """Return how markers are evaluated.

    The markers of locks know two variables more; older versions of packaging refuse them as no markers.
    """
    return {"context": "lock_file"} if Version(packaging.__version__) >= Version("25.0") else {}


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
        """The values of markers that it does not leave open."""
        return {
            "os_name": _OS_NAMES[self.system],
            "sys_platform": self.system,
            "platform_system": _SYSTEMS[self.system],
            "platform_machine": self.machine,
            "implementation_name": self.implementation,
            "platform_python_implementation": _IMPLEMENTATIONS[self.implementation],
            "python_version": f"3.{self.minor}",
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
def hosts_of_marker(text: str) -> Hosts:
    """Return the hosts for which a marker is true, or may be. Raises MarkerError."""
    try:
        marker = Marker(text)
    except InvalidMarker as reason:
        raise MarkerError(str(reason).partition("\n")[0]) from reason
    return frozenset(host for host in HOSTS if any(_holds(marker, values) for values in _all_values(host, str(marker))))


def hosts_of_markers(markers: Iterable[str]) -> Hosts:
    """Return the hosts for which one of the markers is true; all where there is none. Raises MarkerError."""
    found = [hosts_of_marker(marker) for marker in markers]
    return frozenset().union(*found) if found else frozenset(HOSTS)


def _holds(marker: Marker, values: dict[str, Any]) -> bool:
    try:
        return bool(marker.evaluate(values, **_how()))
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        # Nobody can tell, so no host is left out for it.
        return True


def _all_values(host: Host, marker: str) -> Iterator[dict[str, Any]]:
    """Yield what the variables of a marker may be on a host: all that can make a difference to this marker."""
    mentioned = re.findall(r"\"([^\"]*)\"|'([^']*)'", marker)
    texts = ["", *(one or other for one, other in mentioned)]
    named = [name for name in (*_OPEN, *_OPEN_SETS) if re.search(rf"\b{name}\b", marker)]
    choices: list[list[Any]] = [
        [frozenset(), frozenset(texts)]
        if name in _OPEN_SETS
        else _full_versions(host.minor, texts)
        if name == "python_full_version"
        else texts
        for name in named
    ]
    unnamed = {"python_full_version": f"3.{host.minor}.0", "extra": ""}
    for chosen in itertools.product(*choices):
        yield {**unnamed, **host.values, **dict(zip(named, chosen))}


def _full_versions(minor: int, texts: Iterable[str]) -> list[str]:
    """Return the versions of Python 3.MINOR beside those that a marker names, and the first and the last."""
    found = {f"3.{minor}.0", f"3.{minor}.10000"}
    for text in texts:
        with suppress(InvalidVersion):
            version = Version(text.removesuffix(".*"))
            if version.release[:2] == (3, minor):
                found |= {f"3.{minor}.{max(version.micro + step, 0)}" for step in (-1, 0, 1)} | {str(version)}
    return sorted(found)


def wheel_tags(hosts: Iterable[Host]) -> dict[str, Any]:
    """Return what tells for a wheel, by its name, which of these hosts take it.

    ``hosts`` are pairs of a place in ``pythons`` and one in ``platforms``: a host takes a wheel where the one has its
    tags of Python and ABI, as "cp312-abi3", and the other its platform. Texts and numbers only, to be sent as JSON.
    """
    ordered = sorted(hosts, key=HOSTS.index)
    pythons = list(dict.fromkeys((host.minor, host.implementation) for host in ordered))
    platforms = list(dict.fromkeys((host.system, host.machine) for host in ordered))
    return {
        "pythons": [sorted(_python_tags(*python)) for python in pythons],
        "platforms": [sorted(_platform_tags(*platform)) for platform in platforms],
        "hosts": [
            [pythons.index((host.minor, host.implementation)), platforms.index((host.system, host.machine))]
            for host in ordered
        ],
    }


@cache
def _python_tags(minor: int, implementation: str) -> frozenset[str]:
    version = (3, minor)
    if implementation == "pypy":
        interpreter = f"pp3{minor}"
        found = list(tags.generic_tags(interpreter, [f"pypy3{minor}_pp73"], ["any"]))
    else:
        interpreter = f"cp3{minor}"
        # No marker says whether its Python has a lock, so it may have either.
        builds = [interpreter, f"{interpreter}m"] if minor < 8 else [interpreter, f"{interpreter}t"]
        found = [tag for abi in builds for tag in tags.cpython_tags(version, [abi], ["any"])]
    found += tags.compatible_tags(version, interpreter, ["any"])
    return frozenset(f"{tag.interpreter}-{tag.abi}" for tag in found)


@cache
def _platform_tags(system: str, machine: str) -> frozenset[str]:
    if system == "win32":
        return frozenset({"any", _WINDOWS_TAGS[machine]})
    if system == "darwin":
        return frozenset({"any", *tags.mac_platforms(_NEWEST_MACOS, machine)})
    glibc, musl = (
        [f"{kind}_{newest[0]}_{minor}" for minor in range(newest[1] + 1)]
        for kind, newest in (("manylinux", _NEWEST_GLIBC), ("musllinux", _NEWEST_MUSL))
    )
    named = ("linux", "manylinux1", "manylinux2010", "manylinux2014", *glibc, *musl)
    return frozenset({"any", *(f"{name}_{machine}" for name in named)})
