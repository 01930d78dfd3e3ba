# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to a server of this host: by a unix socket (``unix:/path``) or by ``http://host:port``, and by no proxy."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import typing as t
from urllib.parse import urlsplit


class UnixConnection(http.client.HTTPConnection):
    """A connection to who listens on a unix socket. With ``owners``, the listener has to be one of these uids."""

    def __init__(self, path: str, timeout: float, owners: t.Collection[int] | None = None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._owners = owners

    def connect(self) -> None:
        """Connect. Raises OSError, PermissionError where somebody else listens."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
            if self._owners is not None:
                # unix(7): pid, uid and gid of whoever called listen().
                said = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                owner = struct.unpack("3i", said)[1]
                if owner not in self._owners:
                    raise PermissionError(1, f"uid {owner} listens there, who is not devpi", self._path)
        except OSError:
            self.sock.close()
            raise


def connection_to(url: str, timeout: float, owners: t.Collection[int] | None = None) -> http.client.HTTPConnection:
    """Return a connection to a server, which is not made yet. ``timeout`` is in seconds."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return UnixConnection(parts.path, timeout, owners)
    return http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)


def get(
    url: str,
    path: str,
    headers: t.Mapping[str, str],
    timeout: float,
    body: bytes | None = None,
    owners: t.Collection[int] | None = None,
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of an answer; with a body it is a POST. Raises OSError, HTTPException."""
    connection = connection_to(url, timeout, owners)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def is_devpi(url: str, timeout: float) -> bool:
    """Whether the API of a devpi answers, within so many seconds."""
    try:
        _status, _headers, body = get(url, "/+api", {"Accept": "application/json"}, timeout)
        said = json.loads(body)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return isinstance(said, dict) and said.get("type") == "apiconfig"
