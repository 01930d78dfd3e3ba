# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of files in the cache of devpi 7.0.0b4 to a page that does not tell their sizes.

Where what a page says of a file has changed, ``save_links`` (devpi_server/model/remote.py, 7.0.0b4, lines 630 and 672)
puts the size that the page gives, None, in place of the known one, and ``gethttpheaders`` (filestore.py) makes the
header ``Content-Length: None`` of it, which is answered with 500. That needs no switch: mirror a page in HTML, fetch a
file, and let the page get another one.

It does not touch a file of which the page says what it said before. And a file that it does not have gets its size when
it has come in (``iter_cache_remote_file``), whatever its page has become meanwhile. So devpi fetches each such file
that it has from the module, and while it waits for the end of it, its page becomes what the new upstream says of it.

The file comes from devpi itself, which has a copy of it meanwhile, at the place of a file without hashes. There it is
offered, and there the next run finds it where this one is killed. The copy has to be in the page when the file is
deleted: where devpi deletes the last file of a page, it forgets the page, and does not get over another page with that
file (RuntimeError in ``commit`` of keyfs.py, and its database stays locked).
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._interim import Interim, Offer, file_url
from ansible_collections.wheelhouse.devpi.plugins.module_utils._kept import (
    Kept,
    kept_files,
    path_at,
    wait_until_kept,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import (
    File,
    in_other_words,
    packed,
    place_of,
    sha256_of,
)

ATTEMPTS = 3
"""How often devpi is asked to fetch a file from the module before the run fails."""


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

    def show(self, said: t.Mapping[str, File] | None = None) -> bool:
        """Let devpi fetch the page, with what is ``said`` of files from now on. Returns whether it could."""
        all_said = {**self._said, **(said or {})}
        self._server.pages[self._project] = packed(self._project, all_said.values())
        succeeded = self._client.attempt("POST", f"{path_of(self._index)}/+simple/{quote(self._project)}/refresh")
        if succeeded:
            self._said = all_said
        return succeeded

    def have_kept_files(self) -> None:
        """Say what devpi itself knows of the files in its cache, and nothing of others. Raises ApiError.

        Each has the URL that devpi knows: without a hash, its place in the cache follows from that, and what is in the
        cache is not fetched.
        """
        self._said = {kept.place: kept.file for kept in kept_files(self._client, self._index, self._project)}

    def have_sizes(self) -> dict[str, Kept]:
        """Return those files in the cache whose size the page does not tell, and say it. Raises ApiError.

        A run that was killed may have left one in both places, while the page names the one that it is not in.
        """
        places = {
            name: [place_of(file), place_of(_copy(file, self._server.former_url_of(name)))]
            for name, file in self._files.items()
            if file["size"] is None and sha256_of(file)
        }
        found = {}
        for kept in kept_files(self._client, self._index, self._project, places) if places else ():
            name, file = kept.name, self._files[kept.name]
            if kept.sha256 == sha256_of(file) and kept.file["size"] is not None:
                found[name] = kept
                is_there = kept.place == place_of(file)
                said = {**self._said[name], "size": kept.file["size"]} if is_there else kept.file
                self._said = {**self._said, name: said}
        return found

    def show_true(self, but_of: t.Container[str]) -> bool:
        """Let devpi fetch the page with what the upstream says, but of some files. Returns whether it could."""
        return self.show({name: file for name, file in self._files.items() if name not in but_of})

    def keep(self, kept: Kept) -> None:
        """Let a file in the cache become what the new upstream says of it. Raises ApiError."""
        name, final = kept.name, self._files[kept.name]
        here = {**final, "url": self._server.url_of(name)}
        copy, path = kept.file, path_at(self._index, place_of(final))
        if kept.place == place_of(final):
            copy = {**_copy(final, here["url"]), "size": copy["size"]}
            self._offer(kept, path, lambda: True)
            self._must_show(name, copy)
            try:
                self._fetch(path_at(self._index, place_of(copy)))
            except ApiError:
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
        self._delete(copy_path)

    def _must_show(self, name: str, said: File) -> None:
        if not self.show({name: said}):
            raise ApiError(
                f"devpi-server at {self._client.url} did not take a page of {self._project} from this module: see its "
                "journal."
            )

    def _offer(self, kept: Kept, path: str, before: t.Callable[[], bool]) -> None:
        self._server.files = {
            kept.name: Offer(kept.file["size"], kept.last_modified, lambda into: self._client.fetch(path, into), before)
        }

    def _fetch(self, path: str) -> None:
        with Path(os.devnull).open("wb") as nowhere:
            self._client.fetch_from_upstream(path, nowhere)
        wait_until_kept(self._client, path)

    def _delete(self, path: str) -> None:
        # A run that was killed may have done it.
        with contextlib.suppress(ApiError):
            self._client.write("DELETE", f"{path}?force")


def _copy(file: File, url: str) -> File:
    """Return a file without hashes, whose place follows from its URL."""
    return {**file, "url": url, "hashes": {}}


def is_in_between(client: Client, index: str, project: str, former: str) -> bool:
    """Tell whether a run was killed while the page of a project named a copy. ``former`` is the URL that it left."""
    if urlsplit(former).hostname != "127.0.0.1":
        return False
    folder = place_of(_copy({}, file_url(urlsplit(former).port, "")))
    return any(folder in unquote(file["url"]) for file in client.page_if_exists(index, project) or ())
