# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror to another upstream, and what becomes of it when a run is killed on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _api, _interim, _switch
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page, Probe, ProbeError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._switch import settled
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream, serving

OLD, NEW = "https://u:p@old.example/simple", "https://new.example/simple/"
MARK = "#unfinished-switch;list=yes;expiry="
MARKED = f"{NEW}{MARK}"

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


def described(project: str) -> list[dict[str, Any]]:
    """Return what devpi knows of the files of a project from the old upstream."""
    files = Upstream(Behaviour({project: USED})).files(project)
    return [{**file, "url": OLD} for file in files]


def test_devpi_6_fetches_pages_and_names_anew(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror(devpi)
    devpi.not_upstream.add("used")
    new.behaviour.projects = {}
    marked = f"{new.simple_url}{MARK}"
    devpi.files["root/m/used"] = described("used")
    devpi.stored.add("used-1.0.tar.gz")
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert result["changes"] == ["update index root/m (mirror_ignore_serial_header, mirror_url)"]
    assert result["stale_projects"] == []
    assert devpi.links["root/m/bare"] == new.simple_url
    # What the new upstream does not have, keeps what is in the cache.
    assert [file["filename"] for file in devpi.files["root/m/used"]] == ["used-1.0.tar.gz"]
    sent = [(*request, body) for request, body in zip(devpi.seen, devpi.bodies, strict=True)]
    steps = [step for step in sent if step[1].startswith("/root/m")]
    final = {
        "type": "mirror",
        "volatile": False,
        "title": "T",
        "mirror_url": new.simple_url,
        "mirror_no_project_list": False,
    }
    final["mirror_ignore_serial_header"] = True
    interim = {**final, "mirror_url": marked, "mirror_no_project_list": True}
    stand_in = steps[4][2]["mirror_url"]
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/[0-9a-f]{{8}}/{MARK};to={new.simple_url}", stand_in)
    assert steps == [
        ("PATCH", "/root/m", interim),
        ("GET", "/root/m", None),
        ("POST", "/root/m/+simple/bare/refresh", None),
        ("POST", "/root/m/+simple/used/refresh", None),
        ("PATCH", "/root/m", {**interim, "mirror_url": stand_in}),
        ("GET", "/root/m/+simple/used/", None),
        ("GET", "/root/m/+f/used-1.0.tar.gz", None),
        ("GET", "/root/m/+f/used-2.0.tar.gz", None),
        ("POST", "/root/m/+simple/used/refresh", None),
        ("PATCH", "/root/m", interim),
        ("PATCH", "/root/m", {**interim, "mirror_no_project_list": False, "mirror_cache_expiry": 1}),
        ("GET", "/root/m/+simple/no-such-project/", None),
        ("PATCH", "/root/m", ["mirror_cache_expiry-="]),
        ("PATCH", "/root/m", final),
    ]
    assert devpi.users["root"]["indexes"]["m"] == final
    assert not run(devpi_index, name="root/m", mirror_url=new.simple_url)["changed"]


@pytest.mark.parametrize(("behaviour", "host"), [({}, "near"), ({"down": True}, "near"), ({"projects": {}}, "far")])
def test_devpi_6_names_what_did_not_come(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, Any], host: str
) -> None:
    mirror(devpi)
    devpi.not_upstream.add("used")
    new.behaviour = Behaviour(**{"projects": new.behaviour.projects, **behaviour})
    if host == "far":
        monkeypatch.setattr(_api, "is_loopback", lambda host: host != "127.0.0.1")
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == ["root/m/used"]
    assert devpi.links["root/m/used"] == OLD


