"""A mirror is switched from one upstream to another, and keeps what is in its cache."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from live import ROOT_PASSWORD, Devpi, ask

Projects = dict[str, dict[str, str]]
Upstreams = dict[str, Upstream]

HALFWAY = {"halfway-1.0.tar.gz": "here", "halfway-2.0.tar.gz": "there"}
GUARDED = {"guarded-1.0.tar.gz": "here", "guarded-2.0.tar.gz": "there"}
MOVING = {"moving-1.0.tar.gz": "one", "moving-2.0.tar.gz": "two", "moving-3.0.tar.gz": "three"}
RESTING = {"resting-1.0.tar.gz": "rest"}
WITHDRAWN = {"withdrawn-1.0.tar.gz": "kept", "withdrawn-2.0.tar.gz": "lost"}


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    return {"offline": False}


def behave(upstream: Upstream, projects: Projects | None = None, **behaviour: Any) -> None:
    """Let an upstream behave so, and forget what it was asked."""
    upstream.behaviour = Behaviour(projects or {}, **behaviour)
    upstream.seen.clear()


def content(url: str) -> str:
    """Return the content of a file."""
    return ask(url, accept="*/*").text


def contents(devpi: Devpi, project: str, index: str = "root/pypi") -> dict[str, str]:
    """Return the content of each file of a project."""
    return {name: content(url) for name, url in devpi.files(f"{index}/+simple/{project}").items()}


def files_asked(upstream: Upstream) -> list[str]:
    """Return the files that an upstream was asked for."""
    return [path for path, _agent in upstream.seen if path.startswith("/files/")]


def serials_were_no_problem(devpi: Devpi) -> bool:
    """Tell whether the server complained of serials."""
    lines = [line for line in devpi.log().splitlines() if "serial mismatch" in line]
    return not [line for line in lines if re.search(r"/root/(pypi|few)|/(moving|resting|halfway|few)/", line)]


def test_a_switch_keeps_the_cache_and_the_rest_comes_from_the_new_mirror(devpi: Devpi, upstreams: Upstreams) -> None:
    old, new = upstreams["old"], upstreams["new"]
    moving = dict(list(MOVING.items())[:2])
    # One with serials, and one without that is ahead of it.
    at_old = {"moving": moving, "resting": RESTING, "halfway": HALFWAY, "withdrawn": WITHDRAWN}
    behave(old, at_old, serial=500)
    arriving = {"arriving-1.0.tar.gz": "new"}
    at_new = {"moving": MOVING, "resting": RESTING, "halfway": HALFWAY, "arriving": arriving, "guarded": GUARDED}
    behave(new, at_new)
    devpi.run(devpi_index, name="root/pypi", type="mirror", mirror_url=old.simple_url)
    devpi.look("root/pypi/+simple/resting")
    for project in ("halfway", "moving", "withdrawn"):
        content(devpi.files(f"root/pypi/+simple/{project}")[f"{project}-1.0.tar.gz"])
    devpi.look("root/pypi/+simple/arriving")

    changes = [devpi.said("update index root/pypi ({on_switch}{mirror_url})")]
    proof = devpi.proves(changes, devpi_index, name="root/pypi", mirror_url=new.simple_url, probe=True)
    assert proof.applied["stale_projects"] == []
    assert proof.applied["probes"]["root/pypi"]["serials"] == "none"

    # What only this mirror has, is there at once.
    assert list(devpi.files("root/pypi/+simple/arriving")) == list(arriving)
    behave(old, down=True)
    assert contents(devpi, "moving") == MOVING
    assert contents(devpi, "resting") == RESTING
    assert contents(devpi, "halfway") == HALFWAY
    # What only the old mirror had, is the file in the cache, and no link to the old mirror.
    assert contents(devpi, "withdrawn") == {"withdrawn-1.0.tar.gz": "kept"}
    # Its page says what the upstream says, and nothing of the way.
    assert "requires-python" not in devpi.look("root/pypi/+simple/halfway").text
    # What was in the cache was not fetched again. The probe itself looks at the last file of a page.
    asked = files_asked(new)
    assert {"/files/moving-2.0.tar.gz", "/files/halfway-2.0.tar.gz"} <= set(asked)
    assert not {"/files/moving-1.0.tar.gz", "/files/halfway-1.0.tar.gz"} & set(asked)
    assert serials_were_no_problem(devpi)


def test_a_run_that_was_killed_in_the_middle_of_a_switch_is_finished_by_the_next(
    devpi: Devpi, upstreams: Upstreams
) -> None:
    """With devpi 7, the mirror then fetched from the module itself."""
    before = devpi.info()["indexes"]["root/pypi"]
    url, no_list = devpi.words["mirror_url"], f"{devpi.words['mirror']}_no_project_list"
    mark = "#unfinished-switch;list=yes;expiry="
    marked = {
        "6": f"{before[url]}{mark}",
        "7": f"http://127.0.0.1:{devpi.closed_port}/{mark};to={before[url]}",
    }
    body = {**before, url: marked[devpi.major], no_list: True}
    devpi.ask("root/pypi", method="PATCH", body=body, login=("root", ROOT_PASSWORD))
    # The mirror works so too.
    assert list(devpi.files("root/pypi/+simple/arriving")) == ["arriving-1.0.tar.gz"]

    # The next run finishes it, whatever else it is about.
    changes = [devpi.said("update index root/pypi ({mirror}_no_project_list, {mirror_url}, title)")]
    proof = devpi.proves(changes, devpi_index, name="root/pypi", title="Moved")
    now = proof.end["indexes"]["root/pypi"]
    assert (now["title"], now[url], now[no_list]) == ("Moved", upstreams["new"].simple_url, False)
    assert devpi.words["expiry"] not in now


def cached_is_served(devpi: Devpi) -> None:
    """See that the files which are in the cache are served."""
    for project, files in (("moving", MOVING), ("halfway", HALFWAY)):
        offered = devpi.files(f"root/pypi/+simple/{project}")
        assert {name: content(offered[name]) for name in files} == files


def refused_by_7(devpi: Devpi, index: str, to: Upstream) -> None:
    """See that devpi 7 is not switched to pages by which it would lose files, and is as it was."""
    before = devpi.info()["indexes"][index]
    message = "devpi-server 7.0.0b4 would no longer serve the files that it has of them"
    devpi.refuses(message, devpi_index, name=index, mirror_url=to.simple_url)
    # It says what it left to the default before.
    no_list = {f"{devpi.words['mirror']}_no_project_list": False}
    assert devpi.info()["indexes"][index] == {**no_list, **before}


@pytest.mark.parametrize(
    ("former", "latter", "pages", "gained"),
    [
        ("new", "old", {"json": False}, "moving-8.0.tar.gz"),
        ("old", "new", {"sizes": False}, "moving-9.0.tar.gz"),
    ],
)
def test_a_switch_to_a_mirror_whose_pages_tell_no_sizes(
    devpi: Devpi, upstreams: Upstreams, former: str, latter: str, pages: dict[str, Any], gained: str
) -> None:
    projects = {"moving": MOVING, "halfway": HALFWAY, "guarded": GUARDED}
    if devpi.major == "7":
        behave(upstreams["old"], projects, **pages)
        refused_by_7(devpi, "root/pypi", upstreams["old"])
        cached_is_served(devpi)
        return
    to = upstreams[latter]
    behave(to, projects, **pages)
    switched = devpi.run(devpi_index, name="root/pypi", mirror_url=to.simple_url)
    assert switched["changed"]
    assert switched["stale_projects"] == []
    behave(upstreams[former], down=True)
    cached_is_served(devpi)

    for more in ({}, {gained: "more"}):
        if more:
            behave(to, {**projects, "moving": {**MOVING, **more}}, **pages)
        for project in ("moving", "halfway"):
            devpi.refresh("root/pypi", project)
        cached_is_served(devpi)
        # It was asked for pages, and no file.
        assert "/simple/moving/" in [path for path, _agent in to.seen]
        assert files_asked(to) == []
    assert content(devpi.files("root/pypi/+simple/moving")[gained]) == "more"


def test_a_switch_to_a_mirror_that_wants_a_login(devpi: Devpi, upstreams: Upstreams) -> None:
    old, new = upstreams["old"], upstreams["new"]
    content(devpi.files("root/pypi/+simple/guarded")["guarded-1.0.tar.gz"])
    behave(old, {"guarded": GUARDED}, login="reader:hidden")
    switched = devpi.run(devpi_index, name="root/pypi", mirror_url=old.simple_url.replace("//", "//reader:hidden@"))
    assert switched["changed"]
    assert switched["stale_projects"] == []
    behave(new, down=True)
    assert contents(devpi, "guarded") == GUARDED
    assert files_asked(old) == ["/files/guarded-2.0.tar.gz"]


def test_a_page_that_changes_and_gives_no_sizes_any_more(devpi: Devpi, upstreams: Upstreams) -> None:
    behave(upstreams["old"], {"moving": {"moving-1.0.tar.gz": "one", "moving-4.0.tar.gz": "four"}}, json=False)
    devpi.refresh("root/pypi", "moving")
    url = devpi.files("root/pypi/+simple/moving")["moving-1.0.tar.gz"]
    # devpi 7.0.0b4 then forgets the size of the file in its cache, with or without a switch. Once it does better, this
    # fails: correct LOSES_SIZES in _switch.py and the description of mirror_url then.
    ask(url, accept="*/*", status=200 if devpi.major == "6" else 500)


def test_a_switch_to_a_mirror_that_gives_few_hashes(devpi: Devpi, upstreams: Upstreams) -> None:
    """Both have pages in HTML, where a file has MD5 or no hash."""
    old, new, store = upstreams["old"], upstreams["new"], upstreams["store"]
    cached = {"few-1.0.tar.gz": "one", "few-2.0.tar.gz": "two", "few-3.0.tar.gz": "three"}
    few = {**cached, "few-4.0.tar.gz": "four"}
    hashes: dict[str, Any] = {"json": False, "hash_kind": "md5", "hashless": ["few-2.0.tar.gz", "few-3.0.tar.gz"]}
    # It has its own files, but of one without a hash; the other one has none, and leads to the same place.
    behave(old, {"few": cached}, files_elsewhere={"few-3.0.tar.gz": store.url}, **hashes)
    behave(new, {"few": few}, files_at=store.url, **hashes)
    behave(store, {"few": few})
    devpi.run(devpi_index, name="root/few", type="mirror", mirror_url=old.simple_url)
    assert contents(devpi, "few", "root/few") == cached
    if devpi.major == "7":
        refused_by_7(devpi, "root/few", new)
        assert contents(devpi, "few", "root/few") == cached
        return
    switched = devpi.run(devpi_index, name="root/few", mirror_url=new.simple_url)
    assert switched["changed"]
    assert switched["stale_projects"] == []
    behave(old, down=True)
    page = "root/few/+simple/few"
    files = devpi.files(page)
    assert {name: content(files[name]) for name in few} == few
    devpi.refresh("root/few", "few")
    # Who has the URLs of before gets the files again.
    assert {name: content(files[name]) for name in few} == few

    # Each link leads to the store, which was asked once for what was not in the cache. Without a hash, a file at
    # another URL (few-2.0) is another file. It was asked for few-3.0 before the switch.
    known = [devpi_knows(url) for url in files.values()]
    assert [url for url in known if not url.startswith(store.url)] == []
    assert sorted(files_asked(store)) == [f"/files/few-{number}.0.tar.gz" for number in (2, 3, 4)]
    assert serials_were_no_problem(devpi)


def devpi_knows(url: str) -> str:
    """Return from where devpi has a file."""
    return str(ask(url).result["url"])
