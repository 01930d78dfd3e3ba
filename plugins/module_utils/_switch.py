# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror from one upstream to another, so that no link leads to the old one and its cache stays.

A PATCH of the URL alone leaves links. devpi 6 keeps the URL of each file until its page is cleared and fetched again
(``clear_simplelinks_cache`` and ``_update_simplelinks`` in devpi_server/mirror.py, 6.20.3). devpi 7 keeps it until its
page says something else of the file; URLs are not compared (``get_simplelinks_perstage``, ``save_links`` and
``SimplelinkMeta.__hash__`` in devpi_server/model, 7.0.0b4). So it gets a page for a moment that means the same and
reads differently.

The way has several steps. From the first on, the URL on the server carries a mark, and the last takes it away, so that
a run which was killed in between is seen and taken up by the next one. Before the first, devpi 7 is looked at, with a
mark that the next run only takes away. The mark is a fragment: devpi sends none. Where
the URL before it is not that of the new upstream, the mark has that too.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from urllib.parse import quote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, path_of
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Config, Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._interim import Interim, interim_upstream
from ansible_collections.wheelhouse.devpi.plugins.module_utils._kept import kept_files
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import (
    Pages,
    files_on,
    in_other_words,
    loses,
    packed,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page, Probe, ProbeError

_MARK = re.compile(
    r"#unfinished-(?P<what>switch|look);list=(?P<list>yes|no);expiry=(?P<expiry>\d*)(?:;to=(?P<to>.+))?$"
)

NO_VERSION = "no-such-version"
"""A version that no file has."""

NO_PROJECT = "no-such-project"

PATIENCE = 3
"""How often an upstream is asked for a page before it counts as down."""

NO_SUCH_PAGE = (403, 404, 410)
"""What upstreams answer for a project that they do not have."""

LOSES_SIZES = re.compile(r"7\.0\.0b[1-4]$")
"""The versions of devpi-server that were seen to stop serving files; see ``loses``."""


def settled(config: Config, dialect: Dialect) -> Config:
    """Return the configuration of an index as an unfinished switch would have left it; any other as it is."""
    url, no_list, expiry = _words(dialect)
    mark = _MARK.search(str(config.get(url)))
    if mark is None:
        return config
    rest = {name: value for name, value in config.items() if name != expiry}
    if mark["expiry"]:
        rest[expiry] = int(mark["expiry"])
    return {**rest, url: mark["to"] or config[url][: mark.start()], no_list: mark["list"] == "no"}


def is_on_its_way(config: Config, dialect: Dialect) -> bool:
    """Tell whether a switch of this index was killed after it began, rather than while it looked whether it may."""
    mark = _MARK.search(str(config.get(dialect.mirror_url)))
    return mark is not None and mark["what"] == "switch"


def survey(client: Client, dialect: Dialect, index: str, final: Config) -> Pages:
    """Get what a mirror on devpi 7 needs for its way to a new upstream, before anything of it changes.

    Returns a page for each project with files in the cache, None where the new upstream has none. Raises ApiError where
    the mirror would not come out of it with all of its cache and without links to the old upstream.
    """
    if dialect.major < 7:
        return {}
    url = dialect.word("mirror_url")
    projects = _projects_with_files(client, dialect, index)
    if not projects:
        return {}
    if not client.is_on_this_host:
        raise ApiError(
            f"{index}: devpi-server {client.version} keeps links to the old mirror of {_some(projects)} unless this "
            f"module stands in for the new one for a moment, and from {client.url} it may not reach that: run the task "
            "on the host of devpi-server (delegate_to), with its socket as url, such as unix:///run/devpi/devpi.sock."
        )
    probe = Probe(final[url], client.version, client.timeout)
    answers = {name: _asked_patiently(probe, index, name) for name in projects}
    if {answer.status for answer in answers.values()} == {403}:
        # It may be the login.
        raise ApiError(_no_page(index, answers[projects[0]]))
    pages: Pages = {name: files_on(answer, name) if answer.status == 200 else None for name, answer in answers.items()}
    unreadable = [name for name, files in pages.items() if files is None and answers[name].status == 200]
    if unreadable:
        raise ApiError(
            f"{index}: devpi finds no files on the pages of {_some(unreadable)}, such as {answers[unreadable[0]].url}: "
            f"correct mirror_url, take another mirror, or delete what is there of the projects first (DELETE "
            f"{client.url}{path_of(index)}/{unreadable[0]}?force)."
        )
    if LOSES_SIZES.match(client.version):
        lost = [name for name, page in pages.items() if any(loses(file) for file in (page or {}).values())]
        if lost:
            raise ApiError(
                f"{index}: the new mirror gives no sizes or no SHA-256 on the pages of {_some(lost)}, and devpi-server "
                f"{client.version} would no longer serve the files that it has of them: take a mirror with pages in "
                "JSON 1.1, or devpi-server 6."
            )
    return pages


def leave_old_upstream(client: Client, dialect: Dialect, index: str, final: Config, pages: Pages) -> list[str]:
    """Point a mirror at its new upstream and take away its links to the old one. Raises ApiError.

    ``final`` is the configuration that shall come out; the caller writes it afterwards, which takes the mark away.
    ``pages`` is from the survey. Returns the projects, as ``user/index/project``, that may have kept old links.
    """
    if dialect.major < 7:
        stale = _leave_6(client, dialect, index, final)
    else:
        stale = _leave_7(client, dialect, index, final, pages)
    return [f"{index}/{name}" for name in stale]


def _leave_6(client: Client, dialect: Dialect, index: str, final: Config) -> list[str]:
    url, no_list, expiry = _words(dialect)
    interim = _interim(final, dialect)
    path = path_of(index)
    client.write("PATCH", path, interim)
    cached = client.get(path).get("projects", [])
    stale = [name for name in cached if not client.attempt("POST", f"{path}/+simple/{quote(name)}/refresh")]
    # Of what the new upstream does not have, devpi keeps the links.
    missing = _missing(client, final[url], stale)
    if missing:
        with _standing_in(client, dialect, index, final, missing) as server:
            renewed = _renew_links(client, index, dict.fromkeys(missing), server)
        stale = [name for name in stale if name not in renewed]
    if not final.get(no_list):
        _renew_names(client, path, {**interim, no_list: False, expiry: 1})
    if expiry not in final:
        client.write("PATCH", path, [f"{expiry}-="])
    return stale


def _leave_7(client: Client, dialect: Dialect, index: str, final: Config, pages: Pages) -> list[str]:
    path = path_of(index)
    if not pages:
        client.write("PATCH", path, _interim(final, dialect))
        return _forget(client, index)
    with _standing_in(client, dialect, index, final, pages) as server:
        cached = _forget(client, index)
        renewed = _renew_links(client, index, {name: pages[name] for name in cached if name in pages}, server)
    return [name for name in cached if name not in renewed]


def _interim(final: Config, dialect: Dialect) -> Config:
    """Return the configuration of the way: a mirror without a list of projects names those that it has in its cache."""
    url, no_list, _expiry = _words(dialect)
    return {**final, url: final[url] + _mark(final, dialect), no_list: True}


@contextlib.contextmanager
def _standing_in(
    client: Client, dialect: Dialect, index: str, final: Config, projects: t.Iterable[str]
) -> t.Iterator[Interim]:
    """Let a mirror fetch from this module during a ``with`` block, which has no pages of the projects yet."""
    url = dialect.word("mirror_url")
    interim = _interim(final, dialect)
    login = urlsplit(final[url]).netloc.rpartition("@")[0]
    probe = Probe(final[url], client.version, client.timeout)
    with interim_upstream(dict.fromkeys(projects), probe, login) as server:
        stand_in = f"{server.url}{_mark(final, dialect)};to={final[url]}"
        client.write("PATCH", path_of(index), {**interim, url: stand_in})
        try:
            yield server
        finally:
            client.write("PATCH", path_of(index), interim)


def _projects_with_files(client: Client, dialect: Dialect, index: str) -> list[str]:
    """Let devpi 7 forget the links of all other projects, which it fetches again when they are asked for."""
    url, no_list, _expiry = _words(dialect)
    path = path_of(index)
    found = client.get(f"{path}?no_projects=")
    if is_on_its_way(found, dialect):
        # The server names what it has already.
        return _forget(client, index)
    found.pop("projects", None)
    before = settled(found, dialect)
    try:
        looked_at = {**before, url: before[url] + _mark(before, dialect, "look"), no_list: True}
        client.write("PATCH", path, looked_at)
        return _forget(client, index)
    finally:
        client.write("PATCH", path, {**before, no_list: bool(before.get(no_list))})


def _forget(client: Client, index: str) -> list[str]:
    """Let devpi 7 forget the links of the projects that have no file in its cache. Returns the others.

    No file goes, because none has this version; but where no other file is left, devpi deletes the links of the project
    (``del_versiondata`` in devpi_server/model/remote.py, 7.0.0b4), and fetches them from the new upstream when they are
    asked for.
    """
    path = path_of(index)
    for name in client.get(path).get("projects", []):
        with contextlib.suppress(ApiError):
            client.write("DELETE", f"{path}/{quote(name)}/{NO_VERSION}?force")
    return t.cast("list[str]", client.get(path).get("projects", []))


def _missing(client: Client, upstream: str, projects: t.Sequence[str]) -> list[str]:
    """Return those of the projects that the new upstream does not have, as far as it answers.

    There are none where devpi may run on another host, which does not reach the loopback of this one.
    """
    missing = []
    if client.is_on_this_host:
        probe = Probe(upstream, client.version, client.timeout)
        with contextlib.suppress(ProbeError):
            for name in projects:
                if probe.page(name).status in NO_SUCH_PAGE:
                    missing.append(name)
    return missing


def _asked_patiently(probe: Probe, index: str, project: str) -> Page:
    """Return the page of a project. Raises ApiError where the upstream does not answer, or with what is no answer."""
    for left in reversed(range(PATIENCE)):
        try:
            page = probe.page(project)
        except ProbeError as reason:
            if left == 0:
                raise ApiError(f"{index}: {reason}") from reason
            continue
        if page.status == 200 or page.status in NO_SUCH_PAGE:
            return page
    raise ApiError(_no_page(index, page))


def _no_page(index: str, answer: Page) -> str:
    return (
        f"{index}: {answer.url} answers {answer.status}, so links to the old mirror would stay: correct mirror_url or "
        "its login, wait until it works, or take another mirror."
    )


def _renew_links(client: Client, index: str, pages: Pages, server: Interim) -> list[str]:
    """Let devpi fetch the pages of the projects from the server. Returns those that it took.

    Where the new upstream has no page of one, its page gets those files that are in the cache.
    """
    renewed = []
    for name, files in pages.items():
        refresh = f"{path_of(index)}/+simple/{quote(name)}/refresh"
        if files is None:
            try:
                said = list(kept_files(client, index, name))
            except ApiError:
                continue
        else:
            said = [in_other_words(file) for file in files.values()]
        server.pages[name] = packed(name, said)
        succeeded = client.attempt("POST", refresh)
        if name not in server.fetched:
            # It does not reach this host, and clients should not wait for that.
            break
        if succeeded:
            if files is not None:
                server.pages[name] = packed(name, files.values())
                client.attempt("POST", refresh)
            renewed.append(name)
    return renewed


def _renew_names(client: Client, path: str, expiring: Config) -> None:
    """Let devpi 6 fetch the list of names of the new upstream, which it would keep until it expires.

    It looks at the list's age when it is asked for a project that it does not know.
    """
    client.write("PATCH", path, expiring)
    client.attempt("GET", f"{path}/+simple/{NO_PROJECT}/")


def _mark(config: Config, dialect: Dialect, what: str = "switch") -> str:
    """Return the mark from which ``settled`` gets this configuration back."""
    _url, no_list, expiry = _words(dialect)
    return f"#unfinished-{what};list={'no' if config.get(no_list) else 'yes'};expiry={config.get(expiry) or ''}"


def _some(projects: t.Sequence[str]) -> str:
    return ", ".join(projects[:3]) + (f" and {len(projects) - 3} more" if len(projects) > 3 else "")


def _words(dialect: Dialect) -> tuple[str, str, str]:
    return dialect.word("mirror_url"), dialect.word("mirror_no_project_list"), dialect.word("mirror_cache_expiry")
