# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of a mirror to another upstream, and what becomes of it when a run is killed on it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._switch import settled
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run

OLD, NEW = "https://u:p@old.example/simple", "https://new.example/simple/"
MARKED = f"{NEW}#unfinished-switch;list=yes;expiry="


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


def test_devpi_7_forgets_the_links_of_projects_without_files(devpi: FakeDevpi, run: Run) -> None:
    devpi.version = "7.0.0b4"
    mirror(devpi)
    result = run(devpi_index, name="root/m", mirror_url=NEW)
    assert result["changes"] == ["update index root/m (remote_url)"]
    assert result["stale_projects"] == ["root/m/used"]
    assert devpi.uploads["root/m"] == ["used"]
    assert devpi.written == [
        ("PATCH", "/root/m"),
        ("DELETE", "/root/m/bare/no-such-version?force"),
        ("DELETE", "/root/m/used/no-such-version?force"),
        ("PATCH", "/root/m"),
    ]
    final = devpi.users["root"]["indexes"]["m"]
    assert (final["remote_url"], final["remote_no_project_list"]) == (NEW, False)


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
    devpi: FakeDevpi, run: Run, version: str, listed: dict[str, Any], expiry: dict[str, Any]
) -> None:
    devpi.version = version
    word = "mirror_{}" if version < "7" else "remote_{}"
    settings = {word.format(name): value for name, value in listed.items()}
    settings.update({"mirror_cache_expiry" if version < "7" else "remote_refresh_delay": 600} if expiry else {})
    mirror(devpi, **settings)
    devpi.seen.clear()
    uninterrupted = run(devpi_index, name="root/m", mirror_url=NEW)
    requests, expected, links = len(devpi.seen), devpi.users["root"]["indexes"]["m"], dict(devpi.links)
    assert {**settings, "title": "T"}.items() <= expected.items()
    interrupted = 0
    for survived in range(3, requests):
        mirror(devpi, **settings)
        devpi.mischief = [*[None] * survived, *[Handler.reset] * requests]
        interrupted += run(devpi_index, name="root/m", mirror_url=NEW).get("failed", False)
        devpi.mischief = []
        # A run that is about something else finishes it too.
        run(devpi_index, name="root/m", title="T")
        again = run(devpi_index, name="root/m", mirror_url=NEW)
        assert devpi.users["root"]["indexes"]["m"] == expected, survived
        assert devpi.links == links
        assert (
            devpi.uploads["root/m"] == [name.split("/")[2] for name in uninterrupted["stale_projects"]] or version < "7"
        )
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
