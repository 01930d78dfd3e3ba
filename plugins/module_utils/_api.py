# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client of devpi-server: JSON in, JSON out, and a sentence for a person where something went wrong.

In check mode the client refuses to write, so no module can write by mistake.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import ssl
import threading
import typing as t
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, quote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._connections import (
    Body,
    Connections,
    Form,
    Response,
    Sink,
    proxy_for,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.module_utils._peer import UntrustedPeerError, is_loopback

OLDEST_VERSION = (6, 20, 2)
"""Below it, anyone may fetch replication data, password hashes included (devpi-server's changelog, 6.20.2)."""

READING_METHODS = frozenset({"GET"})

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
"""The type of an index's pages (specification of the simple repository API)."""

LARGEST_DESCRIPTION = 1 << 20
"""Bytes of JSON with which devpi describes a file, at most; it is some hundred."""

SLOWEST_UPLOAD = 10_000_000
"""Bytes a second: how fast a server must take an upload before the timeout of the other requests begins."""

Json: t.TypeAlias = "dict[str, t.Any] | list[str] | None"
"""What a request sends. A list holds changes of single keys, such as ``title-=``."""


class ApiError(Exception):
    """A request that failed, told in a sentence that says what to do."""


class NothingListensError(ApiError):
    """The connection was refused: no server runs at the URL."""


class CheckModeLockError(RuntimeError):
    """A write was tried in check mode. This is a bug in a module, not a mistake of its user."""


def version_tuple(version: str) -> tuple[int, int, int]:
    """Turn ``6.20.3`` or ``7.0.0b4`` into numbers that compare; what follows the numbers does not count.

    Raises ApiError for text that does not begin with a version.
    """
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if match is None:
        raise ApiError(f"The server says that its version is {version!r}, which is no version of devpi-server.")
    return int(match[1]), int(match[2]), int(match[3] or 0)


def path_of(name: str) -> str:
    """Return the path of a user (``alice``) or an index (``alice/dev``) on the server."""
    return "/" + quote(name, safe="/")


@dataclass(frozen=True)
class Answer:
    """One answer of the server.

    ``serial`` is the number of the server's last change; ``data`` the parsed JSON object.
    """

    status: int
    version: str
    serial: int
    data: dict[str, t.Any]

    @property
    def message(self) -> str:
        """What the server says about a failure, in one line."""
        said = (" ".join(str(self.data.get(key, "")).split()) for key in ("message", "title"))
        return next(filter(None, said), "no reason given")


class _NoDescriptionError(Exception):
    """An answer is too long for what devpi tells of a file: it is the file."""


class _Description:
    """Takes in what devpi tells of a file, but not a file."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        """Take a part. Raises _NoDescriptionError."""
        self.data += data
        if len(self.data) > LARGEST_DESCRIPTION:
            raise _NoDescriptionError


_DESCRIBED = {"Accept": "application/json", "Range": "bytes=0-0"}


class Client:
    """Talks to one devpi-server.

    ``url`` is where the server's ``/+api`` is, without it; ``timeout`` is in seconds and holds for each request.
    ``version`` and ``serial`` are those of the latest answer.
    """

    def __init__(
        self,
        url: str,
        *,
        check_mode: bool,
        validate_certs: bool = True,
        ca_path: str | None = None,
        timeout: float = 30,
    ) -> None:
        parts = urlsplit(url)
        if not _is_url(parts):
            raise ApiError(
                f"url: {url.rpartition('@')[2]!r} is no URL; write one such as https://devpi.example.org, or on the "
                "host of devpi-server its socket, unix:///run/devpi/devpi.sock."
            )
        if parts.username is not None:
            raise ApiError("url: leave user and password out of it; write login_user and login_password.")
        self.url = url.rstrip("/")
        self.version = ""
        self.serial = -1
        self._check_mode = check_mode
        self.timeout = timeout
        self._lock = threading.Lock()
        self.is_on_this_host = parts.scheme == "unix" or is_loopback(parts.hostname or "")
        # The path of a socket is where to connect, and all of it.
        self._prefix = "" if parts.scheme == "unix" else urlsplit(self.url).path
        self._connections = Connections(
            parts,
            # Reading the system's CAs takes longer (40 ms) than a request: once, and only where they are asked.
            _tls_context(ca_path, validate_certs) if parts.scheme == "https" or ca_path else None,
            None if self.is_on_this_host else proxy_for(parts),
        )
        self._login: tuple[str, str] | None = None
        self._token: str | None = None

    def log_in(self, user: str, password: str) -> None:
        """Log in for all requests that follow. Raises ApiError where the server refuses."""
        token = self._token_for(user, password)
        if token is None:
            raise ApiError(
                f"{self.url} refuses the password of user {user!r} (or knows no such user): "
                "check login_user and login_password or login_password_file."
            )
        self._login = (user, password)
        self._token = token

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether the server accepts this password now. Changes nothing, not even who is logged in."""
        return self._token_for(user, password) is not None

    def get(self, path: str) -> dict[str, t.Any]:
        """Return the ``result`` of a GET. Raises ApiError."""
        return self._object(path, self._succeed("GET", path))

    def get_if_exists(self, path: str) -> dict[str, t.Any] | None:
        """Return the ``result`` of a GET, None where the server has no such thing. Raises ApiError."""
        answer = self._answered("GET", path)
        return None if answer.status == 404 else self._object(path, self._checked(answer, "GET", path))

    def fetch(self, path: str, into: Sink) -> None:
        """Write a file of the server into another one. Raises ApiError."""
        self._is_file(self._exchange("GET", path, into=into), path)

    def fetch_from_upstream(self, path: str, into: Sink) -> None:
        """Let a mirror fetch a file and keep it. Raises ApiError, and CheckModeLockError: here, a GET is a write."""
        if self._check_mode:
            raise CheckModeLockError(f"GET {path} in check mode")
        answer = self._exchange("GET", path, into=into)
        if answer.status == 500:
            # That is how a small file ends of which the answer had not begun.
            raise ApiError(
                f"devpi-server at {self.url} failed inside (500), as it does where an upstream breaks off or its disk "
                "is full: see its journal."
            )
        self._is_file(answer, path)

    def _is_file(self, answer: Response, path: str) -> None:
        if answer.status != 200:
            self._checked(self._parse(answer), "GET", path)
            raise ApiError(f"GET {self.url}{path} answered {answer.status} where a file was due.")

    def page_if_exists(self, index: str, project: str) -> list[dict[str, t.Any]] | None:
        """Return the files that an index (``user/index``) offers of a project, None where it has no such project.

        As for every client, devpi asks its upstream where its own page is too old. Raises ApiError.
        """
        path = f"{path_of(index)}/+simple/{quote(project)}/"
        # The second type is for failures, which devpi otherwise tells in HTML.
        answer = self._answered("GET", path, headers={"Accept": f"{JSON_TYPE}, application/json;q=0.1"})
        if answer.status == 404:
            return None
        files = self._checked(answer, "GET", path).data.get("files")
        if not isinstance(files, list):
            raise ApiError(f"{self.url}{path} answered JSON without the list 'files' of an index.")
        return files

    def is_stored(self, path: str) -> bool:
        """Tell whether the server has the content of a file, or would have to ask an upstream. Raises ApiError."""
        description = self.describe(path)
        return description is None or "last_modified" in description

    def describe(self, path: str) -> dict[str, t.Any] | None:
        """Return what devpi knows of a file, with ``last_modified`` where it has fetched it. Raises ApiError.

        Asked for JSON, devpi describes a file instead of sending it, and asks no upstream for it (``_pkgserv`` in its
        views). What stands in front of it sends a file from its disk instead: of that, one byte is asked for, and None
        returned.
        """
        description = _Description()
        try:
            answer = self._exchange("GET", path, into=description, headers=_DESCRIBED)
        except _NoDescriptionError:
            return None
        # 416 is the answer for a file without a first byte.
        if answer.status in (206, 416):
            return None
        if answer.status == 200:
            if not answer.headers.get("Content-Type", "").startswith("application/json"):
                return None
            answer = replace(answer, data=bytes(description.data))
        return self._object(path, self._checked(self._parse(answer), "GET", path))

    def write(self, method: str, path: str, body: Json = None) -> None:
        """Send a PUT, PATCH or DELETE. Raises ApiError, and CheckModeLockError in check mode."""
        self._succeed(method, path, body)

    def attempt(self, method: str, path: str) -> bool:
        """Send a request that is answered with a page of HTML. Returns whether it succeeded.

        Raises CheckModeLockError in check mode, unless it only reads.
        """
        self._check_lock(method, path)
        try:
            answer = self._exchange(method, path)
        except ApiError:
            return False
        return answer.status < 400

    def create(self, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the ``result`` of a POST. Raises ApiError, and CheckModeLockError in check mode."""
        return self._object(path, self._succeed("POST", path, body))

    def accepts_token(self, user: str, token: str) -> bool:
        """Tell whether the server takes this token of devpi-tokens from this user now. Changes nothing."""
        answer = self._request("GET", "/+api", token=_auth(user, token))
        return answer.status < 400 and _auth_status(answer) == "ok"

    def upload(self, index: str, form: Form) -> None:
        """Send a file to an index (``user/index``), with what the form says about it. Raises ApiError."""
        # devpi-server takes some seconds for each GB, after the last byte has come.
        self._succeed("POST", f"{path_of(index)}/", form, self.timeout + len(form) / SLOWEST_UPLOAD)

    def push(self, index: str, wanted: dict[str, t.Any]) -> None:
        """Let the server copy a release to another index, as ``wanted`` says (pushrelease of devpi's views)."""
        self._succeed("POST", path_of(index), wanted)

    @contextmanager
    def kept_open(self) -> t.Iterator[None]:
        """Keep connections open from one request of a ``with`` block to the next; threads may share the client."""
        with self._connections.kept_open():
            yield

    def _succeed(self, method: str, path: str, body: Json | Form = None, timeout: float | None = None) -> Answer:
        return self._checked(self._answered(method, path, body, timeout), method, path)

    def _answered(
        self,
        method: str,
        path: str,
        body: Json | Form = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, once more where the login has expired."""
        answer = self._request(method, path, body, timeout=timeout, headers=headers)
        if answer.status in (401, 403) and self._login is not None and self._login_expired():
            self.log_in(*self._login)
            answer = self._request(method, path, body, timeout=timeout, headers=headers)
        return answer

    def _checked(self, answer: Answer, method: str, path: str) -> Answer:
        if answer.status >= 400:
            raise ApiError(self._failure(answer, method, path))
        return answer

    def _object(self, path: str, answer: Answer) -> dict[str, t.Any]:
        result = answer.data.get("result", {})
        if not isinstance(result, dict):
            raise ApiError(f"{self.url}{path} answered JSON without the object 'result' that devpi sends.")
        return result

    def _login_expired(self) -> bool:
        """Ask ``/+api``, because a bad token gives no error of its own: the request just counts as anonymous."""
        return _auth_status(self._request("GET", "/+api")) == "noauth"

    def _token_for(self, user: str, password: str) -> str | None:
        """Return the value of X-Devpi-Auth, or None where the password is wrong. Never sends an empty password."""
        if not password:
            raise ApiError(f"The password of user {user!r} is empty; devpi would take it. Write one that is not.")
        answer = self._request("POST", "/+login", {"user": user, "password": password}, token=None)
        if answer.status == 401:
            return None
        if answer.status >= 400:
            raise ApiError(
                f"The login of user {user!r} at {self.url} failed ({answer.status}): {answer.message}. "
                "Check that url is the address of devpi-server, without the name of an index."
            )
        try:
            return _auth(user, answer.data["result"]["password"])
        except (KeyError, TypeError):
            raise ApiError(f"{self.url}/+login answered without a token; is this devpi-server?") from None

    def _failure(self, answer: Answer, method: str, path: str) -> str:
        request = f"{method} {self.url}{path}"
        # devpi answers 403 for other reasons too; these are the words of a permission that is missing.
        not_allowed = "no permission" in answer.message or "permission check" in answer.message
        if answer.status == 401 or (answer.status == 403 and not_allowed):
            who = f"User {self._login[0]!r}" if self._login else "Nobody is logged in, and an anonymous user"
            return (
                f"{who} may not do this ({request}). Log in as the owner, as one of acl_upload where it is an "
                "upload, or as one of the users of devpi-server's --restrict-modify."
            )
        # Without the value, which may hold a secret.
        unknown = re.match(r"indexconfig got unexpected keyword arguments: (\w+)=", answer.message)
        if unknown:
            return (
                f"devpi-server {answer.version} does not know the setting {unknown[1]}: install the plugin that adds "
                "it, or take it out (of the server too, where a removed plugin left it: devpi index NAME KEY-=)."
            )
        upstream = re.fullmatch(r"error (-?\d+) getting (\S+)", answer.message)
        if upstream:
            said = f"answered {upstream[1]}" if int(upstream[1]) > 0 else "does not answer"
            place = masked(upstream[2])
            return f"the upstream of the mirror {said} for {place}: wait, or let devpi_index take another mirror."
        return f"{request} failed ({answer.status}): {answer.message}"

    def _request(
        self,
        method: str,
        path: str,
        body: Json | Form = None,
        *,
        token: str | None = "",
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request. ``token`` None sends it anonymously, the default with the login there is."""
        self._check_lock(method, path)
        answer = self._parse(self._exchange(method, path, body, token=token, timeout=timeout, headers=headers))
        self.version = answer.version
        return answer

    def _check_lock(self, method: str, path: str) -> None:
        if self._check_mode and method not in READING_METHODS and path != "/+login":
            raise CheckModeLockError(f"{method} {path} in check mode")

    def _exchange(
        self,
        method: str,
        path: str,
        body: Json | Form = None,
        *,
        token: str | None = "",
        timeout: float | None = None,
        into: Sink | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request and return the answer as it came. Raises ApiError where none came."""
        # Asked for JSON, devpi describes a file instead of sending it.
        accept = "application/json" if into is None else "*/*"
        fields = {"Accept": accept, "Content-Type": "application/json", "User-Agent": "wheelhouse.devpi"}
        fields.update(headers or {})
        token = self._token if token == "" else token
        if token is not None:
            fields["X-Devpi-Auth"] = token
        sent: Body | None
        if isinstance(body, Form):
            fields["Content-Type"], sent = body.content_type, body
        else:
            sent = None if body is None else json.dumps(body).encode()
        try:
            response = self._connections.request(
                method, self._prefix + path, sent, fields, timeout or self.timeout, into
            )
        except UntrustedPeerError as reason:
            raise ApiError(str(reason)) from reason
        except (OSError, http.client.HTTPException) as reason:
            raise self._no_answer(reason) from reason
        with self._lock:
            # Of answers to several threads, the one with the lower serial may come last.
            self.serial = max(self.serial, _serial(response.headers))
        return response

    def _parse(self, response: Response) -> Answer:
        status, headers, text = response.status, response.headers, response.data
        version = headers.get("X-Devpi-Server-Version")
        if 300 <= status < 400:
            location = str(headers.get("Location", ""))
            target = urlsplit(location)
            hint = f"url: {target.scheme}://{target.netloc}" if target.netloc else "the URL that it redirects to"
            raise ApiError(f"{self.url} redirects to {location}: write {hint}.")
        try:
            # An upload that succeeded is answered with nothing.
            data = json.loads(text or b"{}")
        except ValueError:
            if status != 404 or version is None:
                raise ApiError(self._not_json(status, headers, text)) from None
            # devpi-web has a page for what is not there, in HTML for everybody.
            data = {"message": "not found"}
        if not isinstance(data, dict) or version is None:
            raise ApiError(
                f"{self.url} answered JSON, but not that of devpi-server (no header X-Devpi-Server-Version): "
                "check url and what stands in front of the server."
            )
        if version_tuple(version) < OLDEST_VERSION:
            raise ApiError(
                f"{self.url} is devpi-server {version}: this collection needs 6.20.2 or newer, because older ones "
                "hand out their replication data, password hashes included, to anyone. Upgrade devpi-server."
            )
        return Answer(status, version, _serial(headers), data)

    def _not_json(self, status: int, headers: t.Any, text: bytes) -> str:
        page = text.decode("utf-8", "replace")
        kind = headers.get("Content-Type", "no content type").split(";")[0]
        if "HTTP request was sent to HTTPS port" in page:
            return f"{self.url} speaks TLS: write url: https://{urlsplit(self.url).netloc}."
        if status == 401:
            return (
                f"{self.url} shows this to nobody without a login (401): give login_user, and login_password or "
                "login_password_file. On the host of devpi-server, its own socket needs none."
            )
        if status == 413:
            return (
                f"{self.url} refuses an upload of that size (413): raise the limit of what stands in front of "
                "devpi-server (client_max_body_size of nginx)."
            )
        if status == 500 and "waitress" in page:
            return (
                f"devpi-server at {self.url} failed inside (500): see its journal, and whether its disk is full "
                "(df --human-readable on that host)."
            )
        if status in (502, 503, 504):
            return (
                f"The proxy at {self.url} answered {status}: devpi-server behind it does not run or does not answer. "
                "Look at systemctl status devpi-server on that host."
            )
        if kind == "application/json":
            return (
                f"{self.url} answered {status} with invalid JSON (it begins with {page[:40]!r}): the answer is cut off."
            )
        title = re.search(r"<title>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
        what = f"the page {' '.join(title[1].split())!r}" if title else f"{page.strip()[:60]!r}"
        return (
            f"{self.url} answered {status} with {kind} where JSON was due ({what}): "
            "check that url is the address of devpi-server, and what stands in front of it."
        )

    def _no_answer(self, reason: Exception) -> ApiError:
        plain_url = f"http://{urlsplit(self.url).netloc}"
        timed_out = isinstance(reason, (socket.timeout, TimeoutError))
        path = urlsplit(self.url).path if self.url.startswith("unix:") else None
        if path is not None and isinstance(reason, FileNotFoundError) and reason.filename in (path, None):
            return NothingListensError(f"There is no socket {path} on this host: start devpi-server, or correct url.")
        if path is not None and isinstance(reason, PermissionError) and reason.filename in (path, None):
            return ApiError(
                f"{path} may not be opened by user {os.geteuid()}, who runs this task: write become: true, or put the "
                "user into the group of the socket."
            )
        if isinstance(reason, OSError) and reason.filename:
            return ApiError(f"{reason.filename} cannot be read on this host ({reason.strerror}).")
        if isinstance(reason, ConnectionRefusedError):
            return NothingListensError(
                f"Nothing listens at {self.url} (connection refused): start devpi-server, or correct url."
            )
        if timed_out and "handshake" in str(reason):
            # devpi-server itself waits for the end of a line that a TLS client never sends.
            sentence = (
                f"{self.url} did not answer the TLS handshake within {self.timeout} s, so it hardly speaks TLS: "
                f"write url: {plain_url}."
            )
        elif timed_out:
            sentence = (
                f"{self.url} did not answer within {self.timeout} s: the server is overloaded or a firewall drops "
                "packets; raise timeout if it is only slow."
            )
        elif isinstance(reason, ssl.SSLCertVerificationError):
            sentence = (
                f"The certificate of {self.url} is not trusted ({reason.verify_message}): "
                "write ca_path, the certificate of the CA that signed it."
            )
        elif isinstance(reason, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(reason):
            sentence = f"{self.url} does not speak TLS: write url: {plain_url}."
        elif isinstance(reason, http.client.IncompleteRead):
            sentence = (
                f"{self.url} broke off in the middle of an answer: devpi-server was stopped, or could not get the rest "
                "from an upstream; see its journal."
            )
        elif isinstance(reason, (ConnectionError, http.client.HTTPException)):
            hint = " If it speaks TLS there, write https:// in url." if self.url.startswith("http://") else ""
            sentence = (
                f"{self.url} closed the connection without a whole answer ({type(reason).__name__}): "
                f"the server was stopped or crashed, see its journal.{hint}"
            )
        elif isinstance(reason, socket.gaierror):
            sentence = f"The host of {self.url} has no address ({reason.strerror}): correct url or the DNS."
        else:
            sentence = f"{self.url} cannot be reached: {reason}"
        return ApiError(sentence)


def _auth(user: str, token: str) -> str:
    """Return the value of X-Devpi-Auth."""
    return base64.b64encode(f"{user}:{token}".encode()).decode()


def _auth_status(answer: Answer) -> str:
    """Return what ``/+api`` says of who asks: ``ok``, ``noauth`` or ``expired``."""
    return str(answer.data.get("result", {}).get("authstatus", ["noauth"])[0])


def _serial(headers: t.Any) -> int:
    serial = headers.get("X-Devpi-Serial", "")
    return int(serial) if re.fullmatch(r"-?\d+", serial) else -1


def _tls_context(ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    # On a host with python3-cryptography, that takes a quarter of the start of a call, and most ask the host itself.
    from ansible.module_utils.urls import make_context  # noqa: PLC0415

    try:
        context: ssl.SSLContext = make_context(cafile=ca_path, validate_certs=validate_certs)
    except OSError as reason:
        raise ApiError(f"ca_path: {ca_path} holds no certificates that can be read ({reason.strerror}).") from reason
    return context


def _is_url(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return not parts.netloc and len(parts.path) > 1 and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and _has_valid_port(parts)


def _has_valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False
