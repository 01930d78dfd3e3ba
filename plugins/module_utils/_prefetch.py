# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a lock names on an index: which of them its mirrors have yet to fetch, and how they do."""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._distribution import (
    SUFFIXES,
    normalised_version,
    version_in_file_name,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._kept import wait_until_kept
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import tell_progress
from ansible_collections.wheelhouse.devpi.plugins.module_utils._state import RefusedError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._steps import Step

_FILE = re.compile(r"/(?P<index>[^/]+/[^/]+)(?P<rest>/\+[ef]/.+)$")
"""The end of a file's URL on devpi: the index that holds it, and its place there (routes of devpi's views)."""

_LOUD = 100_000_000
"""After so many bytes of one file, and again after as many more, a line tells how far it is."""


@dataclass(frozen=True)
class Link:
    """A file that an index offers. ``holder`` is the index that has it, perhaps a base; ``path`` where it is.

    ``sha256`` is in hex, None where the page of its upstream does not tell it.
    """

    name: str
    holder: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class Package:
    """A package that is wanted, as the action plugin read it from a lock (``Package`` and ``plan`` in _lockfile.py)."""

    project: str
    place: str
    version: str
    files: Mapping[str, str | None]
    hashes: frozenset[str]
    hosts: Sequence[int] | None


@dataclass(frozen=True)
class Wanted:
    """What a lock names, with the tags of the wheels that its hosts take (``wheel_tags`` in _environments.py)."""

    packages: Sequence[Package]
    skipped: list[str]
    hosts: Sequence[tuple[frozenset[str], frozenset[str]]]
    """The tags of Python and ABI, and the platforms, that each host takes."""

    @classmethod
    def of(cls, told: Mapping[str, t.Any]) -> Wanted:
        """Return what the action plugin tells."""
        pythons, platforms = ([frozenset(tags) for tags in told["tags"][kind]] for kind in ("pythons", "platforms"))
        return cls(
            [Package(**{**package, "hashes": frozenset(package["hashes"])}) for package in told["packages"]],
            list(told["skipped"]),
            [(pythons[python], platforms[platform]) for python, platform in told["tags"]["hosts"]],
        )

    def is_for(self, package: Package, name: str) -> bool:
        """Tell whether a file is for one of the hosts of its package. A source distribution is for all."""
        if package.hosts is None:
            return True
        parts = name[: -len(".whl")].split("-")[-3:]
        if not name.endswith(".whl") or len(parts) < 3:
            return bool(package.hosts)
        pythons, abis, platforms = (part.split(".") for part in parts)
        tags = {f"{python}-{abi}" for python in pythons for abi in abis}
        taken = (self.hosts[number] for number in package.hosts)
        return any(not tags.isdisjoint(its_tags) and not its.isdisjoint(platforms) for its_tags, its in taken)


Found = tuple[Link, frozenset[str]]
"""A file with the SHA-256 that it may have; with none, it may have any."""


