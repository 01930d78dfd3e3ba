# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those files of a project that devpi has in its cache, as devpi itself describes them."""

from __future__ import annotations

import re
import time
import typing as t
from urllib.parse import quote, unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import File

_FILE = re.compile(r"/\+[ef]/.*$")


def kept_files(client: Client, index: str, project: str) -> t.Iterator[File]:
    """Yield what the page of a project says of the files that are in the cache, with the URL they came from.

    Raises ApiError, also where devpi knows of no such file.
    """
    page = f"{client.url}{path_of(index)}/+simple/{quote(project)}/"
    for file in client.page_if_exists(index, project) or []:
        found = _FILE.search(unquote(urlsplit(urljoin(page, file["url"])).path))
        if found is None:
            continue
        path = path_of(index) + quote(found[0], safe="/+")
        known = client.describe(path)
        if known is None:
            raise ApiError(f"{client.url}{path} is sent by what stands in front of devpi-server: write its own url.")
        if "last_modified" in known:
            yield {**file, "url": known["url"], "size": known.get("size", file.get("size"))}


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
