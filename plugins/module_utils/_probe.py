# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at an upstream index as devpi-server will see it. It only reads.

What counts is what devpi makes of an answer (``_get_remote_projects`` and ``_async_fetch_releaselinks`` in
devpi_server/mirror.py, 6.20.3), so the requests carry the headers that it sends.
"""

from __future__ import annotations

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
from urllib.parse import unquote, urljoin, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE, is_loopback

ACCEPT = f"application/vnd.pypi.simple.v1+html;q=0.2, {JSON_TYPE}, text/html;q=0.01"

ENOUGH = 256 * 1024
"""How much of the list of projects is read, which can have 40 MB. The page of a project is read as a whole."""

LIKELY_PROJECTS = ("pip", "torch", "nvidia-cublas-cu12")
"""Projects to look at where the list of projects does not help."""


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
    """An answer of the upstream. ``whole`` is false where only its beginning was read."""

    url: str
    status: int
    kind: str
    serial: int | None
    text: str
    whole: bool


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
    """Looks at one upstream for a devpi-server of the given version, each request with a timeout in seconds."""

    def __init__(self, url: str, version: str, timeout: int) -> None:
        self._agent = f"devpi-server/{version} (py{platform.python_version()}; {sys.platform})"
        self._timeout = timeout
        parts = urlsplit(url.rstrip("/") + "/")
        self._user, self._password = (part and unquote(part) for part in (parts.username, parts.password))
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
            serials=_trend(page.serial, self._get(page.url).serial),
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
        for project in (*likely, *names[:3]):
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
            return (
                f"{self._url} answers {root.status} to everything: it refuses devpi's User-Agent ({self._agent}) or "
                "wants a login; take another mirror, or write user and password into mirror_url."
            )
        tried = ", ".join(f"{project} ({status})" for project, status in answers.items())
        if names:
            return f"{self._url} lists projects, but devpi finds no file on the pages of {tried}; take another mirror."
        return (
            f"{self._url} is no index that devpi can read: its root lists no projects ({root.status}), and there are "
            f"no files on the pages of {tried}; correct mirror_url, or write probe: false if it is right."
        )

    def _check_file(self, url: str) -> None:
        try:
            status = self._get(url, 1).status
        except ProbeError as reason:
            raise ProbeError(f"the files cannot be fetched: {reason}") from reason
        if status != 200:
            raise ProbeError(f"the files cannot be fetched: {url} answers {status}; take another mirror.")

    def _get(self, url: str, limit: int | None = None) -> Page:
        # See _api.py: most calls of a module ask no upstream.
        from ansible.module_utils.urls import Request  # noqa: PLC0415

        request = Request(
            headers={"Accept": ACCEPT},
            http_agent=self._agent,
            timeout=self._timeout,
            follow_redirects="safe",
            use_proxy=not is_loopback(urlsplit(url).hostname or ""),
            url_username=self._user,
            url_password=self._password,
            force_basic_auth=self._user is not None,
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
                )
        except (OSError, http.client.HTTPException) as reason:
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
            for url in (urljoin(page.url, href) for href in _hrefs(page.text))
        ]
    return [file for file in found if re.search(r"\.(whl|zip|tar\.gz|tar\.bz2|tgz|egg)$", urlsplit(file.url).path)]


def _hrefs(text: str) -> list[str]:
    return [unescape(href) for href in re.findall(r"""<a\s[^>]*?href\s*=\s*["']([^"']+)["']""", text, re.IGNORECASE)]


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdigit() else None


def _trend(first: int | None, second: int | None) -> str:
    if first is None or second is None:
        return "none"
    if second < first:
        return "backwards"
    return "rising" if second > first else "steady"
