# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A devpi-server in this process: the whole of it, with its plugins, but for the port."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import devpi_server
from devpi_server.config import get_pluginmanager, parseoptions
from devpi_server.init import init
from devpi_server.main import xom_from_config
from webob import Request

MAJOR = int(devpi_server.__version__.split(".")[0])
#: How each major version calls the two types of index, and the URL of a mirror.
STAGE, MIRROR, URL = ("stage", "mirror", "mirror_url") if MAJOR == 6 else ("local", "remote", "remote_url")
JSON = "application/json"
ROOT_PASSWORD = "password of root"


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of a login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


ROOT = basic("root", ROOT_PASSWORD)


class Devpi:
    """A server with the settings of the role, and data of its own."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "private.json"
        self.write_rules([])
        data = ["--serverdir", str(folder / "data")]
        plain = get_pluginmanager()
        init(plain, ["devpi-init", *data, "--no-root-pypi", f"--root-passwd={ROOT_PASSWORD}"])
        options = [*data, "--restrict-modify=root", "--indexer-backend=null", f"--wheelhouse-private={self.rules}"]
        self.config = parseoptions(get_pluginmanager(), ["devpi-server", *options, "--offline-mode"])
        self.xom = xom_from_config(self.config)
        self.app = self.xom.create_app()

    @classmethod
    def started(cls, folder: Path) -> Iterator[Devpi]:
        """Yield a new server, and end it then."""
        server = cls(folder)
        yield server
        server.xom.keyfs.release_all_wait_tx()
        server.xom.thread_pool.shutdown()

    def write_rules(self, private: list[dict[str, Any]]) -> None:
        """Write the file as the role does: as a whole."""
        new = self.rules.with_suffix(".new")
        new.write_text(json.dumps(private))
        new.replace(self.rules)

    def ask(self, path: str, headers: dict[str, str], method: str = "GET", content: object = None) -> Any:
        """Send a request to devpi. Returns its response."""
        request = Request.blank(path, method=method, headers={"Accept": JSON, **headers})
        if content is not None:
            request.content_type = JSON
            request.body = json.dumps(content).encode()
        return request.get_response(self.app)

    def manage(self, method: str, path: str, content: object = None) -> Any:
        """Change something as root. Returns the result."""
        response = self.ask(path, ROOT, method, content)
        assert response.status_code in {200, 201}, response.text
        return response.json.get("result")

    def add_user(self, name: str) -> dict[str, str]:
        """Make a user. Returns the header of the login."""
        self.manage("PUT", f"/{name}", {"password": f"password of {name}"})
        return basic(name, f"password of {name}")

    def add_index(self, index: str, bases: list[str] | None = None, **more: Any) -> None:
        """Make an index that inherits others."""
        self.manage("PUT", f"/{index}", {"type": STAGE, "bases": bases or [], **more})

    def add_mirror(self, index: str, url: str) -> None:
        """Make a mirror of an upstream, which is not asked."""
        self.manage("PUT", f"/{index}", {"type": MIRROR, URL: url})

    def inherit(self, index: str, bases: list[str]) -> None:
        """Let an index inherit others."""
        self.manage("PATCH", f"/{index}", [f"bases={','.join(bases)}"])

    def token(self, user: str, **restrictions: Any) -> dict[str, str]:
        """Make a token. Returns the header of the login by it."""
        return basic(user, str(self.manage("POST", f"/{user}/+token-create", restrictions)["token"]))

    def log_in(self, user: str) -> str:
        """Return the password for ten hours that devpi gives for a login."""
        return str(
            self.ask("/+login", {}, "POST", {"user": user, "password": f"password of {user}"}).json["result"][
                "password"
            ]
        )

    def cookie(self, user: str) -> dict[str, str]:
        """Return the cookie that devpi-lockdown gives for a login."""
        return {"Cookie": f"auth_tkt={urllib.parse.quote(f'{user}:{self.log_in(user)}')}"}

    def answer(
        self,
        uri: str,
        login: dict[str, str] | None = None,
        need: str = "read",
        method: str = "GET",
        address: str = "192.0.2.1",
        rate: str = "1000",
    ) -> Any:
        """Ask as nginx does whether a client may. Returns the response."""
        headers = {"X-Need": need, "X-Method": method, "X-Uri": uri, "X-Real-IP": address, "X-Login-Rate": rate}
        return self.ask("/+wheelhouse/auth", headers | (login or {}))

    def may(self, uri: str, login: dict[str, str] | None = None, need: str = "read", method: str = "GET") -> int:
        """Return the status of the answer."""
        return int(self.answer(uri, login, need, method).status_code)
