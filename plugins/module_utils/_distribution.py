# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels, source distributions and documentation in files of this host: what they are, and whether they are whole."""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import typing as t
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path

SOURCE_SUFFIXES = (".tar.gz", ".zip")
SUFFIXES = (".whl", *SOURCE_SUFFIXES)

_BLOCK = 1 << 20

_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-(?P<version>[A-Za-z0-9_.!+]+)(?:-\d[A-Za-z0-9_.]*)?"
    r"(?:-[A-Za-z0-9_.]+){3}\.whl"
)
"""The name of a wheel: name, version, build number, and three tags (packaging.python.org, binary distributions)."""

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*-[A-Za-z0-9._+!-]+(?:\.tar\.gz|\.zip)")

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_n>\d*))?"
    r"(?P<post>-(?P<post_n1>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n2>\d*))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_n>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
"""A version in any spelling that the specification of versions allows (its appendix has this expression)."""

_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

METADATA_KEYS = (
    *("metadata_version", "summary", "home_page", "author", "author_email", "maintainer", "maintainer_email"),
    *("license", "license_expression", "license_file", "description_content_type", "keywords", "platform"),
    *("supported_platform", "classifiers", "download_url", "provides", "requires", "obsoletes", "project_urls"),
    *("provides_dist", "obsoletes_dist", "requires_dist", "requires_external", "requires_python"),
    *("provides_extras", "dynamic"),
)
"""What devpi keeps of a release (``metadata_keys`` in devpi_server/model.py, 6.20.3), without name and description."""

_PLURALS = {"classifiers": "classifier", "project_urls": "project_url", "provides_extras": "provides_extra"}


class FileError(Exception):
    """A file that cannot be uploaded, told in a sentence that names it."""


@dataclass(frozen=True)
class Distribution:
    """A wheel or a source distribution. ``project`` is its normalised name, ``sha256`` that of the file, in hex."""

    path: Path
    project: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name of the file, by which an index knows it."""
        return self.path.name


@dataclass(frozen=True)
class Metadata:
    """What a distribution says of itself. ``fields`` are those of the upload form, name and version included."""

    version: str
    fields: tuple[tuple[str, str], ...]


def found_in(paths: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the distributions in files and folders (not in their subfolders), and what is wrong with the paths."""
    found: dict[Path, None] = {}
    problems = []
    for path in map(Path, paths):
        if path.is_dir():
            try:
                inside = sorted(entry for entry in path.iterdir() if _may_be_distribution(entry))
            except OSError as reason:
                problems.append(f"files: the folder {path} cannot be read on this host ({reason.strerror}).")
                continue
            if not inside:
                problems.append(
                    f"files: the folder {path} on this host holds no distribution ({', '.join(SUFFIXES)}): correct "
                    "the name, or put some in."
                )
            found.update(dict.fromkeys(inside))
        elif path.is_file():
            found[path] = None
        else:
            problems.append(f"files: {path} is neither a file nor a folder on this host; copy it there first.")
    return list(found), problems


def _may_be_distribution(path: Path) -> bool:
    name = path.name
    return name.endswith(SUFFIXES) and not name.endswith(".doc.zip") and not name.startswith(".") and path.is_file()


def distribution(path: Path) -> Distribution:
    """Return what a file is, by its name or, for a source distribution, by its metadata. Raises FileError."""
    wheel = _WHEEL.fullmatch(path.name)
    if wheel:
        name = wheel["name"]
    elif _SOURCE.fullmatch(path.name):
        # Names of old source distributions can be split in several ways: foo-bar-1.0-2.tar.gz.
        name = _headers(path, _metadata_text(path))[0]
    else:
        raise FileError(
            f"{path}: its name is not that of a distribution; wheels are called NAME-VERSION-PYTHON-ABI-PLATFORM.whl, "
            "source distributions NAME-VERSION.tar.gz. Build it again rather than rename it."
        )
    try:
        return Distribution(path, normalised_name(name), sha256_of(path))
    except OSError as reason:
        raise FileError(f"{path}: cannot be read on this host ({reason.strerror}).") from reason


def metadata(of: Distribution) -> Metadata:
    """Read a distribution to its end and return its metadata.

    Raises FileError where it is damaged, or is not what the name of the file says.
    """
    path = of.path
    text = _metadata_text(path, to_the_end=True)
    name, version, message = _headers(path, text)
    if normalised_name(name) != of.project:
        raise FileError(
            f"{path}: its metadata says Name: {name}, which is not the name of the file; build it again rather than "
            "rename it."
        )
    written = version_in_file_name(path.name, name)
    if normalised_version(written) != normalised_version(version):
        raise FileError(
            f"{path}: its metadata says Version: {version}, but the name of the file says {written}; build it again "
            "rather than rename it."
        )
    # devpi wants to find the version in the name of the file (``version_in_filename`` in its views).
    posted = version if re.sub(r"[^\w.]+", "_", version) in path.name or version in path.name else written
    fields = [("name", name), ("version", posted)]
    for key in METADATA_KEYS:
        header = _PLURALS.get(key, key).replace("_", "-")
        fields += [(key, str(value)) for value in message.get_all(header, [])]
    description = message.get("Description") or message.get_payload()
    if isinstance(description, str) and description:
        fields.append(("description", description))
    return Metadata(posted, tuple(fields))


