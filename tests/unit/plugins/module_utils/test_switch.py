# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror to another upstream, and what becomes of it when a run is killed on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _interim, _switch
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page, Probe, ProbeError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._switch import settled
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream, serving

OLD, NEW = "https://u:p@old.example/simple", "https://new.example/simple/"
MARKED = f"{NEW}#unfinished-switch;list=yes;expiry="

USED = {"used-1.0.tar.gz": "cached", "used-2.0.tar.gz": "not"}


@pytest.fixture(name="new")
def _new(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """An upstream with a page that says the same as that of the old one, but for the URLs."""
    monkeypatch.setattr(_interim, "GRACE", 0)
    with serving(Behaviour({"used": USED, "other": {"other-1.0.tar.gz": "content"}})) as upstream:
        yield upstream


def mirror(devpi: FakeDevpi, **settings: Any) -> None:
    """Put a mirror with two projects into the server, one of which has a file in the cache."""
    words = {"type": "mirror", "mirror_url": OLD} if devpi.version < "7" else {"type": "remote", "remote_url": OLD}
    devpi.users["root"]["indexes"]["m"] = {"volatile": False, "title": "T", **words, **settings}
    devpi.uploads["root/m"] = ["bare", "used"]
    devpi.cached_files.add("used")
    devpi.links.update({"root/m/bare": OLD, "root/m/used": OLD})


def test_devpi_6_fetches_pages_and_names_anew(devpi: FakeDevpi, run: Run) -> None:
    mirror(devpi)
    devpi.not_upstream.add("used")
    result = run(devpi_index, name="root/m", mirror_url=NEW)
    assert result["changes"] == ["update index root/m (mirror_ignore_serial_header, mirror_url)"]
    assert result["stale_projects"] == ["root/m/used"]
    assert devpi.links == {"root/m/bare": NEW, "root/m/used": OLD}
    sent = [(*request, body) for request, body in zip(devpi.seen, devpi.bodies, strict=True)]
    steps = [step for step in sent if step[1].startswith("/root/m")]
    final = {"type": "mirror", "volatile": False, "title": "T", "mirror_url": NEW, "mirror_no_project_list": False}
    final["mirror_ignore_serial_header"] = True
    interim = {**final, "mirror_url": MARKED, "mirror_no_project_list": True}
    assert steps == [
        ("PATCH", "/root/m", interim),
        ("GET", "/root/m", None),
        ("POST", "/root/m/+simple/bare/refresh", None),
        ("POST", "/root/m/+simple/used/refresh", None),
        ("PATCH", "/root/m", {**interim, "mirror_no_project_list": False, "mirror_cache_expiry": 1}),
        ("GET", "/root/m/+simple/no-such-project/", None),
        ("PATCH", "/root/m", ["mirror_cache_expiry-="]),
        ("PATCH", "/root/m", final),
    ]
    assert devpi.users["root"]["indexes"]["m"] == final
    assert not run(devpi_index, name="root/m", mirror_url=NEW)["changed"]


def mirror_7(devpi: FakeDevpi, new: Upstream, **settings: Any) -> None:
    """Let it be devpi 7, with the links of two projects that have a file in the cache."""
    devpi.version = "7.0.0b4"
    mirror(devpi, **settings)
    devpi.uploads["root/m"].append("other")
    devpi.cached_files.add("other")
    for project in ("used", "other"):
        devpi.files[f"root/m/{project}"] = [{**file, "url": OLD} for file in new.files(project)]


def urls(devpi: FakeDevpi, project: str) -> set[str]:
    """Return where devpi will fetch the files of a project."""
    return {file["url"].partition("/files/")[0] for file in devpi.files[f"root/m/{project}"]}


def test_devpi_7_forgets_links_or_writes_them_anew(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert result["changes"] == ["update index root/m (remote_url)"]
    assert result["stale_projects"] == []
    assert devpi.uploads["root/m"] == ["used", "other"]
    assert devpi.written == [
        ("PATCH", "/root/m"),
        ("DELETE", "/root/m/bare/no-such-version?force"),
        ("DELETE", "/root/m/used/no-such-version?force"),
        ("DELETE", "/root/m/other/no-such-version?force"),
        ("PATCH", "/root/m"),
        ("POST", "/root/m/+simple/used/refresh"),
        ("POST", "/root/m/+simple/other/refresh"),
        ("PATCH", "/root/m"),
        ("PATCH", "/root/m"),
    ]
    passed = [body["remote_url"] for body in devpi.bodies if body and "remote_url" in body]
    mark = "#unfinished-switch;list=yes;expiry="
    assert passed[0::2] == [f"{new.simple_url}{mark}"] * 2
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/{mark};to={new.simple_url}", passed[1])
    final = devpi.users["root"]["indexes"]["m"]
    assert (final["remote_url"], final["remote_no_project_list"]) == (new.simple_url, False)
    # The files have their new URLs at once, whatever else the page says for a moment.
    assert urls(devpi, "used") == urls(devpi, "other") == {new.url}
    devpi.fetch_page("root/m", "used")
    assert devpi.files["root/m/used"] == new.files("used")


def test_devpi_7_may_be_switched_back_before_it_fetched_a_page(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    run(devpi_index, name="root/m", mirror_url=new.simple_url)
    with serving(new.behaviour) as other:
        run(devpi_index, name="root/m", mirror_url=other.simple_url)
        assert urls(devpi, "used") == urls(devpi, "other") == {other.url}


@pytest.mark.parametrize("behaviour", [{"projects": {}}, {"json": False}, {"hashes": False}, {"down": True}])
def test_devpi_7_names_projects_whose_page_does_not_do(
    devpi: FakeDevpi, run: Run, new: Upstream, behaviour: dict[str, Any]
) -> None:
    mirror_7(devpi, new)
    new.behaviour = Behaviour(**{"projects": new.behaviour.projects, **behaviour})
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == [
        "root/m/used",
        "root/m/other",
    ]
    # Nothing was tried with them.
    assert [request for request in devpi.written if request[0] != "DELETE"] == [("PATCH", "/root/m")] * 2


def test_an_upstream_that_is_down_is_not_waited_for(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    more = [f"more-{number}" for number in range(5)]
    devpi.uploads["root/m"] += more
    devpi.cached_files.update(more)
    new.behaviour = Behaviour(down=True)
    assert len(run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"]) == 2 + len(more)
    assert len(new.seen) == 3


def test_an_upstream_may_miss_an_answer_now_and_then(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    missed = [f"missed-{number}" for number in range(4)]
    devpi.uploads["root/m"] = [*missed[:2], "used", *missed[2:], "other"]
    devpi.cached_files.update(missed)
    ask = Probe.page

    def page(self: Probe, project: str) -> Page:
        if project in missed:
            raise ProbeError("it did not answer")
        return ask(self, project)

    monkeypatch.setattr(Probe, "page", page)
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert result["stale_projects"] == [f"root/m/{project}" for project in missed]


def test_devpi_7_gets_no_pages_where_it_would_come_without_its_login(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    url = new.simple_url.replace("//", "//u:p@")
    assert len(run(devpi_index, name="root/m", mirror_url=url)["stale_projects"]) == 2
    assert new.seen == []


def test_devpi_7_gets_no_pages_on_another_host(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    monkeypatch.setattr(_switch, "is_loopback", lambda host: host != "127.0.0.1")
    assert len(run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"]) == 2
    assert new.seen == []


def test_devpi_7_is_not_asked_again_where_it_does_not_come(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    monkeypatch.setattr(devpi, "fetch_page", lambda index, project: None)
    assert len(run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"]) == 2
    assert [path for method, path in devpi.written if method == "POST"] == ["/root/m/+simple/used/refresh"]


def test_devpi_7_may_fail_at_one_page(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)

    def fail(handler: Handler) -> None:
        devpi.fetch_page("root/m", "used")
        handler.reply(500, "<html>", "text/html")

    before = 9  # The login, the tree, and what comes before the first page.
    devpi.mischief = [*[None] * before, fail]
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == ["root/m/used"]
    assert devpi.seen[before] == ("POST", "/root/m/+simple/used/refresh")


@pytest.mark.parametrize("version", ["6.20.3", "7.0.0b4"])
def test_other_credentials_are_no_switch(devpi: FakeDevpi, run: Run, version: str) -> None:
    devpi.version = version
    mirror(devpi)
    run(devpi_index, name="root/m", mirror_url=OLD.replace("u:p", "u:other") + "/")
    assert devpi.written == [("PATCH", "/root/m")]


@pytest.mark.parametrize("expiry", [{}, {"cache_expiry": 600}])
@pytest.mark.parametrize("listed", [{}, {"no_project_list": True}])
@pytest.mark.parametrize("version", ["6.20.3", "7.0.0b4"])
def test_killed_anywhere_and_run_again_it_finishes(
    devpi: FakeDevpi, run: Run, new: Upstream, version: str, listed: dict[str, Any], expiry: dict[str, Any]
) -> None:
    word = "mirror_{}" if version < "7" else "remote_{}"
    settings = {word.format(name): value for name, value in listed.items()}
    settings.update({"mirror_cache_expiry" if version < "7" else "remote_refresh_delay": 600} if expiry else {})

    def start() -> None:
        if version < "7":
            mirror(devpi, **settings)
        else:
            mirror_7(devpi, new, **settings)

    def settle() -> dict[str, Any]:
        """Let devpi 7 fetch the page that it has altered, and return what it has then."""
        if version >= "7":
            devpi.fetch_page("root/m", "used")
            assert urls(devpi, "used") == urls(devpi, "other") == {new.url}
        return {"links": dict(devpi.links), "used": devpi.files.get("root/m/used"), "has": devpi.uploads["root/m"]}

    start()
    devpi.seen.clear()
    run(devpi_index, name="root/m", mirror_url=new.simple_url)
    requests, expected, end = len(devpi.seen), devpi.users["root"]["indexes"]["m"], settle()
    assert {**settings, "title": "T"}.items() <= expected.items()
    interrupted = 0
    for survived in range(3, requests):
        start()
        devpi.mischief = [*[None] * survived, *[Handler.reset] * requests]
        interrupted += run(devpi_index, name="root/m", mirror_url=new.simple_url).get("failed", False)
        devpi.mischief = []
        # A run that is about something else finishes it too.
        run(devpi_index, name="root/m", title="T")
        again = run(devpi_index, name="root/m", mirror_url=new.simple_url)
        assert devpi.users["root"]["indexes"]["m"] == expected, survived
        assert settle() == end
        assert not again["changed"]
    assert interrupted == requests - 3


def test_an_unfinished_switch_is_shown(devpi: FakeDevpi, run: Run) -> None:
    mirror(devpi, mirror_url=MARKED, mirror_no_project_list=True, mirror_ignore_serial_header=True)
    check = run(devpi_index, check_mode=True, name="root/m", mirror_url=NEW)
    assert check["changes"] == ["update index root/m (mirror_no_project_list, mirror_url)"]
    assert devpi.written == []
    assert run(devpi_index, name="root/m", mirror_url=NEW)["diff"] == check["diff"]
    assert check["diff"][0]["before"]["mirror_url"] == MARKED


@pytest.mark.parametrize("url", [NEW, "https://new.example/simple/#else", None])
def test_what_is_settled_stays_as_it_is(url: str | None) -> None:
    config = {"type": "mirror", "mirror_url": url}
    assert settled(config, Dialect("6.20.3")) is config


def test_what_a_mark_tells() -> None:
    config = {"type": "remote", "remote_url": f"{NEW}#unfinished-switch;list=no;expiry=60", "remote_refresh_delay": 1}
    assert settled(config, Dialect("7.0.0b4")) == {
        "type": "remote",
        "remote_url": NEW,
        "remote_no_project_list": True,
        "remote_refresh_delay": 60,
    }
    elsewhere = f"http://127.0.0.1:1/#unfinished-switch;list=yes;expiry=;to={NEW}"
    assert settled({"type": "remote", "remote_url": elsewhere}, Dialect("7.0.0b4"))["remote_url"] == NEW
