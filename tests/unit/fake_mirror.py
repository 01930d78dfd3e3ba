# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a devpi-server that fetches files from an upstream."""

from __future__ import annotations

import hashlib
import json
from threading import Barrier
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler


def sha256(content: bytes) -> str:
    """Return a SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


class FakeMirror(FakeDevpi):
    """devpi-server with the mirror ``root/pypi``, and ``team/dev`` with it as its base.

    ``upstream`` holds the files of the upstream, by project and name, ``cached`` the names of those that were fetched
    or that nginx has on its disk (``front``). ``fetched`` lists what the upstream was asked for. ``lies`` are contents
    that the upstream sends instead, ``hashless`` the names of files whose hash it does not tell. ``ranges`` is false
    for a front that sends whole files only, ``keeps`` for a server that cannot store. ``together`` lets the upstream
    wait until several ask.
    """

    def __init__(self) -> None:
        super().__init__()
        self.users["root"]["indexes"]["pypi"] = {"type": "mirror", "volatile": False, "mirror_url": "http://x"}
        self.users["team"] = {"username": "team", "indexes": {"dev": {"type": "stage", "bases": ["root/pypi"]}}}
        self.upstream: dict[str, dict[str, bytes]] = {}
        self.cached: set[str] = set()
        self.fetched: list[str] = []
        self.front = False
        self.ranges = True
        self.hashless: set[str] = set()
        self.lies: dict[str, bytes] = {}
        self.keeps = True
        self.together: Barrier | None = None

    def answer(self, method: str, path: str, body: Any, user: str | None) -> tuple[int, dict[str, Any] | bytes]:
        """Answer a request for JSON."""
        if path.startswith("/root/none"):
            return 404, {"message": "The stage root/none could not be found."}
        return super().answer(method, path, body, user)

    def answers_itself(self, handler: Handler) -> bool:
        """Answer a request for a page or a file."""
        path = unquote(urlsplit(handler.path).path)
        if "/+simple/" in path:
            self._page(handler, path.strip("/").rpartition("/")[2])
        elif "/+f/" in path or "/+e/" in path:
            self._file(handler, path.rpartition("/")[2])
        else:
            return False
        return True

    def _page(self, handler: Handler, project: str) -> None:
        assert handler.headers["Accept"].startswith("application/vnd.pypi.simple.v1+json")
        if project not in self.upstream:
            handler.reply(404, '{"message": "The project does not exist."}')
            return
        files = [self._listed(name, content) for name, content in self.upstream[project].items()]
        handler.reply(200, json.dumps({"name": project, "files": files}), "application/vnd.pypi.simple.v1+json")

    def _listed(self, name: str, content: bytes) -> dict[str, Any]:
        digest, place = sha256(content), "../../../../root/pypi"
        if name in self.hashless:
            return {"filename": name, "url": f"{place}/+e/http_x/{quote(name)}", "hashes": {}}
        url = f"{place}/+f/{digest[:3]}/{digest[3:16]}/{name}"
        return {"filename": name, "url": url, "hashes": {"sha256": digest}}

    def _file(self, handler: Handler, name: str) -> None:
        content = next(files[name] for files in self.upstream.values() if name in files)
        if name in self.cached and self.front:
            if self.ranges and handler.headers["Range"] == "bytes=0-0":
                handler.reply(206, content[:1], "application/octet-stream")
            else:
                handler.reply(200, content, "application/octet-stream")
        elif "application/json" in handler.headers["Accept"]:
            known = {"last_modified": "Sat, 21 Nov 2026 17:15:44 GMT"} if name in self.cached else {}
            handler.reply(200, json.dumps({"type": "releasefilemeta", "result": {"project": "a", **known}}))
        else:
            sent = content if name in self.cached else self._from_upstream(name, content)
            handler.reply(200, sent, "application/octet-stream")

    def _from_upstream(self, name: str, content: bytes) -> bytes:
        self.fetched.append(name)
        if self.together is not None:
            self.together.wait(60)
        sent = self.lies.get(name, content)
        if self.keeps and (sent == content or name in self.hashless):
            self.cached.add(name)
            self.serial += 1
        return sent
