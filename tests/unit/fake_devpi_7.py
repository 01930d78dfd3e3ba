# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of a mirror on devpi-server 7.0.0b4, with what it loses."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import re
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import DIRECTLY, JSON_TYPE, FakeDevpi, Handler

Said = dict[str, Any]


class FakeDevpi7(FakeDevpi):
    """devpi-server with the mirror ``root/m``, which does with pages and files what 7.0.0b4 does.

    ``entries`` holds what it knows of a file, by its place: None where it was deleted. ``disk`` has the content of
    those that it has. Of each project, ``compared`` is what a new page is compared with (SIMPLEDATA), and ``remote``
    what each of its files is (REMOTEFILE). ``broken`` tells that its database would be locked.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__("7.0.0b4")
        self.users["root"]["indexes"]["m"] = {"type": "remote", "volatile": False, "remote_url": upstream}
        self.entries: dict[str, Said | None] = {}
        self.disk: dict[str, bytes] = {}
        self.compared: dict[str, dict[str, Said]] = {}
        self.remote: dict[str, dict[str, Said]] = {}
        self.asked: dict[str, str] = {}
        self.broken = False

    def answers_itself(self, handler: Handler) -> bool:
        """Answer what is about pages and files of the mirror."""
        method, path = handler.command, unquote(urlsplit(handler.path).path)
        place = re.search(r"/\+[ef]/.+", path)
        page = re.search(r"/\+simple/([^/]+)/(refresh)?", path)
        version = re.fullmatch("/root/m/([^/]+)/([^/]+)", path)
        if page:
            self._page(handler, page[1], bool(page[2]))
        elif place and method == "DELETE":
            self._delete(handler, place[0])
        elif place:
            self._file(handler, place[0])
        elif version and method == "DELETE":
            self._forget_if_empty(version[1])
            handler.reply(200, "{}")
        else:
            self.uploads["root/m"] = list(self.compared)
            return False
        return True

    def fetch_page(self, index: str, project: str) -> None:
        """Fetch the page of a project, and write what differs (``save_links``)."""
        pages = self._links(f"{self._upstream(*index.split('/'))}{project}/")
        if pages is None or pages == self.compared.get(project):
            return
        said = {
            name: {key: value for key, value in file.items() if key != "url" and value != {}}
            for name, file in pages.items()
        }
        had = self.remote.get(project, {})
        for name, file in said.items():
            if had.get(name) == file:
                continue
            if name not in had and self.entries.get(file["place"], {}) is None:
                self.broken = True
                return
            known = self.entries.get(file["place"]) or {}
            hashes = {"hashes": file["hashes"]} if "hashes" in file else {}
            self.entries[file["place"]] = {
                **known,
                **hashes,
                "url": pages[name]["url"],
                "size": file.get("size"),
                "project": project,
            }
        kept = {name: self.compared[project][name] for name in said if had.get(name) == said[name]}
        self.compared[project] = {**pages, **kept}
        self.remote[project] = {
            name: file if name in had else {key: value for key, value in file.items() if key not in ("hashes", "size")}
            for name, file in said.items()
        }

    def get(self, place: str) -> tuple[int, bytes]:
        """Return what a client gets, after devpi has fetched it where it has to."""
        entry = self.entries.get(place)
        if not entry:
            return 410, b"{}"
        if place in self.disk:
            return (500, b"{}") if entry["size"] is None else (200, self.disk[place])
        try:
            with DIRECTLY.open(entry["url"]) as answer:
                modified, content = answer.headers["Last-Modified"] or "then", answer.read()
        except (OSError, http.client.IncompleteRead):
            return 502, b'{"message": "error -1 getting it"}'
        # What became of it meanwhile, stays.
        entry = self.entries[place] or {}
        hashes = entry.get("hashes", {})
        found = {kind: hashlib.new(kind, content).hexdigest() for kind in ("sha256", *hashes)}
        if {**found, **hashes} != found:
            return 500, b"{}"
        self.disk[place] = content
        self.entries[place] = {
            **entry,
            "size": len(content),
            "last_modified": modified,
            "hashes": found,
        }
        return 200, content

    def _links(self, url: str) -> dict[str, Said] | None:
        """Return the files on a page by their names, each with its place; None where there is no page."""
        request = urllib.request.Request(url, headers={"Accept": JSON_TYPE})
        try:
            with DIRECTLY.open(request) as answer:
                text = answer.read()
        except OSError:
            return None
        if answer.headers["Content-Encoding"] == "gzip":
            text = gzip.decompress(text)
        if answer.headers["Content-Type"] == JSON_TYPE:
            page = json.loads(text)
            meant = ["url", "hashes", "requires-python", "yanked"]
            if page["meta"]["api-version"] != "1.0":
                meant.append("size")
            files = [{key: file[key] for key in meant if file.get(key) is not None} for file in page["files"]]
        else:
            found = re.findall(r'href="([^"#]+)(?:#(\w+)=(\w+))?"', text.decode())
            files = [{"url": url, "hashes": {kind: digest} if kind else {}} for url, kind, digest in found]
        return {file["url"].rpartition("/")[2]: {**file, "place": self._place(file)} for file in files}

    @staticmethod
    def _place(file: Said) -> str:
        name, digest = file["url"].rpartition("/")[2], file["hashes"].get("sha256") or file["hashes"].get("md5")
        if digest:
            return f"/+f/{digest[:3]}/{digest[3:16]}/{name}"
        return f"/+e/{re.sub('[^a-zA-Z0-9_.-]', '_', file['url'].replace('://', '_').rpartition('/')[0])}/{name}"

    def _page(self, handler: Handler, project: str, refresh: bool) -> None:
        # Another upstream makes it ask at once.
        upstream = self._upstream("root", "m")
        if refresh or self.asked.get(project) != upstream:
            self.asked[project] = upstream
            self.fetch_page("root/m", project)
        if refresh:
            handler.reply(500 if self.broken else 302, "", "text/html", Location="/")
            return
        had = self.compared.get(project)
        files = [{**file, "filename": name, "url": f"../..{file['place']}"} for name, file in (had or {}).items()]
        handler.reply(404 if had is None else 200, json.dumps({"files": files}))

    def _file(self, handler: Handler, place: str) -> None:
        if handler.headers["Accept"] != "application/json":
            status, content = self.get(place)
            handler.reply(status, content, "application/octet-stream" if status == 200 else "application/json")
        elif self.entries.get(place):
            handler.reply(200, json.dumps({"result": self.entries[place]}))
        else:
            handler.reply(410, '{"message": "file existed, deleted in later serial"}')

    def _delete(self, handler: Handler, place: str) -> None:
        entry = self.entries.get(place)
        if not entry or place not in self.disk:
            handler.reply(410, '{"message": "no such file"}')
            return
        if "sha256" not in entry["hashes"]:
            handler.reply(500, "{}")
            return
        del self.disk[place]
        self.entries[place] = None
        self._forget_if_empty(entry["project"])
        handler.reply(200, "{}")

    def _forget_if_empty(self, project: str) -> None:
        if not any(file["place"] in self.disk for file in self.compared.get(project, {}).values()):
            self.compared.pop(project, None)
            self.remote.pop(project, None)
