# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of those files of a project that devpi has in its cache, as devpi itself describes them."""

from __future__ import annotations

import gzip
import json
import re
from urllib.parse import quote, unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of

_FILE = re.compile(r"/\+[ef]/.+$")


def kept_page(client: Client, index: str, project: str) -> bytes:
    """Return it as compressed JSON. Raises ApiError.

    Each file has the URL that devpi knows: without a hash, its place in the cache follows from that, and what is in the
    cache is not fetched.
    """
    page = f"{client.url}{path_of(index)}/+simple/{quote(project)}/"
    files = []
    for file in client.page_if_exists(index, project) or []:
        place = _FILE.search(urlsplit(urljoin(page, file["url"])).path)
        if place is None:
            continue
        path = path_of(index) + quote(unquote(place[0]), safe="/+")
        known = client.describe(path)
        if known is None:
            raise ApiError(f"{client.url}{path} is sent by what stands in front of devpi-server: write its own url.")
        if "last_modified" in known:
            files.append({**file, "url": known["url"], "size": known.get("size", file.get("size"))})
    return gzip.compress(json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": files}).encode())
