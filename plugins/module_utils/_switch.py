# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror from one upstream to another, so that no link leads to the old one and its cache stays.

A PATCH of the URL alone leaves links. devpi 6 keeps the URL of each file until its page is cleared and fetched again
(``clear_simplelinks_cache`` and ``_update_simplelinks`` in devpi_server/mirror.py, 6.20.3), and devpi 7 until its page
differs (``get_simplelinks_perstage`` and ``save_links`` in devpi_server/model/remote.py, 7.0.0b4), which _interim.py
sees to.

The way has several steps. From the first on, the URL on the server carries a mark, and the last takes it away, so that
a run which was killed in between is seen and taken up by the next one. The mark is a fragment: devpi sends none. Where
the URL before it is not that of the new upstream, the mark has that too.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from urllib.parse import quote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, is_loopback, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config, Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._interim import differing_page, interim_upstream
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Probe, ProbeError

_MARK = re.compile(r"#unfinished-switch;list=(yes|no);expiry=(\d*)(?:;to=(.+))?$")

NO_VERSION = "no-such-version"
"""A version that no file has."""

NO_PROJECT = "no-such-project"

PATIENCE = 3
"""After how many requests in succession without an answer an upstream counts as down."""


def settled(config: Config, dialect: Dialect) -> Config:
    """Return the configuration of an index as an unfinished switch would have left it; any other as it is."""
    url, no_list, expiry = _words(dialect)
    mark = _MARK.search(str(config.get(url)))
    if mark is None:
        return config
    rest = {name: value for name, value in config.items() if name != expiry}
    if mark[2]:
        rest[expiry] = int(mark[2])
    return {**rest, url: mark[3] or config[url][: mark.start()], no_list: mark[1] == "no"}


def leave_old_upstream(client: Client, dialect: Dialect, index: str, final: Config) -> list[str]:
    """Point a mirror at its new upstream and take away its links to the old one. Raises ApiError.

    ``final`` is the configuration that shall come out; the caller writes it afterwards, which takes the mark away.
    Returns the projects, as ``user/index/project``, that may have kept old links.
    """
    url, no_list, expiry = _words(dialect)
    lists = not final.get(no_list)
    mark = f"#unfinished-switch;list={'yes' if lists else 'no'};expiry={final.get(expiry) or ''}"
    # A mirror without a list of projects names those that it has in its cache.
    interim = {**final, url: final[url] + mark, no_list: True}
    path = path_of(index)
    client.write("PATCH", path, interim)
    cached = client.get(path).get("projects", [])
    if dialect.major >= 7:
        stale = _forget(client, path, cached)
        pages = _differing_pages(client, final[url], stale)
        if pages:
            with interim_upstream(pages, final[url]) as server:
                try:
                    client.write("PATCH", path, {**interim, url: f"{server.url}{mark};to={final[url]}"})
                    renewed = _renew_links(client, path, pages, server.fetched)
                finally:
                    client.write("PATCH", path, interim)
            stale = [name for name in stale if name not in renewed]
    else:
        stale = [name for name in cached if not client.attempt("POST", f"{path}/+simple/{quote(name)}/refresh")]
        if lists:
            _renew_names(client, path, {**interim, no_list: False, expiry: 1})
        if expiry not in final:
            client.write("PATCH", path, [f"{expiry}-="])
    return [f"{index}/{name}" for name in stale]


def _forget(client: Client, path: str, cached: t.Sequence[str]) -> list[str]:
    """Let devpi 7 forget the links of the projects that have no file in its cache. Returns the others.

    No file goes, because none has this version; but where no other file is left, devpi deletes the links of the project
    (``del_versiondata`` in devpi_server/model/remote.py, 7.0.0b4), and fetches them from the new upstream when they are
    asked for.
    """
    for name in cached:
        with contextlib.suppress(ApiError):
            client.write("DELETE", f"{path}/{quote(name)}/{NO_VERSION}?force")
    return t.cast("list[str]", client.get(path).get("projects", []))


def _differing_pages(client: Client, upstream: str, projects: t.Sequence[str]) -> dict[str, bytes]:
    """Return those pages of the new upstream, by project, that make devpi 7 write the URLs of the files anew.

    There are none where devpi may run on another host, which does not reach the loopback of this one, nor where the
    upstream wants a login, which devpi does not send to where it was sent on.
    """
    if not is_loopback(urlsplit(client.url).hostname or "") or urlsplit(upstream).username is not None:
        return {}
    probe = Probe(upstream, client.version, client.timeout)
    pages = {}
    unanswered = 0
    for name in projects:
        try:
            page = differing_page(probe.page(name))
        except ProbeError:
            unanswered += 1
            if unanswered == PATIENCE:
                break
            continue
        unanswered = 0
        if page is not None:
            pages[name] = page
    return pages


def _renew_links(client: Client, path: str, projects: t.Iterable[str], fetched: t.Container[str]) -> list[str]:
    """Let devpi fetch the pages of the projects. Returns those that it took, by what was ``fetched``."""
    renewed = []
    for name in projects:
        succeeded = client.attempt("POST", f"{path}/+simple/{quote(name)}/refresh")
        if name not in fetched:
            # It does not reach this host, and clients should not wait for that.
            break
        if succeeded:
            renewed.append(name)
    return renewed


def _renew_names(client: Client, path: str, expiring: Config) -> None:
    """Let devpi 6 fetch the list of names of the new upstream, which it would keep until it expires.

    It looks at the list's age when it is asked for a project that it does not know.
    """
    client.write("PATCH", path, expiring)
    client.attempt("GET", f"{path}/+simple/{NO_PROJECT}/")


def _words(dialect: Dialect) -> tuple[str, str, str]:
    return dialect.word("mirror_url"), dialect.word("mirror_no_project_list"), dialect.word("mirror_cache_expiry")
