# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of files in the cache of devpi 7.0.0b4 to a page that does not tell their sizes or SHA-256.

Where what a page says of a file has changed, ``save_links`` (devpi_server/model/remote.py, 7.0.0b4, lines 630 and 672)
puts the size that the page gives, None, in place of the known one, and ``gethttpheaders`` (filestore.py) makes the
header ``Content-Length: None`` of it, which is answered with 500. That needs no switch: mirror a page in HTML, fetch a
file, and let the page get another one.

It does not touch a file of which the page says what it said before. And a file that it does not have gets its size when
it has come in (``iter_cache_remote_file``), whatever its page has become meanwhile. So devpi fetches each such file
that it has from the module, and while it waits for the end of it, its page becomes what the new upstream says of it.

The same goes for the SHA-256 that devpi found for itself: where the page gives another hash of a file, that takes its
place (``entry._hashes``), and without it devpi can no longer delete the file (``key_digestulids``).

The file comes from devpi itself, which has a copy of it meanwhile, at the place of a file without hashes. There it is
offered, and there the next run finds it where this one is killed. The copy has to be in the page when the file is
deleted: where devpi deletes the last file of a page, it forgets the page, and does not get over another page with that
file (RuntimeError in ``commit`` of keyfs.py, and its database stays locked).

A file without hashes has a place that follows from its URL, and cannot come there from the module. But of what is new
on a page, devpi remembers neither size nor hashes (line 646), though it puts the size to the file. So the page does not
name such a file for a moment, then names it with its size, and from then on devpi takes it for what the upstream says.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._interim import Interim, Offer, file_url
from ansible_collections.wheelhouse.devpi.plugins.module_utils._kept import (
    Kept,
    kept_at,
    kept_files,
    path_at,
    wait_until_kept,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import (
    File,
    hash_of,
    in_other_words,
    packed,
    place_of,
)

ATTEMPTS = 3
"""How often devpi is asked to fetch a file from the module before the run fails."""

IN_BETWEEN = "0.dev0"
"""The version of what is on a page while files are not: by its URL, the run after one that was killed knows of them."""


class _Digest:
    """Takes in a file and makes a hash of it."""

    def __init__(self, kind: str) -> None:
        self._hash = hashlib.new(kind, usedforsecurity=False)

    def write(self, data: bytes) -> None:
        """Take a part."""
        self._hash.update(data)

    def is_equal(self, digest: str) -> bool:
        """Tell whether that is the hash of what was taken in."""
        return self._hash.hexdigest() == digest


class PageOnTheWay:
    """The page of a project that devpi fetches from ``server`` meanwhile, with the same ``files`` in other words."""

    def __init__(
        self, client: Client, index: str, project: str, files: t.Mapping[str, File] | None, server: Interim
    ) -> None:
        self._client = client
        self._index = index
        self._project = project
        self._files = files or {}
        self._server = server
        self._said = {name: in_other_words(file) for name, file in self._files.items()}
        self._held_back: dict[str, File] = {}

    def show(self, said: t.Mapping[str, File] | None = None) -> bool:
        """Let devpi fetch the page, with what is ``said`` of files from now on. Returns whether it could.

        Raises ApiError where it could not, and may have a page without files that are in its cache.
        """
        all_said = {**self._said, **(said or {})}
        self._server.pages[self._project] = packed(self._project, all_said.values())
        succeeded = self._client.attempt("POST", f"{path_of(self._index)}/+simple/{quote(self._project)}/refresh")
        if succeeded:
            self._said = all_said
        elif self._held_back:
            raise self._not_taken()
        return succeeded

    def have_kept_files(self) -> None:
        """Say what devpi itself knows of the files in its cache, and nothing of others. Raises ApiError.

        Each has the URL that devpi knows: without a hash, its place in the cache follows from that, and what is in the
        cache is not fetched.
        """
        self._said = {kept.place: kept.file for kept in kept_files(self._client, self._index, self._project)}

    def have_sizes(self) -> dict[str, Kept]:
        """Return those files in the cache that ``keep`` has to move, and say of them what does no harm.

        Those without hashes come through by ``show`` and then ``show_true`` alone. Raises ApiError.
        A run that was killed may have left a file in both places, while the page names the one that it is not in.
        """
        places = {
            name: [place_of(file), self._former_place_of(name)]
            for name, file in self._files.items()
            if file["hashes"] and loses(file)
        }
        found = {}
        for kept in kept_files(self._client, self._index, self._project, places) if places else ():
            name, file = kept.name, self._files[kept.name]
            if kept.file["size"] is not None and self._is_same(kept, file):
                found[name] = kept
                if not self._needs_copy(kept):
                    said = kept.file
                elif "sha256" in file["hashes"] and kept.place == place_of(file):
                    said = {**self._said[name], "size": kept.file["size"]}
                else:
                    said = self._copy_of(kept)
                    self._offer(kept, path_at(self._index, kept.place), lambda: True)
                self._said = {**self._said, name: said}
        self._hold_back()
        return found

    def _hold_back(self) -> None:
        for name, file in self._files.items():
            if loses(file) and not file["hashes"]:
                with contextlib.suppress(ApiError):
                    kept = kept_at(self._client, self._index, name, place_of(file), file)
                    if kept is not None and kept.file["size"] is not None:
                        self._held_back[name] = {**file, "size": kept.file["size"]}
        if self._held_back:
            name = f"{self._project}-{IN_BETWEEN}.zip"
            in_between = {"filename": name, "url": self._server.url_of(name), "hashes": {}, "size": 0}
            rest = {name: said for name, said in self._said.items() if name not in self._held_back}
            self._said = {**rest, name: in_between}

    def show_true(self, but_of: t.Container[str]) -> bool:
        """Let devpi fetch the page with what the upstream says, but of some files. Returns whether it could."""
        self._said = {name: said for name, said in self._said.items() if name in self._files}
        true = {**self._files, **self._held_back}
        succeeded = self.show({name: file for name, file in true.items() if name not in but_of})
        # Only on a page where it is new, a size is not remembered.
        self._said = {**self._said, **{name: self._files[name] for name in self._held_back}}
        return succeeded

    def keep(self, kept: Kept) -> None:
        """Let a file in the cache become what the new upstream says of it. Raises ApiError."""
        name, final = kept.name, self._files[kept.name]
        here = {**final, "url": self._server.url_of(name)}
        copy, path = kept.file, path_at(self._index, place_of(final))
        if self._needs_copy(kept):
            copy = self._copy_of(kept)
            self._offer(kept, path_at(self._index, kept.place), lambda: True)
            self._must_show(name, copy)
            try:
                self._fetch(path_at(self._index, place_of(copy)))
            except ApiError:
                if "sha256" in final["hashes"] and kept.place == place_of(final):
                    self.show({name: {**in_other_words(final), "size": copy["size"]}})
                raise
        copy_path = path_at(self._index, place_of(copy))
        self._offer(kept, copy_path, lambda: self.show({name: final}))
        for left in reversed(range(ATTEMPTS)):
            if self._said[name] is not copy:
                self._must_show(name, copy)
            self._delete(path)
            # The place has its URL from this page, and keeps it.
            self._must_show(name, in_other_words(here))
            self._must_show(name, copy)
            try:
                self._fetch(path)
                break
            except ApiError:
                # Somebody who asked for it when it was deleted may have brought it back.
                if left == 0:
                    raise
        if place_of(copy) in (place_of(self._copy_of(kept)), self._former_place_of(name)):
            self._delete(copy_path)

    def _must_show(self, name: str, said: File) -> None:
        if not self.show({name: said}):
            raise self._not_taken()

    def _not_taken(self) -> ApiError:
        return ApiError(
            f"devpi-server at {self._client.url} did not take a page of {self._project} from this module: see its "
            "journal."
        )

    def _is_same(self, kept: Kept, file: File) -> bool:
        kind, digest = hash_of(file)
        if kind == "sha256":
            return kept.sha256 == digest
        if kind not in hashlib.algorithms_available:
            # devpi does not have it either, and fetches no file with it.
            return False
        found = _Digest(kind)
        self._client.fetch(path_at(self._index, kept.place), found)
        return found.is_equal(digest)

    def _needs_copy(self, kept: Kept) -> bool:
        """Tell whether a file in the cache has to go from its place, or its page must not name it there."""
        return kept.place == place_of(self._files[kept.name]) or hash_of(kept.file)[0] not in ("", "sha256")

    def _copy_of(self, kept: Kept) -> File:
        final = self._files[kept.name]
        return {**_copy(final, self._server.url_of(kept.name)), "size": kept.file["size"]}

    def _former_place_of(self, name: str) -> str:
        return place_of(_copy(self._files[name], self._server.former_url_of(name)))

    def _offer(self, kept: Kept, path: str, before: t.Callable[[], bool]) -> None:
        self._server.files[kept.name] = Offer(
            kept.file["size"], kept.last_modified, lambda into: self._client.fetch(path, into), before
        )

    def _fetch(self, path: str) -> None:
        with Path(os.devnull).open("wb") as nowhere:
            self._client.fetch_from_upstream(path, nowhere)
        wait_until_kept(self._client, path)

    def _delete(self, path: str) -> None:
        # A run that was killed may have done it.
        with contextlib.suppress(ApiError):
            self._client.write("DELETE", f"{path}?force")


def loses(file: File) -> bool:
    """Tell whether the page leaves out what devpi would lose of the file in its cache."""
    return file["size"] is None or bool(file["hashes"] and "sha256" not in file["hashes"])


def _copy(file: File, url: str) -> File:
    """Return a file without hashes, whose place follows from its URL."""
    return {**file, "url": url, "hashes": {}}


def is_in_between(client: Client, index: str, project: str, former: str) -> bool:
    """Tell whether a run was killed while the page of a project named a copy. ``former`` is the URL that it left."""
    if urlsplit(former).hostname != "127.0.0.1":
        return False
    folder = place_of(_copy({}, file_url(former, "")))
    return any(folder in unquote(file["url"]) for file in client.page_if_exists(index, project) or ())
