# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases on an index: what is there, what differs from what is wanted, and the changes that remove the difference."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._connections import Form
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import MIRROR_TYPES, Config
from ansible_collections.wheelhouse.devpi.plugins.module_utils._distribution import (
    Distribution,
    FileError,
    Metadata,
    contents_of,
    distribution,
    documentation_zip,
    found_in,
    metadata,
    normalised_version,
    sha256_of,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import tell_progress
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import RefusedError, existing_index
from ansible_collections.wheelhouse.devpi.plugins.module_utils._steps import Step, unreadable

_HREF = re.compile(r"/\+f/([0-9a-f]{3})/([0-9a-f]{13})/([^/#?]+)$")
"""The end of a file's URL: the first 64 bits of its hash, and its name (``make_splitdir`` in devpi's filestore)."""


@dataclass(frozen=True)
class Stored:
    """A file on an index. ``digest`` is its SHA-256 in hex, or as much of it as the server tells.

    devpi 6 tells all of it. devpi 7.0.0b4 tells only the first 64 bits, in the URL.
    """

    path: str
    digest: str

    def is_same(self, sha256: str) -> bool:
        """Tell whether a file with this SHA-256 is the same."""
        return sha256.startswith(self.digest)


@dataclass(frozen=True)
class Release:
    """A release on an index: its name as its metadata writes it, its files by name, and its documentation."""

    name: str
    files: Mapping[str, Stored]
    documentation: Stored | None


@dataclass(frozen=True)
class Index:
    """An index for uploads, ``user/index``, with its configuration and the names of the projects uploaded to it."""

    client: Client
    name: str
    config: Config
    projects: frozenset[str]

    @property
    def volatile(self) -> bool:
        """Whether what is on it may be replaced."""
        return bool(self.config.get("volatile", True))

    def releases(self, project: str) -> dict[str, Release]:
        """Return the releases of a project by version, without those of the bases. Raises ApiError."""
        if project not in self.projects:
            return {}
        found = self.client.get_if_exists(f"{path_of(f'{self.name}/{project}')}?ignore_bases=") or {}
        return {version: self._release(data) for version, data in found.items()}

    def _release(self, data: Config) -> Release:
        files: dict[str, Stored] = {}
        documentation = None
        for link in data.get("+links", []):
            href = _HREF.search(link["href"])
            if href is None:
                continue
            _algorithm, _equals, digest = link.get("hash_spec", "").partition("sha256=")
            file_name = unquote(href[3])
            stored = Stored(path_of(self.name) + href[0], digest or href[1] + href[2])
            if link["rel"] == "releasefile":
                files[file_name] = stored
            elif link["rel"] == "doczip":
                documentation = stored
        return Release(data["name"], files, documentation)

    def refusal_of_uploads(self, user: str) -> str | None:
        """Return why a user cannot upload, as far as it can be told before: groups are known to the server alone."""
        allowed = [str(name) for name in self.config.get("acl_upload", [])]
        if user in allowed or any(name.startswith(":") for name in allowed):
            return None
        return (
            f"User {user!r} may not upload to {self.name!r}: its acl_upload is [{', '.join(allowed)}]. "
            "Write one of them as login_user, or let devpi_index add the user."
        )


def read_index(client: Client, name: str, option: str) -> Index:
    """Ask for an index. Raises ApiError, and RefusedError where it does not exist or is a mirror."""
    config = existing_index(client, name, option)
    if config["type"] in MIRROR_TYPES:
        raise RefusedError(
            [f"{option}: {name!r} is a {config['type']}, which has no releases of its own; name an index for uploads."]
        )
    projects = client.get(path_of(name)).get("projects", [])
    return Index(client, name, config, frozenset(projects))


@dataclass
class Uploads:
    """What shall be on an index: files, and documentation (a zip or a folder) of a release."""

    index: Index
    files: Sequence[str]
    documentation: Path | None
    project: str
    version: str
    jobs: int
    workspace: Path
    """A folder for temporary files."""
    already_there: int = 0
    _problems: list[str] = field(default_factory=list)
    _releases: dict[str, dict[str, Release]] = field(default_factory=dict)

    def steps(self) -> list[Step]:
        """Return what to send. Checks all that can be checked. Raises ApiError, and RefusedError with all reasons."""
        paths, self._problems = found_in(self.files)
        with ThreadPoolExecutor(self.jobs) as pool:
            found = self._without_twins(self._each(pool, "compared", distribution, paths))
            projects = sorted({file.project for file in found} | ({self.project} if self.documentation else set()))
            self._releases = dict(zip(projects, pool.map(self.index.releases, projects)))
            there = {project: _files_of(releases.values()) for project, releases in self._releases.items()}
            different = [file for file in found if not _is_same(there[file.project].get(file.file_name), file.sha256)]
            read = self._each(pool, "checked", lambda file: (file, metadata(file)), different)
        self.already_there = len(found) - len(different)
        steps = [self._file(file, said, there[file.project].get(file.file_name)) for file, said in read]
        if self.documentation is not None:
            new = {normalised_version(said.version): said for file, said in read if file.project == self.project}
            steps += self._documentation(self.documentation, new)
        if self._problems:
            raise RefusedError(self._problems)
        return steps

    def _each(
        self, pool: ThreadPoolExecutor, done: str, read: t.Callable[[t.Any], t.Any], what: Sequence[t.Any]
    ) -> list[t.Any]:
        """Read files side by side, keep what is wrong with them, and return the others."""
        futures = [pool.submit(read, one) for one in what]
        found = []
        for number, future in enumerate(futures, 1):
            try:
                found.append(future.result())
            except FileError as reason:
                self._problems.append(str(reason))
            tell_progress(f"{number} of {len(what)} files {done}")
        return found

    def _without_twins(self, found: Sequence[Distribution]) -> list[Distribution]:
        by_name: dict[str, Distribution] = {}
        for file in found:
            first = by_name.setdefault(file.file_name, file)
            if first.sha256 != file.sha256:
                self._problems.append(
                    f"{first.path} and {file.path} have one name and differ; take the wrong one out of files."
                )
        return list(by_name.values())

    def _file(self, file: Distribution, said: Metadata, there: Stored | None) -> Step:
        if there is not None and not self.index.volatile:
            self._problems.append(
                f"{file.path}: {self.index.name} has another file of that name (SHA-256 {there.digest[:16]}…, not "
                f"{file.sha256[:16]}…), and is not volatile, so it stays; raise the version, or take the file out."
            )

        def send(client: Client) -> None:
            fields = [(":action", "file_upload"), *said.fields]
            client.upload(self.index.name, Form(fields, "content", file.file_name, file.path))

        return Step(
            "replace" if there else "upload",
            "file",
            f"{self.index.name}/{file.file_name}",
            (),
            {"sha256": there.digest} if there else None,
            {"sha256": file.sha256},
            send=send,
        )

    def _documentation(self, source: Path, new: Mapping[str, Metadata]) -> list[Step]:
        releases = self._releases[self.project]
        version = version_in(releases, self.version)
        if version is None and normalised_version(self.version) not in new:
            self._problems.append(
                f"documentation: {self.index.name} has no release {self.project} {self.version}"
                f"{_others(releases)}; upload its files first, or correct project and version."
            )
            return []
        try:
            archive = self._archive(source)
            contents, sha256 = contents_of(archive), sha256_of(archive)
        except FileError as reason:
            self._problems.append(f"documentation: {reason}")
            return []
        except OSError as reason:
            self._problems.append(f"documentation: {unreadable(reason)}")
            return []
        if "index.html" not in contents:
            self._problems.append(
                f"documentation: {source} has no index.html at its top, which devpi-web shows first; name the folder "
                "that holds it, such as docs/_build/html."
            )
            return []
        there = releases[version].documentation if version is not None else None
        if there is not None and (there.is_same(sha256) or self._holds(there, contents)):
            return []
        if there is not None and not self.index.volatile:
            self._problems.append(
                f"documentation: {self.index.name} has other documentation of {self.project} {version}, and is not "
                "volatile, so it stays; raise the version, or take documentation out."
            )
        if version is not None:
            name = releases[version].name
        else:
            said = new[normalised_version(self.version)]
            name, version = dict(said.fields)["name"], said.version
        fields = [(":action", "doc_upload"), ("name", name), ("version", version)]
        file_name = f"{self.project}-{version}.doc.zip"

        def send(client: Client) -> None:
            client.upload(self.index.name, Form(fields, "content", file_name, archive))

        return [
            Step(
                "replace" if there else "upload",
                "documentation",
                f"{self.index.name}/{self.project}/{version}",
                (),
                {"sha256": there.digest} if there else None,
                {"sha256": sha256},
                send=send,
            )
        ]

    def _archive(self, source: Path) -> Path:
        if not source.is_dir():
            return source
        archive = self.workspace / "documentation.zip"
        with archive.open("wb") as file:
            documentation_zip(source, file)
        return archive

    def _holds(self, there: Stored, contents: Mapping[str, str]) -> bool:
        """Tell whether a zip on the server has the same files in it: another zip program gives other bytes."""
        copy = self.workspace / "documentation-there.zip"
        with copy.open("wb") as file:
            self.index.client.fetch(there.path, file)
        try:
            return contents_of(copy) == contents
        except FileError:
            return False


def removal(index: Index, project: str, version: str | None, force: bool) -> list[Step]:
    """Return the deletion of a release, or of a whole project. Raises ApiError, and RefusedError."""
    releases = index.releases(project)
    if version is None:
        if project not in index.projects:
            return []
        name, gone = f"{index.name}/{project}", releases
    else:
        found = version_in(releases, version)
        if found is None:
            return []
        name, gone = f"{index.name}/{project}/{found}", {found: releases[found]}
    if not index.volatile and not force:
        raise RefusedError(
            [f"{name} is protected from deletion, because {index.name} is not volatile: write force: true."]
        )
    shown = {key: sorted(release.files) for key, release in sorted(gone.items())}

    def send(client: Client) -> None:
        client.write("DELETE", path_of(name) + ("" if index.volatile else "?force="))

    return [Step("delete", "project" if version is None else "release", name, (), shown, None, send=send)]


def promotion(source: Index, target: Index, project: str, version: str, force: bool) -> list[Step]:
    """Return the copying of a release, on the server, from one index to another. Raises ApiError, and RefusedError."""
    releases = source.releases(project)
    found = version_in(releases, version)
    if found is None or not releases[found].files:
        raise RefusedError(
            [
                f"{source.name} has no release {project} {version} with files{_others(releases)}; correct project or "
                f"version, or upload it first."
            ]
        )
    release, there = releases[found], target.releases(project)
    files = _files_of(there.values())
    missing = [name for name in release.files if name not in files]
    different = [
        name for name, file in release.files.items() if name in files and not _is_same(files[name], file.digest)
    ]
    wanted: Config = {"name": release.name, "version": found, "targetindex": target.name}
    documentation = release.documentation
    its_documentation = there[found].documentation if found in there else None
    missing_documentation = documentation is not None and its_documentation is None
    if (
        documentation is not None
        and its_documentation is not None
        and not its_documentation.is_same(documentation.digest)
    ):
        different.append(f"{project}-{found}.doc.zip")
    if different and not (force and target.volatile):
        raise RefusedError(
            [
                f"{target.name} has another {', '.join(different)} than {source.name}, so nothing is promoted: "
                + (
                    "write force: true to replace it."
                    if target.volatile
                    else "it is not volatile; raise the version and promote that one."
                )
            ]
        )
    if not (missing or different or missing_documentation):
        return []
    kind = "release"
    if not target.volatile:
        if missing and len(missing) < len(release.files):
            raise RefusedError(
                [
                    f"{target.name} has some files of {project} {found} already, but not {', '.join(missing)}, and "
                    "devpi copies to an index that is not volatile whole releases only: upload those files to "
                    f"{target.name} with state: present."
                ]
            )
        # devpi would refuse the release for what is there already, also where it is the same.
        if not missing:
            kind, wanted["only_docs"] = "documentation", True
        elif its_documentation is not None:
            wanted["no_docs"] = True
    name = f"{source.name}/{project}/{found} to {target.name}"

    def send(client: Client) -> None:
        client.push(source.name, wanted)

    before, after = _shown(there.get(found)), _shown(release)
    return [Step("promote", kind, name, (), before, after, send=send)]


def version_in(versions: Iterable[str], wanted: str) -> str | None:
    """Return the version as the index writes it, None where it is not there."""
    found = list(versions)
    if wanted in found:
        return wanted
    return next((version for version in found if normalised_version(version) == normalised_version(wanted)), None)


def _files_of(releases: Iterable[Release]) -> dict[str, Stored]:
    return {name: file for release in releases for name, file in release.files.items()}


def _is_same(there: Stored | None, sha256: str) -> bool:
    return there is not None and there.is_same(sha256)


def _shown(release: Release | None) -> Config | None:
    if release is None:
        return None
    shown: Config = {name: file.digest for name, file in sorted(release.files.items())}
    if release.documentation is not None:
        shown["documentation"] = release.documentation.digest
    return shown


def _others(releases: Iterable[str]) -> str:
    found = sorted(releases)
    shown = ", ".join(found[-5:])
    return f" (it has {'…, ' if len(found) > 5 else ''}{shown})" if found else ""
