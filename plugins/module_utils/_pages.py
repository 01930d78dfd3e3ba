# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What devpi 7 finds on the page of a project, and how to say it in other words.

A file is what JSON of version 1.1 says of it, with an absolute URL and with its size, which is None where the page does
not tell it. What counts is what devpi makes of a page (devpi_server/model/simpleapi.py and htmlpage.py, 7.0.0b4): said
in JSON, it must be the same to it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
import time
import typing as t
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import BASE, Page

File: t.TypeAlias = "dict[str, t.Any]"
Pages: t.TypeAlias = "dict[str, dict[str, File] | None]"
"""The files of projects by the names of both, None for a project that has no page."""

_ARCHIVE = re.compile(r"\.(?:deb|dmg|egg|exe|msi|rpm|tar(?:\.bz2|\.gz)?|tgz|whl|zip)$", re.IGNORECASE)
"""ALLOWED_ARCHIVE_EXTS in devpi_common/metadata.py."""


def files_on(page: Page, project: str) -> dict[str, File] | None:
    """Return the files by their names, None where devpi cannot read the page or finds none on it in HTML."""
    try:
        if page.kind != JSON_TYPE:
            return _html_files(page, project) or None
        told = json.loads(page.text)
        major, minor = (int(part) for part in told["meta"]["api-version"].split("."))
        if major != 1:
            return None
        return {name_of(file): file for file in (_json_file(page.url, file, minor) for file in told["files"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def name_of(file: File) -> str:
    """Return the name that devpi gives a file."""
    return posixpath.basename(unquote(urlsplit(file["url"]).path))


def loses(file: File) -> bool:
    """Tell whether devpi 7.0.0b4 would no longer serve the file, where it has it in its cache.

    Where what a page says of a file has changed, ``save_links`` (devpi_server/model/remote.py, lines 630 and 672) puts
    the size and the hashes that the page gives in place of those that devpi found for itself. Without a size,
    ``gethttpheaders`` (filestore.py) answers 500; without SHA-256, devpi can no longer delete the file.
    """
    return file["size"] is None or bool(file["hashes"] and "sha256" not in file["hashes"])


def in_other_words(file: File) -> File:
    """Return the same file so that devpi takes it for changed.

    It has a condition that each version of Python meets, another one each time: devpi may still have that of the last
    switch.
    """
    conditions = (f">=0.{time.time_ns()}", file.get("requires-python"))
    return {**file, "requires-python": ",".join(filter(None, conditions))}


def packed(project: str, files: t.Iterable[File]) -> bytes:
    """Return a page of these files, as compressed JSON."""
    return gzip.compress(
        json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": list(files)}).encode(), compresslevel=1
    )


def _json_file(page: str, file: File, minor: int) -> File:
    absolute = {**file, "url": urldefrag(urljoin(page, file["url"])).url, "hashes": dict(file["hashes"])}
    if minor >= 1:
        # It has to be there; devpi cannot read the page without it.
        return {**absolute, "size": file["size"]}
    # What has no meaning before 1.1, devpi does not read there.
    return {**{name: value for name, value in absolute.items() if name != "upload-time"}, "size": None}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and dict(attrs).get("href"):
            self.found.append(dict(attrs))


def _html_files(page: Page, project: str) -> dict[str, File]:
    anchors = _Anchors()
    anchors.feed(page.text)
    anchors.close()
    base = BASE.search(page.text)
    files: dict[str, File] = {}
    for anchor in anchors.found:
        file = _html_file(urljoin(base[1] if base else page.url, anchor["href"] or ""), anchor)
        name = name_of(file)
        known = files.get(name)
        is_better = known is None or (
            not known["hashes"] and (file["hashes"] or (not known["requires-python"] and file["requires-python"]))
        )
        if is_better and _is_archive_of(name, project) and file["url"].startswith(("http://", "https://")):
            files[name] = file
    return files


def _html_file(link: str, anchor: dict[str, str | None]) -> File:
    url, fragment = urldefrag(link)
    file: File = {
        "filename": "",
        "url": url,
        "hashes": _hashes(fragment),
        "size": None,
        "requires-python": anchor.get("data-requires-python") or None,
        "yanked": anchor.get("data-yanked"),
    }
    metadata = anchor.get("data-core-metadata")
    if metadata is None:
        metadata = anchor.get("data-dist-info-metadata")
    if metadata is not None:
        file["core-metadata"] = _hashes(metadata) or True
    return {**file, "filename": name_of(file)}


def _hashes(text: str) -> dict[str, str]:
    kind, equals, digest = text.partition("=")
    return {kind: digest} if equals and hasattr(hashlib, kind) else {}


def _is_archive_of(name: str, project: str) -> bool:
    return bool(_ARCHIVE.search(name)) and re.sub("[-_.]+", "-", name).lower().startswith(project)