@pytest.mark.parametrize("version", ["6.20.3", "7.0.0b4"])
def test_a_failure_leaves_the_new_upstream(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:

    def fail(*given: Any) -> None:
        raise ApiError("no")

    (mirror if version < "7" else partial(mirror_7, new=new))(devpi)
    devpi.not_upstream.add("used")
    new.behaviour = Behaviour(projects={})
    monkeypatch.setattr(_switch, "_renew_links", fail)
    assert "no" in run(devpi_index, name="root/m", mirror_url=new.simple_url)["msg"]
    index = devpi.users["root"]["indexes"]["m"]
    url = index["mirror_url" if version < "7" else "remote_url"]
    assert url.startswith(f"{new.simple_url}#")


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
    forget_used = [("DELETE", f"/root/m/{project}/no-such-version?force") for project in ("used", "other")]
    assert devpi.written == [
        ("PATCH", "/root/m"),
        ("DELETE", "/root/m/bare/no-such-version?force"),
        *forget_used,
        ("PATCH", "/root/m"),
        ("PATCH", "/root/m"),
        *forget_used,
        # In other words, and then in those of the new upstream.
        *[("POST", "/root/m/+simple/used/refresh")] * 2,
        *[("POST", "/root/m/+simple/other/refresh")] * 2,
        ("PATCH", "/root/m"),
        ("PATCH", "/root/m"),
    ]
    passed = [body["remote_url"] for body in devpi.bodies if body and "remote_url" in body]
    assert passed[:2] == [f"{OLD}{MARK.replace('switch', 'look')}", OLD]
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/[0-9a-f]{{8}}/{MARK};to={new.simple_url}", passed[2])
    assert passed[3:] == [f"{new.simple_url}{MARK}", new.simple_url]
    final = devpi.users["root"]["indexes"]["m"]
    assert (final["remote_url"], final["remote_no_project_list"]) == (new.simple_url, False)
    # The files have their new URLs at once, and nothing is left of the other words.
    assert urls(devpi, "used") == urls(devpi, "other") == {new.url}
    assert devpi.files["root/m/used"] == new.files("used")


def test_what_stands_in_front_of_devpi_must_not_send_files(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    new.behaviour = Behaviour({"other": new.behaviour.projects["other"]})
    monkeypatch.setattr(Client, "describe", lambda self, path: None)
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == ["root/m/used"]


def test_devpi_7_may_be_switched_back_before_it_fetched_a_page(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    run(devpi_index, name="root/m", mirror_url=new.simple_url)
    with serving(new.behaviour) as other:
        run(devpi_index, name="root/m", mirror_url=other.simple_url)
        assert urls(devpi, "used") == urls(devpi, "other") == {other.url}


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"content_type": "text/html"}, "devpi finds no files on the pages of used, other, such as "),
        ({"content_type": "text/html"}, "(DELETE {devpi}/root/m/used?force)"),
        ({"down": True}, "correct mirror_url, or take another mirror"),
        ({"login": "u:p"}, "/simple/used/ answers 401, so links to the old mirror would stay"),
        ({"projects": {}, "unknown_status": 403}, "/simple/used/ answers 403"),
        ({"json": False}, "gives no sizes or no SHA-256 on the pages of used, other, and devpi-server 7.0.0b4 would"),
        ({"sizes": False}, "take a mirror with pages in JSON 1.1, or devpi-server 6."),
        ({"hash_kind": "md5"}, "gives no sizes or no SHA-256"),
    ],
)
def test_devpi_7_is_left_alone_where_its_mirror_would_not_come_out_whole(
    devpi: FakeDevpi, run: Run, new: Upstream, behaviour: dict[str, Any], message: str
) -> None:
    mirror_7(devpi, new)
    before = dict(devpi.users["root"]["indexes"]["m"])
    new.behaviour = Behaviour(**{"projects": new.behaviour.projects, **behaviour})
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert (result["failed"], result["changed"]) == (True, False)
    assert message.format(devpi=devpi.url) in result["msg"]
    assert devpi.users["root"]["indexes"]["m"] == {**before, "remote_no_project_list": False}
    assert urls(devpi, "used") == urls(devpi, "other") == {OLD}


