# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lock names: ``requirements.txt`` as pip and uv write it, ``pylock.toml`` and ``uv.lock``.

The formats are those of pip's documentation (requirements file format), of packaging.python.org (pylock.toml, lock
version 1) and of uv (``uv.lock``, version 1, which has no specification). The controller reads them, because it has
``packaging`` and a Python that reads TOML; how a file gets there is given (``Read``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import tomllib
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._environments import (
    Host,
    Hosts,
    MarkerError,
    hosts_of_markers,
    wheel_tags,
)
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._requirements_file import (
    Line,
    LineError,
    decoded,
    line_of,
    lines,
)

# See _environments.py.
with suppress(ImportError):
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

Read = Callable[[str], bytes]
"""Returns the content of a file of the managed host. Raises LockError where there is none."""

PINNING = "`uv pip compile` and `pip freeze` write all pins"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FROM_ELSEWHERE = ("vcs", "archive", "git", "url", "path")
_LOCAL_PROJECTS = ("directory", "editable", "virtual")
"""Kinds of packages in pylock.toml and uv.lock. A local project, which most locks have, is nothing to tell of."""


class LockError(Exception):
    """A lock that cannot be used. Holds one sentence for each reason."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = list(reasons)
        super().__init__("\n".join(self.reasons))


@dataclass(frozen=True)
class Package:
    """A package in a lock.

    ``project`` is its normalised name and ``place`` where the lock names it. ``files`` are the names of its files with
    their SHA-256 in hex, None where the lock does not say it. A ``requirements.txt`` names no files, but a ``version``
    and perhaps ``hashes``. ``markers`` are those of which one must hold; none hold everywhere.
    """

    project: str
    place: str
    version: str = ""
    files: Mapping[str, str | None] = field(default_factory=dict)
    hashes: frozenset[str] = frozenset()
    markers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lock:
    """A lock. ``environments`` are the markers that it is for, ``skipped`` what no index can have."""

    packages: tuple[Package, ...]
    environments: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def plan(path: str, environments: Iterable[str] | None, read: Read) -> dict[str, Any]:
    """Return what the module devpi_prefetch is told of a lock, as texts, numbers, lists and dictionaries.

    ``environments`` are the markers of the hosts that count; None stands for those that the lock names. ``packages``
    have the fields of Package, with the numbers of their hosts (None for all) in place of the markers; ``tags`` is what
    ``wheel_tags`` says of these hosts. Raises LockError with all that is wrong.
    """
    lock = read_lock(path, read)
    place = f"{path}, its environments" if environments is None else "environments"
    counted = _counted_hosts(place, lock.environments if environments is None else tuple(environments))
    ordered = [] if counted is None else sorted(counted, key=_order)
    problems: list[str] = []
    packages = []
    for package in lock.packages:
        hosts = None
        if counted is not None:
            try:
                its_own = hosts_of_markers(package.markers)
                hosts = [number for number, host in enumerate(ordered) if host in its_own]
            except MarkerError as reason:
                problems.append(f"{package.place}: its marker is wrong ({reason}); correct it.")
        packages.append(
            {
                "project": package.project,
                "place": package.place,
                "version": package.version,
                "files": dict(package.files),
                "hashes": sorted(package.hashes),
                "hosts": hosts,
            }
        )
    if problems:
        raise LockError(problems)
    return {"packages": packages, "skipped": list(lock.skipped), "tags": wheel_tags(ordered)}


def _order(host: Host) -> tuple[str, str, int, str]:
    return host.system, host.machine, host.minor, host.implementation


def _counted_hosts(place: str, environments: tuple[str, ...]) -> Hosts | None:
    """Return the hosts for which files are wanted, None for all there are. Raises LockError."""
    if not environments:
        return None
    example = "sys_platform == 'linux' and platform_machine == 'x86_64'"
    try:
        hosts = hosts_of_markers(environments)
    except MarkerError as reason:
        raise LockError([f"{place}: that is no environment marker ({reason}); write such as {example}."]) from reason
    if not hosts:
        said = " or ".join(map(repr, environments))
        raise LockError([f"{place}: {said} is true on no platform that is known; write such as {example}."])
    return hosts


def read_lock(path: str, read: Read) -> Lock:
    """Read a lock, with the files that it includes. Raises LockError with all that is wrong with it."""
    text = _text_of(path, read)
    if path.endswith((".toml", ".lock")) or re.search(r"^\[\[packages?\]\]", text, re.MULTILINE):
        return _toml_lock(path, text)
    return _Requirements(read).read(path, text)


def _text_of(path: str, read: Read) -> str:
    try:
        return decoded(read(path))
    except (UnicodeDecodeError, LookupError) as reason:
        raise LockError(
            [f"{path} is no text in UTF-8, nor in an encoding that it names, so it is no lock: write it as UTF-8."]
        ) from reason


class _Requirements:
    """The lines of a requirements.txt and of what it includes."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._found: list[tuple[str, Line, Requirement]] = []
        self._constraints: dict[str, list[Requirement]] = {}
        self._skipped: list[str] = []
        self._problems: list[str] = []
        self._seen: set[tuple[str, bool]] = set()

    def read(self, path: str, text: str) -> Lock:
        """Return what a file with this text names. Raises LockError."""
        self._file(path, text, is_constraint=False)
        packages = [package for place, line, wanted in self._found for package in self._pinned(place, line, wanted)]
        if self._problems:
            raise LockError(self._problems)
        return Lock(tuple(packages), (), tuple(self._skipped))

    def _file(self, path: str, text: str, is_constraint: bool) -> None:
        if (posixpath.normpath(path), is_constraint) in self._seen:
            return
        self._seen.add((posixpath.normpath(path), is_constraint))
        for number, said in lines(text):
            place = f"{path}, line {number}"
            try:
                line = line_of(number, said)
            except LineError as reason:
                self._problems.append(f"{place}: {masked(said)!r} is no requirement ({reason}); write NAME==VERSION.")
                continue
            for name in line.requirements:
                self._follow(path, place, name, is_constraint)
            for name in line.constraints:
                self._follow(path, place, name, is_constraint=True)
            if line.elsewhere:
                self._skipped += [] if is_constraint else [f"{place}: {masked(said)}"]
            elif line.requirement is not None and is_constraint:
                self._constraints.setdefault(canonicalize_name(line.requirement.name), []).append(line.requirement)
            elif line.requirement is not None:
                self._found.append((place, line, line.requirement))

    def _follow(self, path: str, place: str, name: str, is_constraint: bool) -> None:
        if "://" in name:
            self._problems.append(f"{place}: {masked(name)} is a URL; name a file on this host.")
            return
        included = posixpath.join(posixpath.dirname(path), name)
        try:
            self._file(included, _text_of(included, self._read), is_constraint)
        except LockError as reason:
            self._problems += [f"{place}: {sentence}" for sentence in reason.reasons]

    def _pinned(self, place: str, line: Line, wanted: Requirement) -> list[Package]:
        """Return a package for each version that a requirement is pinned to, by itself or by constraints."""
        said, project = str(wanted).partition(";")[0].strip(), canonicalize_name(wanted.name)
        if line.has_hashes and not line.sha256:
            self._problems.append(f"{place}: {said!r} has no sha256 among its hashes; write --hash=sha256:…")
        limits = self._constraints.get(project, [])
        pins: list[tuple[str, tuple[Requirement, ...]]] = [(version, (wanted,)) for version in _versions(wanted)] or [
            (version, (wanted, limit)) for limit in limits for version in _versions(limit)
        ]
        if not pins:
            self._problems.append(f"{place}: {said!r} does not name one version; write {project}==VERSION ({PINNING}).")
        packages = []
        for version, sources in pins:
            markers = [str(source.marker) for source in sources if source.marker is not None]
            joined = (" and ".join(f"({marker})" for marker in markers),) if markers else ()
            packages.append(Package(project, place, version, {}, line.sha256, joined))
        return packages


def _versions(requirement: Requirement) -> list[str]:
    """Return the version that a requirement names, if it names one."""
    pins = list(requirement.specifier)
    if len(pins) != 1 or pins[0].operator not in ("==", "===") or pins[0].version.endswith(".*"):
        return []
    return [pins[0].version]


def _toml_lock(path: str, text: str) -> Lock:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as reason:
        raise LockError([f"{path} is no TOML that can be read: {reason}."]) from reason
    try:
        if "lock-version" in data:
            return _pylock(path, data)
        if isinstance(data.get("package"), list) and isinstance(data.get("version"), int):
            return _uv_lock(path, data)
    except (KeyError, TypeError, AttributeError, ValueError) as reason:
        raise LockError([f"{path} is damaged: it has not the parts of a lock ({reason}); make it anew."]) from reason
    raise LockError(
        [
            f"{path} is neither a requirements.txt nor a pylock.toml nor a uv.lock; write it as one of them, such as "
            "by `uv lock`, `pip lock`, or `poetry export`."
        ]
    )


def _pylock(path: str, data: Mapping[str, Any]) -> Lock:
    if not str(data["lock-version"]).startswith("1."):
        raise LockError([f"{path}: its lock-version is {data['lock-version']}, and only 1 is known; write 1.0."])
    packages = []
    skipped: list[str] = []
    for entry in data.get("packages", []):
        place = f"{path}, {entry['name']}"
        if _is_from_an_index(entry, place, skipped):
            markers = (entry["marker"],) if "marker" in entry else ()
            files = {_file_name(file): _checked(file.get("hashes", {}).get("sha256")) for file in _listed(entry)}
            packages.append(_package(entry, place, files, markers))
    return Lock(tuple(packages), tuple(data.get("environments", [])), tuple(skipped))


def _uv_lock(path: str, data: Mapping[str, Any]) -> Lock:
    if data["version"] != 1:
        raise LockError([f"{path}: its version is {data['version']}, and only 1 is known; export it to pylock.toml."])
    packages = []
    skipped: list[str] = []
    for entry in data["package"]:
        place = f"{path}, {entry['name']} {entry.get('version', '')}".rstrip()
        if _is_from_an_index(entry["source"], place, skipped):
            markers = tuple(entry.get("resolution-markers", []))
            files = {_file_name(file): _checked(file.get("hash", "").partition(":")[2]) for file in _listed(entry)}
            packages.append(_package(entry, place, files, markers))
    return Lock(tuple(packages), tuple(data.get("supported-markers", [])), tuple(skipped))


def _is_from_an_index(source: Mapping[str, Any], place: str, skipped: list[str]) -> bool:
    """Tell whether an index may have a package. What comes from elsewhere is added to ``skipped``."""
    for kind in _FROM_ELSEWHERE:
        if kind in source:
            what = source[kind]
            where = what if isinstance(what, str) else what.get("url") or what.get("path")
            skipped.append(f"{place}: {kind} {masked(where)}")
            return False
    return not any(kind in source for kind in _LOCAL_PROJECTS)


def _listed(entry: Mapping[str, Any]) -> list[Any]:
    return [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]


def _package(
    entry: Mapping[str, Any], place: str, files: Mapping[str, str | None], markers: tuple[str, ...]
) -> Package:
    return Package(canonicalize_name(entry["name"]), place, entry.get("version", ""), files, markers=markers)


def _file_name(file: Mapping[str, Any]) -> str:
    """Return the name of a file, which a lock may leave to its URL or path."""
    said = file.get("name") or file.get("filename")
    place = str(file.get("url") or file.get("path") or "")
    name = str(said) if said else unquote(urlsplit(place).path if "url" in file else place).replace("\\", "/")
    name = name.rpartition("/")[2]
    if not name:
        raise ValueError("a file without a name")
    return name


def _checked(digest: str | None) -> str | None:
    """Return a SHA-256 in lower case. Raises ValueError for other text."""
    if not digest:
        return None
    if not _SHA256.fullmatch(digest.lower()):
        raise ValueError(f"{digest!r} is no SHA-256")
    return digest.lower()