@dataclass
class Prefetch:
    """What is to be fetched, ``jobs`` files side by side."""

    client: Client
    index: str
    wanted: Wanted
    jobs: int
    already_there: int = 0
    other_platforms: int = 0
    _problems: list[str] = field(default_factory=list)

    def steps(self) -> list[Step]:
        """Return the files to fetch. Fetches none. Raises ApiError, and RefusedError with all reasons."""
        projects = sorted({package.project for package in self.wanted.packages})
        with ThreadPoolExecutor(self.jobs) as pool:
            pages = dict(zip(projects, self._each(pool, "projects", self._page, projects)))
            wanted: dict[str, tuple[Link, frozenset[str]]] = {}
            for package in self.wanted.packages:
                for link, allowed in self._links(package, pages[package.project]):
                    wanted.setdefault(link.path, (link, allowed))
            if self._problems:
                raise RefusedError(self._problems)
            stored = self._each(pool, "files", self.client.is_stored, list(wanted))
        missing = [found for found, is_there in zip(wanted.values(), stored) if not is_there]
        self.already_there = len(wanted) - len(missing)
        self._refuse_what_clients_fetch({link.holder for link, _allowed in missing})
        return [_step(link, allowed) for link, allowed in missing]

    def _each(
        self, pool: ThreadPoolExecutor, what: str, look: t.Callable[[str], t.Any], names: Sequence[str]
    ) -> list[t.Any]:
        found = []
        for number, answer in enumerate(pool.map(look, names), 1):
            found.append(answer)
            tell_progress(f"{number} of {len(names)} {what} looked up")
        return found

    def _page(self, project: str) -> dict[str, Link] | None:
        """Return what the index offers of a project, by the names of the files; None where it has no such project."""
        files = self.client.page_if_exists(self.index, project)
        if files is None:
            return None
        page = f"{self.client.url}{path_of(self.index)}/+simple/{project}/"
        links: dict[str, Link] = {}
        for file in files:
            # Another host may stand there, where devpi-server was told its outside URL.
            place = _FILE.search(urlsplit(urljoin(page, file["url"])).path)
            if place is not None:
                holder, sha256 = unquote(place["index"]), file.get("hashes", {}).get("sha256")
                path = path_of(holder) + quote(unquote(place["rest"]), safe="/+")
                links.setdefault(file["filename"], Link(file["filename"], holder, path, sha256))
        return links

    def _links(self, package: Package, page: Mapping[str, Link] | None) -> t.Iterator[Found]:
        """Yield the files of a package for the hosts that count."""
        if page is None:
            self._problems.append(
                f"{package.place}: {self.index} has no project {package.project}; name an index that has it, itself or "
                "by its bases."
            )
        elif package.files:
            by_hash = {link.sha256: link for link in page.values() if link.sha256}
            by_name = {_spelt_alike(name): link for name, link in page.items()}
            for name, sha256 in package.files.items():
                if not self._counts(package, name):
                    continue
                # In a pylock.toml of uv, a file has another spelling than on the index: markupsafe, not MarkupSafe.
                link = by_hash.get(sha256 or "") or by_name.get(_spelt_alike(name))
                if link is None:
                    self._problems.append(
                        f"{package.place}: {self.index} has no file {name}; name an index that has it, or make the "
                        "lock anew from this one."
                    )
                elif sha256 and link.sha256 and sha256 != link.sha256:
                    self._problems.append(
                        f"{package.place}: {link.holder} has another {name} than the lock (SHA-256 "
                        f"{link.sha256[:16]}…, not {sha256[:16]}…); find out which of them is right, and then make the "
                        "lock anew or name another index."
                    )
                else:
                    yield link, _known(sha256 or link.sha256)
        else:
            yield from self._links_of_version(package, page)

    def _links_of_version(self, package: Package, page: Mapping[str, Link]) -> t.Iterator[Found]:
        # In an order of their own, because versions of devpi differ in theirs.
        links = [page[name] for name in sorted(page)]
        found = [link for link in links if _is_of(link.name, package)]
        if package.hashes:
            # Where a page tells no hashes, there is no choice but to take all files of the version.
            unknown = [link for link in found if link.sha256 is None]
            found = [link for link in links if link.sha256 in package.hashes] + unknown
            missing = () if unknown else package.hashes - {str(link.sha256) for link in found}
            self._problems += [
                f"{package.place}: {self.index} has no file of {package.project} {package.version} with the SHA-256 "
                f"{digest}; name an index that has it, or make the lock anew from this one."
                for digest in sorted(missing)
            ]
        elif not found:
            self._problems.append(
                f"{package.place}: {self.index} has no file of {package.project} {package.version}; correct the "
                "version, or name an index that has it."
            )
        for link in found:
            if self._counts(package, link.name):
                yield link, _known(link.sha256) or package.hashes

    def _counts(self, package: Package, name: str) -> bool:
        """Tell whether a file is for one of the hosts that count."""
        if self.wanted.is_for(package, name):
            return True
        self.other_platforms += 1
        return False

    def _refuse_what_clients_fetch(self, holders: set[str]) -> None:
        reasons = []
        setting = Dialect(self.client.version).word("mirror_use_external_urls")
        for holder in sorted(holders):
            if self.client.get(f"{path_of(holder)}?no_projects=").get(setting):
                reasons.append(
                    f"{holder} keeps no files: clients fetch them from its mirror themselves. Write {setting}: false "
                    "with devpi_index, or name another index."
                )
        if reasons:
            raise RefusedError(reasons)


def _spelt_alike(file_name: str) -> str:
    return re.sub(r"[-_.]+", "-", file_name).lower()


def _known(sha256: str | None) -> frozenset[str]:
    return frozenset() if sha256 is None else frozenset({sha256})


def _step(link: Link, allowed: frozenset[str]) -> Step:
    def send(client: Client) -> None:
        fetch(client, link, allowed)

    (sha256,) = allowed if len(allowed) == 1 else ("(not known before it is fetched)",)
    return Step("fetch", "file", f"{link.holder}/{link.name}", (), None, {"sha256": sha256}, send=send)


def _is_of(file_name: str, package: Package) -> bool:
    """Tell whether a file has the version of a package, with any local label where the package has none (``+cpu``)."""
    if not file_name.endswith(SUFFIXES):
        return False
    there = normalised_version(version_in_file_name(file_name, package.project))
    wanted = normalised_version(package.version)
    return there == wanted or ("+" not in wanted and there.partition("+")[0] == wanted)


class _Passing:
    """Takes in a file and keeps nothing of it but its SHA-256."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._size = 0
        self._told = 0
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take a part."""
        self._sha256.update(data)
        self._size += len(data)
        if self._size - self._told >= _LOUD:
            self._told = self._size
            tell_progress(f"{self._size // 1_000_000} MB of {self._name}")

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was taken so far, in hex."""
        return self._sha256.hexdigest()


def fetch(client: Client, link: Link, allowed: frozenset[str]) -> None:
    """Let a mirror fetch a file, and wait until it has kept it. ``allowed`` is as in Found. Raises ApiError."""
    passing = _Passing(link.name)
    client.fetch_from_upstream(link.path, passing)
    # devpi sends a file on while it comes in. Where its hash is wrong, all has been sent when devpi finds out.
    if allowed and passing.sha256 not in allowed:
        raise ApiError(
            f"the upstream of {link.holder} sent another file (SHA-256 {passing.sha256[:16]}…, not "
            f"{' or '.join(f'{digest[:16]}…' for digest in sorted(allowed))}). Look at what it has, or let devpi_index "
            "take another mirror."
        )
    wait_until_kept(client, link.path)
