# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP client of devpi-server: JSON in, JSON out, and a sentence for a person where something went wrong.

In check mode the client refuses to write, so no module can write by mistake.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
import socket
import ssl
import typing as t
from dataclasses import dataclass
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from ansible.module_utils.urls import Request, make_context

OLDEST_VERSION = (6, 20, 2)
"""Below it, anyone may fetch replication data, password hashes included (devpi-server's changelog, 6.20.2)."""

READING_METHODS = frozenset({"GET"})

Body: t.TypeAlias = "dict[str, t.Any] | list[str] | None"
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
        return " ".join(str(self.data.get("message", "no reason given")).split())


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
        timeout: int = 30,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiError(f"url: {url.rpartition('@')[2]!r} is no URL; write one such as http://127.0.0.1:3141.")
        if parts.username is not None:
            raise ApiError("url: leave user and password out of it; write login_user and login_password.")
        self.url = url.rstrip("/")
        self.version = ""
        self.serial = -1
        self._check_mode = check_mode
        self._timeout = timeout
        self._session = Request(
            headers={"Accept": "application/json", "Content-Type": "application/json"},
            timeout=timeout,
            use_proxy=not is_loopback(parts.hostname),
            # A redirect turns a POST into a GET: the person shall write the right URL instead.
            follow_redirects="none",
            # A ~/.netrc of the managed host would send credentials that nobody asked for.
            use_netrc=False,
            # Made once, because reading the system's CAs takes longer (40 ms) than a request.
            context=_tls_context(ca_path, validate_certs),
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
        return self._succeed("GET", path)

    def write(self, method: str, path: str, body: Body = None) -> None:
        """Send a PUT, PATCH or DELETE. Raises ApiError, and CheckModeLockError in check mode."""
        self._succeed(method, path, body)

    def attempt(self, method: str, path: str) -> bool:
        """Send a request that is answered with a page of HTML. Returns whether it succeeded.

        Raises CheckModeLockError in check mode, unless it only reads.
        """
        self._check_lock(method, path)
        headers = {"X-Devpi-Auth": self._token} if self._token is not None else {}
        try:
            with self._open(method, path, None, headers) as response:
                self.serial = _serial(response.headers)
                return bool(response.code < 400)
        except (OSError, http.client.HTTPException):
            return False

    def _succeed(self, method: str, path: str, body: Body = None) -> dict[str, t.Any]:
        answer = self._request(method, path, body)
        if answer.status in (401, 403) and self._login is not None and self._login_expired():
            self.log_in(*self._login)
            answer = self._request(method, path, body)
        if answer.status >= 400:
            raise ApiError(self._failure(answer, method, path))
        result = answer.data.get("result", {})
        if not isinstance(result, dict):
            raise ApiError(f"{method} {self.url}{path} answered JSON without the object 'result' that devpi sends.")
        return result

    def _login_expired(self) -> bool:
        """Ask ``/+api``, because a bad token gives no error of its own: the request just counts as anonymous."""
        status = self._request("GET", "/+api").data.get("result", {}).get("authstatus", ["noauth"])
        return bool(status[0] == "noauth")

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
            secret = f"{user}:{answer.data['result']['password']}"
        except (KeyError, TypeError):
            raise ApiError(f"{self.url}/+login answered without a token; is this devpi-server?") from None
        return base64.b64encode(secret.encode()).decode()

    def _failure(self, answer: Answer, method: str, path: str) -> str:
        request = f"{method} {self.url}{path}"
        # devpi answers 403 for other reasons too; these are the words of a permission that is missing.
        not_allowed = "no permission" in answer.message or "permission check" in answer.message
        if answer.status == 401 or (answer.status == 403 and not_allowed):
            who = f"User {self._login[0]!r}" if self._login else "Nobody is logged in, and an anonymous user"
            return (
                f"{who} may not do this ({request}). Log in as the owner, or as one of the users of "
                "devpi-server's --restrict-modify."
            )
        # Without the value, which may hold a secret.
        unknown = re.match(r"indexconfig got unexpected keyword arguments: (\w+)=", answer.message)
        if unknown:
            return (
                f"devpi-server {answer.version} does not know the setting {unknown[1]}: install the plugin that adds "
                "it, or take it out (of the server too, where a removed plugin left it: devpi index NAME KEY-=)."
            )
        return f"{request} failed ({answer.status}): {answer.message}"

    def _request(self, method: str, path: str, body: Body = None, token: str | None = "") -> Answer:
        """Send one request. ``token`` None sends it anonymously, the default with the login there is."""
        self._check_lock(method, path)
        headers = {"X-Devpi-Auth": self._token} if token is not None and self._token is not None else {}
        try:
            with self._open(method, path, body, headers) as response:
                status, response_headers, text = response.code, response.headers, response.read()
        except (OSError, http.client.HTTPException) as reason:
            raise self._no_answer(reason) from reason
        answer = self._parse(status, response_headers, text)
        self.version, self.serial = answer.version, answer.serial
        return answer

    def _check_lock(self, method: str, path: str) -> None:
        if self._check_mode and method not in READING_METHODS and path != "/+login":
            raise CheckModeLockError(f"{method} {path} in check mode")

    def _open(self, method: str, path: str, body: Body, headers: dict[str, str]) -> t.Any:
        try:
            return self._session.open(
                method, self.url + path, data=None if body is None else json.dumps(body), headers=headers
            )
        except HTTPError as error:
            return error

    def _parse(self, status: int, headers: t.Any, text: bytes) -> Answer:
        version = headers.get("X-Devpi-Server-Version")
        if 300 <= status < 400:
            location = str(headers.get("Location", ""))
            target = urlsplit(location)
            hint = f"url: {target.scheme}://{target.netloc}" if target.netloc else "the URL that it redirects to"
            raise ApiError(f"{self.url} redirects to {location}: write {hint}.")
        try:
            data = json.loads(text)
        except ValueError:
            raise ApiError(self._not_json(status, headers, text)) from None
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

    def _no_answer(self, error: Exception) -> ApiError:
        reason = error.reason if isinstance(error, URLError) else error
        plain_url = f"http://{urlsplit(self.url).netloc}"
        timed_out = isinstance(reason, (socket.timeout, TimeoutError))
        if isinstance(reason, ConnectionRefusedError):
            return NothingListensError(
                f"Nothing listens at {self.url} (connection refused): start devpi-server, or correct url."
            )
        if timed_out and "handshake" in str(reason):
            # devpi-server itself waits for the end of a line that a TLS client never sends.
            sentence = (
                f"{self.url} did not answer the TLS handshake within {self._timeout} s, so it hardly speaks TLS: "
                f"write url: {plain_url}."
            )
        elif timed_out:
            sentence = (
                f"{self.url} did not answer within {self._timeout} s: the server is overloaded or a firewall drops "
                "packets; raise timeout if it is only slow."
            )
        elif isinstance(reason, ssl.SSLCertVerificationError):
            sentence = (
                f"The certificate of {self.url} is not trusted ({reason.verify_message}): "
                "write ca_path, the certificate of the CA that signed it."
            )
        elif isinstance(reason, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(reason):
            sentence = f"{self.url} does not speak TLS: write url: {plain_url}."
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


def _serial(headers: t.Any) -> int:
    serial = headers.get("X-Devpi-Serial", "")
    return int(serial) if re.fullmatch(r"-?\d+", serial) else -1


def _tls_context(ca_path: str | None, validate_certs: bool) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = make_context(cafile=ca_path, validate_certs=validate_certs)
    except OSError as reason:
        raise ApiError(f"ca_path: {ca_path} holds no certificates that can be read ({reason.strerror}).") from reason
    return context


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, which no HTTP proxy can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
