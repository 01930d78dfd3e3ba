# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror on devpi-server 7.0.0b4 to one whose pages give no sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _interim
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import Client
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import Handler, Run, serving
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi_7 import FakeDevpi7
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import serving as serving_upstream

PROJECTS = {
    "p": {"p-1.0.tar.gz": "one", "p-2.0.tar.gz": "two", "p-3.0.tar.gz": "three"},
    "q": {"q-1.0.tar.gz": "alone"},
}
CACHED = {"p-1.0.tar.gz": b"one", "p-2.0.tar.gz": b"two", "q-1.0.tar.gz": b"alone"}

NO_SIZES = [{"json": False}, {"sizes": False}]
MIXED = {"hash_kind": "md5", "hashless": ["p-2.0.tar.gz", "p-3.0.tar.gz"]}
MD5 = [{"hash_kind": "md5", **pages} for pages in [*NO_SIZES, {}]]


@pytest.fixture(name="old")
def _old(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setattr(_interim, "GRACE", 0)
    with serving_upstream(Behaviour(PROJECTS)) as upstream:
        yield upstream


@pytest.fixture(name="new")
def _new() -> Iterator[Upstream]:
    with serving_upstream(Behaviour(PROJECTS)) as upstream:
        yield upstream


@pytest.fixture(name="devpi")
def _devpi(old: Upstream) -> Iterator[FakeDevpi7]:
    fake = FakeDevpi7(old.simple_url)
    with serving(fake):
        yield fake


def fill(devpi: FakeDevpi7, old: Upstream) -> None:
    """Let devpi fetch pages and files from the old upstream, as it did before the switch."""
    fresh = FakeDevpi7(old.simple_url)
    for what in ("users", "entries", "disk", "compared", "remote", "asked", "broken"):
        setattr(devpi, what, getattr(fresh, what))
    for project in PROJECTS:
        devpi.fetch_page("root/m", project)
    for name in CACHED:
        assert devpi.get(place(devpi, name))[0] == 200


def place(devpi: FakeDevpi7, name: str) -> str:
    """Return where the page of devpi says that a file is."""
    return str(devpi.compared[name[0]][name]["place"])


def served(devpi: FakeDevpi7) -> dict[str, bytes]:
    """Return what clients get of the files that were in the cache."""
    return {name: content for name in CACHED for status, content in [devpi.get(place(devpi, name))] if status == 200}


def fetched(upstream: Upstream) -> list[str]:
    """Return the files that an upstream was asked for."""
    return [path for path, _agent in upstream.seen if path.startswith("/files/")]


def switch_and_look(devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream) -> None:
    """Switch to the new upstream, and see that all is well from then on."""
    before = set(devpi.disk)
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
    old.behaviour.down = True
    assert served(devpi) == CACHED
    for page in devpi.compared.values():
        for file in page.values():
            known = devpi.entries[file["place"]]
            assert known is not None
            assert known["url"].startswith(new.url)
    # Its own page comes, and then another one.
    for gained in ({}, {"p-4.0.tar.gz": "four"}):
        new.behaviour.projects = {**PROJECTS, "p": {**PROJECTS["p"], **gained}}
        for project in PROJECTS:
            devpi.fetch_page("root/m", project)
        assert served(devpi) == CACHED
    assert fetched(new) == []
    assert devpi.get(place(devpi, "p-3.0.tar.gz")) == (200, b"three")
    assert not devpi.broken
    assert all("sha256" in (devpi.entries[path] or {})["hashes"] for path in devpi.disk)
    # What was at another place stays there, for those who have its URL.
    now = {place(devpi, name) for name in [*CACHED, "p-3.0.tar.gz"]}
    assert set(devpi.disk) == now | (before if now.isdisjoint(before) else set())


@pytest.mark.parametrize("before", [{}, *NO_SIZES, MD5[0]])
@pytest.mark.parametrize("after", [*NO_SIZES, *MD5])
def test_all_in_the_cache_is_kept(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, before: dict[str, Any], after: dict[str, Any]
) -> None:
    old.behaviour = Behaviour(PROJECTS, **before)
    new.behaviour = Behaviour(PROJECTS, **after)
    fill(devpi, old)
    switch_and_look(devpi, run, old, new)


def test_without_it_devpi_would_not_serve_them(devpi: FakeDevpi7, old: Upstream, new: Upstream) -> None:
    fill(devpi, old)
    new.behaviour.json = False
    devpi.users["root"]["indexes"]["m"]["remote_url"] = new.simple_url
    devpi.fetch_page("root/m", "p")
    assert list(served(devpi)) == ["q-1.0.tar.gz"]


@pytest.mark.parametrize(("hashes", "at_new"), [({}, False), (MIXED, True), ({"hashes": False}, True)])
def test_killed_anywhere_and_run_again_all_is_kept(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, hashes: dict[str, Any], at_new: bool
) -> None:
    old.behaviour = Behaviour(PROJECTS, files_at=new.url if at_new else "", **hashes)
    new.behaviour = Behaviour(PROJECTS, json=False, **hashes)
    fill(devpi, old)
    devpi.seen.clear()
    devpi.bodies.clear()
    run(devpi_index, name="root/m", mirror_url=new.simple_url)
    requests = len(devpi.seen)
    # What comes before, is tried in test_switch.py.
    begins = next(number for number, body in enumerate(devpi.bodies) if "#unfinished-switch" in str(body))
    interrupted, lost = 0, []
    for survived in range(begins, requests):
        old.behaviour.down = False
        new.behaviour.projects = PROJECTS
        fill(devpi, old)
        new.seen.clear()
        devpi.mischief = [*[None] * survived, *[Handler.reset] * requests]
        interrupted += run(devpi_index, name="root/m", mirror_url=new.simple_url).get("failed", False)
        devpi.mischief = []
        assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
        for project in PROJECTS:
            devpi.fetch_page("root/m", project)
        assert served(devpi) == CACHED, survived
        assert not devpi.broken
        lost += fetched(new)
    assert interrupted == requests - begins
    # During one request for each, the only file of a page may be where the next run does not find it.
    assert lost == ([] if hashes == {"hashes": False} else ["/files/q-1.0.tar.gz"])


def test_what_somebody_brings_back_is_moved_all_the_same(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    new.behaviour.json = False
    fill(devpi, old)
    delete = devpi._delete
    brought_back = []

    def bring_back(handler: Handler, path: str) -> None:
        content = devpi.disk.get(path)
        delete(handler, path)
        if path.startswith("/+f/") and path not in brought_back:
            brought_back.append(path)
            devpi.disk[path] = content or b""

    monkeypatch.setattr(devpi, "_delete", bring_back)
    switch_and_look(devpi, run, old, new)
    assert len(brought_back) == len(CACHED)


def test_what_does_not_come_back_fails_and_is_taken_up(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    new.behaviour.json = False
    fill(devpi, old)
    with monkeypatch.context() as patched:
        patched.setattr(FakeDevpi7, "get", lambda self, path: (500, b"{}"))
        result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert "as it does where an upstream breaks off or its disk is full" in result["msg"]
    assert "#unfinished-switch" in devpi.users["root"]["indexes"]["m"]["remote_url"]
    assert served(devpi) == CACHED
    switch_and_look(devpi, run, old, new)


def test_without_a_hash_a_file_is_fetched_again(devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream) -> None:
    new.behaviour = Behaviour(PROJECTS, json=False, hashes=False)
    fill(devpi, old)
    before = {name: place(devpi, name) for name in CACHED}
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
    old.behaviour.down = True
    assert served(devpi) == CACHED
    assert len(fetched(new)) == len(CACHED)
    # The old ones stay at their URLs.
    assert {name: devpi.get(before[name])[1] for name in CACHED} == CACHED


def test_with_its_hash_a_file_without_one_is_kept(devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream) -> None:
    old.behaviour = Behaviour(PROJECTS, json=False, hashes=False)
    new.behaviour.json = False
    fill(devpi, old)
    switch_and_look(devpi, run, old, new)


@pytest.mark.parametrize("after", [*NO_SIZES, {}])
@pytest.mark.parametrize("hashes", [{"hashes": False}, {"hash_kind": "md5"}, MIXED])
def test_a_file_at_the_same_url_is_kept(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, hashes: dict[str, Any], after: dict[str, Any]
) -> None:
    old.behaviour = Behaviour(PROJECTS, json=False, files_at=new.url, **hashes)
    new.behaviour = Behaviour(PROJECTS, **after, **hashes)
    fill(devpi, old)
    new.seen.clear()
    switch_and_look(devpi, run, old, new)


def test_a_file_without_a_hash_is_kept_when_its_mirror_comes_back(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream
) -> None:
    old.behaviour = Behaviour(PROJECTS, json=False, hashes=False)
    fill(devpi, old)
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
    assert served(devpi) == CACHED
    old.seen.clear()
    assert run(devpi_index, name="root/m", mirror_url=old.simple_url)["stale_projects"] == []
    new.behaviour.down = True
    for project in PROJECTS:
        devpi.fetch_page("root/m", project)
    assert served(devpi) == CACHED
    assert fetched(old) == []


def test_a_kind_of_hash_that_python_does_not_have_is_no_hash(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    new.behaviour = Behaviour(PROJECTS, hash_kind="sha3_256")
    fill(devpi, old)
    monkeypatch.setattr(hashlib, "algorithms_available", {"sha256"})
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []


def test_a_devpi_that_does_not_reach_this_host_is_refused(
    devpi: FakeDevpi7, run: Run, old: Upstream, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    new.behaviour.json = False
    fill(devpi, old)
    before = dict(devpi.users["root"]["indexes"]["m"])
    monkeypatch.setattr(Client, "attempt", lambda self, method, path: True)
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert "does not reach 127.0.0.1 of this host" in result["msg"]
    assert not result["changed"]
    assert devpi.users["root"]["indexes"]["m"] == {**before, "remote_no_project_list": False}
