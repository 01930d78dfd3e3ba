# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those files of a project that devpi has in its cache, as devpi itself describes them."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import File

_FILE = re.compile(r"/\+[ef]/.*?(?P<name>[^/]+)$")


@dataclass(frozen=True)
class Kept:
    """A file in the cache: its name, its place in the index, its SHA-256, and what its page says of it.

    But the URL is that which devpi fetched it from, and the size is the true one; None where devpi has lost it.
    """

    name: str
    place: str
    sha256: str | None
    last_modified: str
    file: File


def kept_files(
    client: Client, index: str, project: str, places: t.Mapping[str, t.Sequence[str]] | None = None
) -> t.Iterator[Kept]:
    """Yield the files of a project that are in the cache. Raises ApiError.

    With ``places``, only those with one of their names; what is not where its page says, may be at one of these places.
    """
    page = f"{client.url}{path_of(index)}/+simple/{quote(project)}/"
    for file in client.page_if_exists(index, project) or []:
        found = _FILE.search(unquote(urlsplit(urljoin(page, file["url"])).path))
        if found is None or (places is not None and found["name"] not in places):
            continue
        kept = kept_at(client, index, found["name"], found[0], file)
        for place in (places or {}).get(found["name"], ()):
            if kept is None and place != found[0]:
                with contextlib.suppress(ApiError):
                    kept = kept_at(client, index, found["name"], place, {**file, "hashes": {}})
        if kept is not None:
            yield kept


def kept_at(client: Client, index: str, name: str, place: str, file: File) -> Kept | None:
    """Return a file that is in the cache at this place. Raises ApiError, also where devpi knows of none."""
    path = path_at(index, place)
    known = client.describe(path)
    if known is None:
        raise ApiError(f"{client.url}{path} is sent by what stands in front of devpi-server: write its own url.")
    if "last_modified" not in known:
        return None
    told = {**file, "url": known["url"], "size": known.get("size", file.get("size"))}
    return Kept(name, place, known["hashes"].get("sha256"), known["last_modified"], told)


def path_at(index: str, place: str) -> str:
    """Return the path on devpi-server of the place of a file in an index."""
    return path_of(index) + quote(place, safe="/+")


def wait_until_kept(client: Client, path: str) -> None:
    """Wait until a mirror has kept a file that it has sent. Raises ApiError."""
    end = time.monotonic() + client.timeout
    pause = 0.01
    while not client.is_stored(path):
        if time.monotonic() > end:
            raise ApiError(
                f"devpi-server sent the file but has not kept it within {client.timeout} s; see its journal, and "
                "whether its disk is full (df --human-readable on that host)."
            )
        time.sleep(pause)
        pause = min(2 * pause, 1)
