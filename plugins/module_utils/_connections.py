# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP connections to one server: kept open from one request to the next, and usable by several threads at a time.

``ansible.module_utils.urls`` opens a connection for each request, and loses the answer of a server that refuses an
upload before it has read it all. It still makes the TLS context.
"""

from __future__ import annotations

import base64
import errno
import http.client
import secrets
import select
import ssl
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible_collections.wheelhouse.devpi.plugins.module_utils._peer import check_listener, connect_unix

BLOCK = 1 << 20
"""How many bytes of a file are in memory at a time."""


class Body(t.Protocol):
    """What a request sends: bytes, or parts of them that are read while they are sent."""

    def __len__(self) -> int:
        """Return the number of bytes."""

    def __iter__(self) -> t.Iterator[t.Any]:
        """Yield the bytes in parts, from the beginning each time."""


class Sink(t.Protocol):
    """Where the body of an answer goes: a file, or what needs the bytes only once."""

    def write(self, data: bytes, /) -> t.Any:
        """Take a part of the body."""


class Form:
    """A form with one file, as multipart/form-data (RFC 7578). The file is read while it is sent.

    ``fields`` may name a field several times.
    """

    def __init__(self, fields: t.Iterable[tuple[str, str]], field: str, file_name: str, path: Path) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
        texts = "".join(f'{part}{name}"\r\n\r\n{value}\r\n' for name, value in fields)
        file_head = f'{part}{field}"; filename="{file_name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        self._head = (texts + file_head).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._path = path
        self._size = path.stat().st_size

    def __len__(self) -> int:
        """Return the number of bytes."""
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> t.Iterator[bytes]:
        """Yield the bytes. Raises OSError, also where the file has another size than before."""
        yield self._head
        left = self._size
        with self._path.open("rb") as file:
            while left:
                part = file.read(min(left, BLOCK))
                if not part:
                    raise OSError(errno.EIO, "it became shorter while it was sent", str(self._path))
                left -= len(part)
                yield part
        yield self._tail


@dataclass(frozen=True)
class Response:
    """One answer of the server. ``data`` is empty where the body went into a Sink."""

    status: int
    headers: http.client.HTTPMessage
    data: bytes


class Connections:
    """Connections to the server at ``url``: by https with a ``context``, by http, or by a unix socket of this host.

    ``proxy`` is None without one. Nothing is sent on this host to who may be anybody.
    """

    def __init__(self, url: SplitResult, context: ssl.SSLContext | None, proxy: SplitResult | None) -> None:
        self._url = url
        self._context = context
        self._proxy = proxy
        self._idle: list[http.client.HTTPConnection] | None = None

    @contextmanager
    def kept_open(self) -> t.Iterator[None]:
        """Keep connections open between the requests of a ``with`` block."""
        self._idle = []
        try:
            yield
        finally:
            idle, self._idle = self._idle, None
            for connection in idle:
                connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Body | None,
        headers: dict[str, str],
        timeout: float,
        into: Sink | None = None,
    ) -> Response:
        """Send a request and return the answer; its body goes into ``into`` where the status is 200.

        ``timeout`` is in seconds, for each time that one side waits for the other. Raises OSError and
        http.client.HTTPException, IncompleteRead where the body is shorter than announced, UntrustedPeerError, and what
        ``into`` raises.
        """
        connection = self._taken(timeout)
        kept = False
        try:
            sent = self._send(connection, method, path, body, headers)
            with connection.getresponse() as response:
                if into is not None and response.status == 200:
                    for part in iter(lambda: response.read(BLOCK), b""):
                        into.write(part)
                    if response.length:
                        # Of a body that is read in parts, older versions of Python do not tell this.
                        raise http.client.IncompleteRead(b"", response.length)
                    data = b""
                else:
                    data = response.read()
                answer = Response(response.status, response.headers, data)
                kept = sent and not response.will_close
        finally:
            if kept and self._idle is not None:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body | None,
        headers: dict[str, str],
    ) -> bool:
        """Return whether all was sent. A server that does not want a body (413) answers, and stops reading."""
        fields = dict(headers)
        target = path
        if body is not None:
            fields["Content-Length"] = str(len(body))
        if self._idle is None:
            fields["Connection"] = "close"
        if self._proxy is not None and self._url.scheme == "http":
            target = f"http://{self._url.netloc}{path}"
            fields.update(_proxy_login(self._proxy))
        try:
            connection.request(method, target, body, fields)
        except (ConnectionError, ssl.SSLError):
            if body is None:
                raise
            return False
        return True

    def _taken(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection that is idle, or else a new one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # Another thread took it.
                break
            # What can be read from an idle connection is its end.
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                connection.sock.settimeout(timeout)
                return connection
            connection.close()
        return self._new(timeout)

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        place = self._proxy or self._url
        host = place.hostname or ""
        connection: http.client.HTTPConnection
        if self._url.scheme == "unix":
            connection = http.client.HTTPConnection("localhost", timeout=timeout)
            connection.sock = connect_unix(self._url.path, timeout)
            return connection
        if self._url.scheme == "http":
            connection = http.client.HTTPConnection(host, place.port, timeout=timeout)
        else:
            # The default port of a proxy is that of HTTP.
            port = place.port or (80 if self._proxy else 443)
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
            if self._proxy is not None:
                connection.set_tunnel(self._url.hostname or "", self._url.port or 443, _proxy_login(self._proxy))
        try:
            connection.connect()
            if self._url.scheme == "http" and self._proxy is None:
                check_listener(connection.sock)
        except BaseException:
            connection.close()
            raise
        return connection


def proxy_for(url: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment (``http_proxy`` and its like) names for a URL."""
    proxy = getproxies().get(url.scheme)
    if not proxy or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urlsplit(proxy if "//" in proxy else f"//{proxy}")


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
