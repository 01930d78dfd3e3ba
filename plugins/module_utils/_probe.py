# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at an upstream index as devpi-server will see it. It only reads.

What counts is what devpi makes of an answer (``_get_remote_projects`` and ``_async_fetch_releaselinks`` in
devpi_server/mirror.py, 6.20.3), so the requests carry the headers that it sends: its agent, its Accept, and the login
of ``mirror_url`` letter by letter, since devpi decodes no ``%40`` in it (``mirror_url_authorization_header``). As its
HTTP client, httpx, does, a redirect to another origin goes there without the login.
"""

from __future__ import annotations

import base64
import functools
import http.client
import json
import platform
import re
import socket
import ssl
import sys
import typing as t
from dataclasses import asdict, dataclass
from html import unescape
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE
from ansible_collections.wheelhouse.devpi.plugins.module_utils._peer import is_loopback

ACCEPT = f"application/vnd.pypi.simple.v1+html;q=0.2, {JSON_TYPE}, text/html;q=0.01"

ENOUGH = 256 * 1024
"""How much of the list of projects is read, which can have 40 MB. The page of a project is read as a whole."""

LIKELY_PROJECTS = ("pip", "torch", "nvidia-cublas-cu12")
"""Projects to look at where the list of projects does not help and nobody named one."""

REDIRECTS = 20
"""How many redirects in a row are followed, as httpx does."""

_REDIRECTED = (301, 302, 303, 307, 308)

BASE = re.compile(r"""<base\s+href\s*=\s*['"]?([^'">]+)""", re.IGNORECASE)
"""As in devpi_server/htmlpage.py, where the first one counts."""


class ProbeError(Exception):
    """An upstream that devpi could not serve from, told in a sentence."""


@dataclass(frozen=True)
class Findings:
    """What the probe saw. ``serials`` is none, steady, rising or backwards, ``project`` the project it looked at."""

    url: str
    lists_projects: bool
    project: str
    json: bool
    hashes: bool
    upload_times: bool
    serials: str
    file_hosts: list[str]
    certificate_trusted: bool | None

    def as_result(self) -> dict[str, t.Any]:
        """Return the findings as a module returns them."""
        return asdict(self)

    def settings(self) -> dict[str, t.Any]:
        """Return the settings that follow, in the words of devpi 6."""
        return {
            "mirror_no_project_list": not self.lists_projects,
            "mirror_ignore_serial_header": self.serials == "backwards",
        }


@dataclass(frozen=True)
class Page:
    """An answer of the upstream. ``whole`` is false where only its beginning was read, ``leads_to`` its Location."""

    url: str
    status: int
    kind: str
    serial: int | None
    text: str
    whole: bool
    leads_to: str = ""


@dataclass(frozen=True)
class File:
    """A file that a project's page offers."""

    url: str
    hashed: bool
    upload_time: bool


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Return what is made once, because reading the system's CAs takes longer (40 ms) than a request."""
    # As in _get.
    from ansible.module_utils.urls import make_context  # noqa: PLC0415

    context: ssl.SSLContext = make_context()
    return context