def normalised_name(name: str) -> str:
    """Return the name of a project as indexes compare it."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).lower()


def normalised_version(version: str) -> str:
    """Return a version as it compares: ``1.0``, ``v1`` and ``1.0.0`` are one. Other text is returned in lower case."""
    text = version.strip().lower()
    match = _VERSION.fullmatch(text)
    if match is None:
        return text
    part = match.groupdict()
    numbers = [int(number) for number in part["release"].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    found = f"{int(part['epoch'] or 0)}!{'.'.join(map(str, numbers))}"
    if part["pre"]:
        found += f"{_PRE.get(part['pre'], part['pre'])}{int(part['pre_n'] or 0)}"
    if part["post"]:
        found += f".post{int(part['post_n1'] or part['post_n2'] or 0)}"
    if part["dev"]:
        found += f".dev{int(part['dev_n'] or 0)}"
    if part["local"]:
        pieces = re.split(r"[-_.]", part["local"])
        found += "+" + ".".join(str(int(piece)) if piece.isdigit() else piece for piece in pieces)
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(lambda: file.read(_BLOCK), b""):
            digest.update(part)
    return digest.hexdigest()


def version_in_file_name(file_name: str, name: str) -> str:
    """Return the version in the name of a file of the project ``name``, which ends in one of SUFFIXES."""
    wheel = _WHEEL.fullmatch(file_name)
    if wheel:
        return wheel["version"].replace("_", "-")
    stem = file_name[: -len(next(suffix for suffix in SOURCE_SUFFIXES if file_name.endswith(suffix)))]
    # The name has as many letters and digits there as in the metadata, with any signs between them.
    pattern = r"[^A-Za-z0-9]+".join(re.escape(word) for word in normalised_name(name).split("-"))
    match = re.match(rf"{pattern}-", stem, re.IGNORECASE)
    return stem[match.end() :] if match else stem


def _headers(path: Path, text: str) -> tuple[str, str, t.Any]:
    message = message_from_string(text)
    name, version = str(message.get("Name", "")).strip(), str(message.get("Version", "")).strip()
    if not name or not version:
        raise FileError(f"{path}: its metadata has no Name or no Version; build it again.")
    return name, version, message


def _metadata_text(path: Path, to_the_end: bool = False) -> str:
    """Return METADATA of a wheel or PKG-INFO of a source distribution. ``to_the_end`` checks the whole archive."""
    try:
        if path.name.endswith(".tar.gz"):
            content = _in_tar(path, to_the_end)
        else:
            wanted = "METADATA" if path.name.endswith(".whl") else "PKG-INFO"
            content = _in_zip(path, wanted, to_the_end)
    except OSError as reason:
        # gzip tells a wrong checksum as an OSError without a number.
        if reason.errno is not None:
            raise FileError(f"{path}: cannot be read on this host ({reason.strerror}).") from reason
        raise _damaged(path, str(reason)) from reason
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as reason:
        raise _damaged(path, str(reason)) from reason
    if content is None:
        raise FileError(f"{path}: holds no metadata, so it is no distribution; build it again, or take it out.")
    return content.decode("utf-8", "replace")


def _in_zip(path: Path, wanted: str, to_the_end: bool) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip() if to_the_end else None
        if bad is not None:
            raise _damaged(path, f"wrong checksum of {bad}")
        names = [name for name in archive.namelist() if _holds_metadata(name, wanted)]
        return archive.read(names[0]) if names else None


def _in_tar(path: Path, to_the_end: bool) -> bytes | None:
    content = None
    with gzip.open(path) as stream:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if content is None and _holds_metadata(member.name, "PKG-INFO") and member.isfile():
                    file = archive.extractfile(member)
                    content = file.read() if file is not None else None
                if content is not None and not to_the_end:
                    return content
        # The checksum stands at the end of the stream, behind that of the archive in it.
        while stream.read(_BLOCK):
            pass
    return content


def _holds_metadata(member: str, wanted: str) -> bool:
    folder, _slash, name = member.rpartition("/")
    folder = folder.removeprefix("./")
    return name == wanted and bool(folder) and "/" not in folder and (wanted != "METADATA" or ".dist-info" in folder)


def _damaged(path: Path, reason: str) -> FileError:
    return FileError(f"{path}: is damaged ({reason}); build it again, or copy it again.")


def documentation_zip(source: Path, into: t.BinaryIO) -> None:
    """Write a folder of HTML as a zip: the same folder gives the same bytes. Raises FileError.

    What Sphinx keeps for itself (``.doctrees``) stays out.
    """
    files = sorted(
        (path.relative_to(source).as_posix(), path)
        for path in source.rglob("*")
        if path.is_file() and ".doctrees" not in path.relative_to(source).parts
    )
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files:
            # Without date and owner of the file, which say nothing about its content.
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=path.stat().st_size > 1 << 31) as copy:
                for part in iter(lambda: file.read(_BLOCK), b""):
                    copy.write(part)


def contents_of(archive: t.BinaryIO | Path) -> Mapping[str, str]:
    """Return the files in a zip with the SHA-256 of each. Raises FileError where it is damaged."""
    try:
        with zipfile.ZipFile(archive) as opened:
            found = {}
            for name in opened.namelist():
                if not name.endswith("/"):
                    found[name] = hashlib.sha256(opened.read(name)).hexdigest()
            return found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as reason:
        place = archive if isinstance(archive, Path) else Path("the documentation on the server")
        raise _damaged(place, str(reason)) from reason
