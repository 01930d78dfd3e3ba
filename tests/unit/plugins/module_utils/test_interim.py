# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that devpi 7 takes for others, and the upstream that has them for a moment."""

from __future__ import annotations

import gzip
import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE
from ansible_collections.wheelhouse.devpi.plugins.module_utils._interim import (
    absolute,
    differing_page,
    interim_upstream,
)
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page, Probe
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, serving

FILE = {"filename": "p-1.zip", "url": "../../p-1.zip", "hashes": {"sha256": "abc"}, "size": 5}


def page(text: str, status: int = 200, kind: str = JSON_TYPE) -> Page:
    """Return what an upstream answered."""
    return Page("https://new.example/simple/p/", status, kind, None, text, whole=True)


def told(version: str = "1.1", *files: dict[str, Any]) -> str:
    """Return the text of a page in JSON."""
    return json.dumps({"meta": {"api-version": version}, "name": "p", "files": files})


@pytest.mark.parametrize("version", ["1.1", "1.4"])
def test_it_says_the_same_in_other_words(version: str) -> None:
    files = [{**FILE, "yanked": "broken", "requires-python": ">=3.9"}, {**FILE, "requires-python": None}, FILE]
    answer = page(told(version, *files))
    made, later = differing_page(answer), differing_page(answer)
    assert made is not None
    assert later is not None
    any_python, again = (json.loads(gzip.decompress(text))["files"][-1]["requires-python"] for text in (made, later))
    assert re.fullmatch(r">=0\.\d+", any_python)
    assert any_python != again
    absolute = {**FILE, "url": "https://new.example/p-1.zip"}
    assert json.loads(gzip.decompress(made)) == {
        "meta": {"api-version": "1.1"},
        "name": "p",
        "files": [
            {**absolute, "yanked": "broken", "requires-python": f"{any_python},>=3.9"},
            {**absolute, "requires-python": any_python},
            {**absolute, "requires-python": any_python},
        ],
    }


@pytest.mark.parametrize(
    "answer",
    [
        page(told("1.1", FILE), status=404),
        page(told("1.1", FILE), kind="text/html"),
        page(told("1.0", FILE)),
        page(told("2.1", FILE)),
        page(told("1.1", FILE, {**FILE, "size": None})),
        page(told("1.1", {key: value for key, value in FILE.items() if key != "size"})),
        page(told("1.1", {**FILE, "hashes": {"md5": "abc"}})),
        page("<html>"),
        page("[]"),
        page("{}"),
        page('{"meta": {"api-version": 1.1}, "files": []}'),
    ],
)
def test_what_would_do_harm_is_left_alone(answer: Page) -> None:
    assert differing_page(answer) is None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            page("<a href='../../p-1.zip'>", kind="text/html"),
            "<base href=\"https://new.example/simple/p/\"><a href='../../p-1.zip'>",
        ),
        (page("<BASE href='/x/'>", kind="text/html"), "<BASE href='/x/'>"),
        (page(told("1.0", FILE)), told("1.0", {**FILE, "url": "https://new.example/p-1.zip"})),
        (page("{", status=404), "{"),
    ],
)
def test_links_lead_to_the_same_places_from_everywhere(answer: Page, text: str) -> None:
    assert absolute(answer) == text


def test_an_interim_upstream() -> None:
    behaviour = Behaviour({"other": {"other-1.tar.gz": "content"}}, login="u:p")
    with serving(behaviour) as upstream:
        probe = Probe(upstream.simple_url.replace("//", "//u:p@"), "7.0.0b4", 5)
        with interim_upstream({"p": b"packed", "gone": None}, probe, "u:p") as server:
            host = urlsplit(server.url).netloc
            assert host.startswith("u:p@127.0.0.1:")

            def ask(path: str) -> tuple[int, bytes]:
                connection = http.client.HTTPConnection(host.partition("@")[2], timeout=5)
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()

            status, text = ask("/other/")
            assert (status, json.loads(text)["files"]) == (200, upstream.files("other"))
            assert ask("/unknown/")[0] == 404
            behaviour.down = True
            assert ask("/other/")[0] == 502
            assert server.fetched == set()
            assert ask("/gone/")[0] == 404
            assert ask("/p/") == (200, b"packed")
            assert server.fetched == {"p", "gone"}
        with pytest.raises(ConnectionRefusedError):
            ask("/p/")