class Probe:
    """Looks at one upstream for a devpi-server of the given version, each request with a timeout in seconds.

    ``project`` is the one to look at, for upstreams that do not list theirs.
    """

    def __init__(self, url: str, version: str, timeout: float, project: str | None = None) -> None:
        self._agent = f"devpi-server/{version} (py{platform.python_version()}; {sys.platform})"
        self._timeout = timeout
        self._project = project
        parts = urlsplit(url.rstrip("/") + "/")
        self._login = (parts.username or "", parts.password or "")
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def findings(self) -> Findings:
        """Ask the upstream. Raises ProbeError."""
        root = self._get(self._url, ENOUGH)
        names = _project_names(root) if root.status == 200 else []
        page, project, files = self._first_project_with_files(root, names)
        self._check_file(files[-1].url)
        return Findings(
            url=self._url,
            lists_projects=bool(names),
            project=project,
            json=page.kind == JSON_TYPE,
            hashes=all(file.hashed for file in files),
            upload_times=all(file.upload_time for file in files),
            serials=_trend(page.serial, self.page(project).serial),
            file_hosts=sorted({urlsplit(file.url).netloc for file in files}),
            # An untrusted one ends the probe.
            certificate_trusted=True if self._url.startswith("https:") else None,
        )

    def page(self, project: str) -> Page:
        """Return the page of a project. Raises ProbeError where no answer came."""
        return self._get(urljoin(self._url, f"{project}/"))

    def _first_project_with_files(self, root: Page, names: list[str]) -> tuple[Page, str, list[File]]:
        likely = [name for name in LIKELY_PROJECTS if name in names or not names or not root.whole]
        answers = {}
        for project in [self._project] if self._project else [*likely, *names[:3]]:
            page = self.page(project)
            answers[project] = page.status
            if page.status != 200:
                continue
            if page.kind != JSON_TYPE and page.text.lstrip().startswith("{"):
                raise ProbeError(
                    f"{page.url} answers JSON with the Content-Type {page.kind!r}, which devpi takes for HTML and "
                    f"finds no files in: only {JSON_TYPE} counts. Take another mirror."
                )
            files = _files(page)
            if files:
                return page, project, files
        raise ProbeError(self._no_files(root, names, answers))

    def _no_files(self, root: Page, names: list[str], answers: dict[str, int]) -> str:
        if {root.status, *answers.values()} <= {401, 403}:
            return f"{self._url} answers {root.status} to everything: {self._why_refused()}"
        tried = ", ".join(f"{project} ({status})" for project, status in answers.items())
        if self._project:
            return (
                f"{self._url} has no file that devpi finds on the page of {tried}: write another project into "
                "probe_project, or correct mirror_url."
            )
        if names:
            return f"{self._url} lists projects, but devpi finds no file on the pages of {tried}; take another mirror."
        return (
            f"{self._url} is no index that devpi can read: its root lists no projects ({root.status}), and there are "
            f"no files on the pages of {tried}; correct mirror_url, or name a project that it has with probe_project."
        )

    def _why_refused(self) -> str:
        user, password = self._login
        if not (user or password):
            return (
                f"it refuses devpi's User-Agent ({self._agent}) or wants a login; take another mirror, or write user "
                "and password into mirror_url."
            )
        decoded = (unquote(user), unquote(password))
        if decoded != self._login and self._accepts(decoded):
            return (
                "devpi sends the login of mirror_url as it is written, and decodes no %xx in it: write the characters "
                "themselves. A login with /, ? or # cannot be written for devpi; let the mirror give you another one."
            )
        return (
            f"it refuses the login of the user {user!r} that is written in mirror_url, or devpi's User-Agent "
            f"({self._agent}): correct user and password there, or take another mirror."
        )

    def _accepts(self, login: tuple[str, str]) -> bool:
        """Tell whether another login gets an answer. Only its own origin is asked."""
        try:
            return self._answer(self._url, 1, login).status not in (401, 403)
        except ProbeError:
            return False

    def _check_file(self, url: str) -> None:
        try:
            status = self._get(url, 1).status
        except ProbeError as reason:
            raise ProbeError(f"the files cannot be fetched: {reason}") from reason
        if status != 200:
            raise ProbeError(f"the files cannot be fetched: {url} answers {status}; take another mirror.")

    def _get(self, url: str, limit: int | None = None) -> Page:
        origin, login = _origin(url), self._login
        for _redirect in range(REDIRECTS + 1):
            page = self._answer(url, limit, login)
            if page.status not in _REDIRECTED or not page.leads_to:
                return page
            url = urljoin(url, page.leads_to)
            if _origin(url) not in (origin, _secured(origin)):
                login = ("", "")
            origin = _origin(url)
        raise ProbeError(f"{url} redirects more than {REDIRECTS} times in a row: correct mirror_url.")

    def _answer(self, url: str, limit: int | None, login: tuple[str, str]) -> Page:
        # See _api.py: most calls of a module ask no upstream.
        from ansible.module_utils.urls import Request  # noqa: PLC0415

        request = Request(
            headers={"Accept": ACCEPT, **_authorization(login)},
            http_agent=self._agent,
            timeout=self._timeout,
            follow_redirects="none",
            use_proxy=not is_loopback(urlsplit(url).hostname or ""),
            use_netrc=False,
            context=_tls_context(),
        )
        try:
            try:
                response = request.open("GET", url)
            except HTTPError as error:
                response = error
            with response:
                text = response.read(limit)
                return Page(
                    url=response.geturl(),
                    status=response.code,
                    kind=response.headers.get("Content-Type", ""),
                    serial=_number(response.headers.get("X-PyPI-Last-Serial")),
                    text=text.decode("utf-8", "replace"),
                    whole=limit is None or len(text) < limit,
                    leads_to=response.headers.get("Location") or "",
                )
        except (OSError, http.client.HTTPException, ValueError) as reason:
            raise ProbeError(self._no_answer(url, reason)) from reason

    def _no_answer(self, url: str, error: Exception) -> str:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {url} is not trusted on this host ({reason.verify_message}): install the CA that "
                "signed it, for devpi-server too (REQUESTS_CA_BUNDLE)."
            )
        if isinstance(reason, (socket.timeout, TimeoutError)):
            return f"{url} did not answer within {self._timeout} s: take another mirror, or raise timeout."
        return f"{url} does not answer ({reason}): correct mirror_url, or take another mirror."


