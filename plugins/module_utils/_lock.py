# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lock names: ``requirements.txt`` as pip and uv write it, ``pylock.toml`` and ``uv.lock``.

The formats are those of pip's documentation (requirements file format), of packaging.python.org (pylock.toml, lock
version 1) and of uv (``uv.lock``, version 1, which has no specification).
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._distribution import normalised_name

try:
    import tomllib
except ImportError:  # It came with Python 3.11.
    tomllib = None  # type: ignore[assignment]  # That is how its absence is told.

PINNING = "`uv pip compile` and `pip freeze` write all pins"

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?P<rest>.*)")
_PIN = re.compile(r"\(?\s*={2,3}\s*(?P<version>[A-Za-z0-9_.!+-]+)\s*\)?")
_FOLLOWED = re.compile(r"(?P<option>-r|--requirement|-c|--constraint)(?:=|\s+|(?<=-[rc]))(?P<path>\S.*)")
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


def read_lock(path: Path) -> Lock:
    """Read a lock, with the files that it includes. Raises LockError with all that is wrong with it."""
    text = _text_of(path)
    if path.suffix in (".toml", ".lock") or re.search(r"^\[\[packages?\]\]", text, re.MULTILINE):
        return _toml_lock(path, text)
    return _Requirements().read(path, text)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as reason:
        raise LockError([f"{path} cannot be read on this host ({reason.strerror}); copy it there first."]) from reason
    except UnicodeDecodeError as reason:
        raise LockError([f"{path} is no text in UTF-8, so it is no lock."]) from reason


class _Requirements:
    """The lines of a requirements.txt and of what it includes."""

    def __init__(self) -> None:
        self._found: list[tuple[Package, str]] = []
        self._constraints: dict[str, str] = {}
        self._skipped: list[str] = []
        self._problems: list[str] = []
        self._read: set[tuple[Path, bool]] = set()

    def read(self, path: Path, text: str) -> Lock:
        """Return what a file with this text names. Raises LockError."""
        self._file(path, text, is_constraint=False)
        packages = []
        for package, said in self._found:
            version = package.version or self._constraints.get(package.project, "")
            if not version:
                self._problems.append(
                    f"{package.place}: {said!r} does not name one version; write {package.project}==VERSION "
                    f"({PINNING})."
                )
            packages.append(Package(package.project, package.place, version, {}, package.hashes, package.markers))
        if self._problems:
            raise LockError(self._problems)
        return Lock(tuple(packages), (), tuple(self._skipped))

    def _file(self, path: Path, text: str, is_constraint: bool) -> None:
        if (path.resolve(), is_constraint) in self._read:
            return
        self._read.add((path.resolve(), is_constraint))
        for number, line in _lines(text):
            place = f"{path}, line {number}"
            followed = _FOLLOWED.fullmatch(line)
            if followed:
                only_limits = is_constraint or followed["option"] in ("-c", "--constraint")
                self._follow(path, place, followed["path"].strip("'\""), only_limits)
            elif re.match(r"(-e|--editable)\b", line) or _is_from_elsewhere(line):
                self._skipped += [] if is_constraint else [f"{place}: {_without_login(line)}"]
            elif not line.startswith("-"):
                self._requirement(place, line, is_constraint)

    def _follow(self, path: Path, place: str, name: str, is_constraint: bool) -> None:
        if "://" in name:
            self._problems.append(f"{place}: {_without_login(name)} is a URL; name a file on this host.")
            return
        try:
            self._file(path.parent / name, _text_of(path.parent / name), is_constraint)
        except LockError as reason:
            self._problems += [f"{place}: {sentence}" for sentence in reason.reasons]

    def _requirement(self, place: str, line: str, is_constraint: bool) -> None:
        said, *options = re.split(r"\s+(?=--)", line)
        match = _REQUIREMENT.fullmatch(said)
        if match is None:
            self._problems.append(f"{place}: {said!r} is no requirement; write NAME==VERSION.")
            return
        project = normalised_name(match["name"])
        wanted, _semicolon, marker = match["rest"].partition(";")
        pin = _PIN.fullmatch(wanted.strip())
        version = pin["version"] if pin else ""
        if is_constraint:
            if version:
                self._constraints[project] = version
            return
        hashes = set()
        for option in options:
            algorithm, _colon, digest = re.sub(r"--hash(=|\s+)", "", option).strip().partition(":")
            if option.startswith("--hash") and algorithm == "sha256":
                hashes.add(digest.lower())
        if not hashes and any(option.startswith("--hash") for option in options):
            self._problems.append(f"{place}: {said!r} has no sha256 among its hashes; write --hash=sha256:…")
        markers = (marker.strip(),) if marker.strip() else ()
        self._found.append((Package(project, place, version, {}, frozenset(hashes), markers), said))


def _lines(text: str) -> t.Iterator[tuple[int, str]]:
    """Yield the lines with their numbers as pip joins them: without comments, and with what follows a backslash."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            joined += line[:-1]
            continue
        whole = re.sub(r"(^|\s+)#.*$", "", joined + (" " if is_comment else line)).strip()
        if whole:
            yield first, whole
        joined, first = "", 0
    if joined.strip():
        yield first, joined.strip()


def _is_from_elsewhere(line: str) -> bool:
    """Tell whether a requirement is a URL, or a file or folder, rather than a name."""
    said = re.split(r"\s+--|\s*;", line)[0]
    if said.startswith("-"):
        return False
    named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*@", said)
    place = re.match(r"\.{0,2}/|\.{1,2}$|\S+://|file:", said)
    return bool(named or place) or said.endswith((".whl", ".tar.gz", ".zip"))


def _without_login(text: str) -> str:
    return re.sub(r"(?<=//)[^/\s]*@", "********@", text)


def _toml_lock(path: Path, text: str) -> Lock:
    if tomllib is None:
        raise LockError(
            [
                f"{path}: the Python of this host is older than 3.11 and reads no TOML; set ansible_python_interpreter "
                "to a newer one, or write it as requirements.txt (uv export --format requirements-txt)."
            ]
        )
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


def _pylock(path: Path, data: Mapping[str, t.Any]) -> Lock:
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


def _uv_lock(path: Path, data: Mapping[str, t.Any]) -> Lock:
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


def _is_from_an_index(source: Mapping[str, t.Any], place: str, skipped: list[str]) -> bool:
    """Tell whether an index may have a package. What comes from elsewhere is added to ``skipped``."""
    for kind in _FROM_ELSEWHERE:
        if kind in source:
            what = source[kind]
            where = what if isinstance(what, str) else what.get("url") or what.get("path")
            skipped.append(f"{place}: {kind} {_without_login(where)}")
            return False
    return not any(kind in source for kind in _LOCAL_PROJECTS)


def _listed(entry: Mapping[str, t.Any]) -> list[t.Any]:
    return [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]


def _package(
    entry: Mapping[str, t.Any], place: str, files: Mapping[str, str | None], markers: tuple[str, ...]
) -> Package:
    return Package(normalised_name(entry["name"]), place, entry.get("version", ""), files, markers=markers)


def _file_name(file: Mapping[str, t.Any]) -> str:
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