def test_a_devpi_7_that_was_not_seen_to_lose_sizes_goes_where_there_are_none(
    devpi: FakeDevpi, run: Run, new: Upstream
) -> None:
    mirror_7(devpi, new)
    devpi.version = "7.0.0"
    new.behaviour = Behaviour(new.behaviour.projects, json=False)
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []


def test_what_the_new_mirror_does_not_have_keeps_what_is_in_the_cache(
    devpi: FakeDevpi, run: Run, new: Upstream
) -> None:
    mirror_7(devpi, new)
    devpi.stored.add("used-2.0.tar.gz")
    new.behaviour = Behaviour({"other": new.behaviour.projects["other"]})
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
    kept = {file["filename"]: (file["url"], file["size"]) for file in devpi.files["root/m/used"]}
    assert kept == {"used-2.0.tar.gz": (OLD, len("not"))}
    assert urls(devpi, "other") == {new.url}


def test_an_upstream_may_miss_an_answer_now_and_then(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    ask = Probe.page
    missed: list[str] = []

    def page(self: Probe, project: str) -> Page:
        if len(missed) < 2:
            missed.append(project)
            raise ProbeError("it did not answer")
        return ask(self, project)

    monkeypatch.setattr(Probe, "page", page)
    assert run(devpi_index, name="root/m", mirror_url=new.simple_url)["stale_projects"] == []
    assert missed == ["used", "used"]


def test_a_login_goes_the_whole_way(devpi: FakeDevpi, run: Run, new: Upstream) -> None:
    mirror_7(devpi, new)
    new.behaviour.login = "u:p"
    url = new.simple_url.replace("//", "//u:p@")
    assert run(devpi_index, name="root/m", mirror_url=url)["stale_projects"] == []
    assert urls(devpi, "used") == {new.url}
    stand_in = next(body["remote_url"] for body in devpi.bodies if body and ";to=" in body.get("remote_url", ""))
    # devpi sends it to where files are.
    assert re.fullmatch(rf"http://u:p@127\.0\.0\.1:\d+/[0-9a-f]{{8}}/{MARK};to={url}", stand_in)


def test_devpi_7_on_another_host_is_refused(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    devpi.uploads["root/m"] += ["more", "and-more"]
    devpi.cached_files |= {"more", "and-more"}
    monkeypatch.setattr(_api, "is_loopback", lambda host: host != "127.0.0.1")
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert "of used, other, more and 1 more unless" in result["msg"]
    assert "(delegate_to), with its socket as url" in result["msg"]
    assert not result["changed"]
    assert new.seen == []


def test_devpi_7_on_another_host_may_go_without_files(
    devpi: FakeDevpi, run: Run, new: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror_7(devpi, new)
    devpi.cached_files.clear()
    monkeypatch.setattr(_api, "is_loopback", lambda host: host != "127.0.0.1")
    result = run(devpi_index, name="root/m", mirror_url=new.simple_url)
    assert (result["changed"], result["stale_projects"]) == (True, [])


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

    before = 15  # The login, the tree, and what comes before the first page.
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
    devpi.bodies.clear()
    run(devpi_index, name="root/m", mirror_url=new.simple_url)
    requests, expected, end = len(devpi.seen), devpi.users["root"]["indexes"]["m"], settle()
    assert {**settings, "title": "T"}.items() <= expected.items()
    # With devpi 7, the new upstream is looked at before.
    begins = next(number for number, body in enumerate(devpi.bodies) if new.simple_url in str(body))
    interrupted = 0
    for survived in range(3, requests):
        start()
        devpi.mischief = [*[None] * survived, *[Handler.reset] * requests]
        interrupted += run(devpi_index, name="root/m", mirror_url=new.simple_url).get("failed", False)
        devpi.mischief = []
        # A run that is about something else finishes it too, once it has begun.
        run(devpi_index, name="root/m", title="T")
        assert "#" not in str(devpi.users["root"]["indexes"]["m"])
        if survived <= begins:
            run(devpi_index, name="root/m", mirror_url=new.simple_url)
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