def _project_names(root: Page) -> list[str]:
    # The text may be cut off, so no parser of JSON would take it.
    if root.kind == JSON_TYPE or root.text.lstrip().startswith("{"):
        names = re.findall(r'"name"\s*:\s*"([^"]+)"', root.text)
    else:
        names = [href.rstrip("/").rpartition("/")[2] for href in _hrefs(root.text)]
    return list(dict.fromkeys(name for name in names if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)))


def _files(page: Page) -> list[File]:
    if page.kind == JSON_TYPE:
        try:
            files = json.loads(page.text)["files"]
            found = [
                File(urljoin(page.url, file["url"]), hashed=bool(file["hashes"]), upload_time="upload-time" in file)
                for file in files
            ]
        except (ValueError, KeyError, TypeError):
            raise ProbeError(f"{page.url} answers JSON that is not that of an index.") from None
    else:
        found = [
            File(url.partition("#")[0], hashed="=" in urlsplit(url).fragment, upload_time=False)
            for url in (urljoin(_base_of(page), href) for href in _hrefs(page.text))
        ]
    return [file for file in found if re.search(r"\.(whl|zip|tar\.gz|tar\.bz2|tgz|egg)$", urlsplit(file.url).path)]


def _base_of(page: Page) -> str:
    """Return what the links of an HTML page are relative to, as devpi sees it: it joins nothing of a base itself."""
    base = BASE.search(page.text)
    return base[1] if base else page.url


def _hrefs(text: str) -> list[str]:
    return [unescape(href) for href in re.findall(r"""<a\s[^>]*?href\s*=\s*["']([^"']+)["']""", text, re.IGNORECASE)]


def _authorization(login: tuple[str, str]) -> dict[str, str]:
    """Return the header as ``mirror_url_authorization_header`` of devpi makes it."""
    return {"Authorization": f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"} if any(login) else {}


def _origin(url: str) -> tuple[str, str, int]:
    parts: SplitResult = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _secured(origin: tuple[str, str, int]) -> tuple[str, str, int]:
    """Return where a redirect from http to https of the same host leads: httpx takes the login along there."""
    scheme, host, port = origin
    return ("https", host, 443) if (scheme, port) == ("http", 80) else origin


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _trend(first: int | None, second: int | None) -> str:
    if first is None or second is None:
        return "none"
    if second < first:
        return "backwards"
    return "rising" if second > first else "steady"
