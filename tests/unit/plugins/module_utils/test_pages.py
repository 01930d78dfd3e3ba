# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What devpi 7 finds on a page, and other words for it."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import JSON_TYPE
from ansible_collections.wheelhouse.devpi.plugins.module_utils._pages import files_on, in_other_words, loses, packed
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Page

FILE = {"filename": "p-1.zip", "url": "../../p-1.zip#x", "hashes": {"sha256": "abcdef"}, "size": 5}
FOUND = {**FILE, "url": "https://new.example/p-1.zip"}


def page(text: str, kind: str = JSON_TYPE) -> Page:
    """Return what an upstream answered."""
    return Page("https://new.example/simple/p/", 200, kind, None, text, whole=True)


def told(version: str = "1.1", *files: dict[str, Any]) -> str:
    """Return the text of a page in JSON."""
    return json.dumps({"meta": {"api-version": version}, "name": "p", "files": files})


@pytest.mark.parametrize("version", ["1.1", "1.4"])
def test_json_is_as_it_is(version: str) -> None:
    other = {
        **FILE,
        "url": "https://files.example/p%2Bl-1.zip",
        "yanked": "broken",
        "upload-time": "then",
        "size": None,
    }
    assert files_on(page(told(version, FILE, other)), "p") == {"p-1.zip": FOUND, "p+l-1.zip": other}
    assert files_on(page(told(version)), "p") == {}


def test_json_1_0_has_no_sizes() -> None:
    # What is there of them, devpi does not read.
    assert files_on(page(told("1.0", {**FILE, "upload-time": "then"})), "p") == {"p-1.zip": {**FOUND, "size": None}}


def test_html_is_said_in_json() -> None:
    text = """
        <a href="../../p-1.zip#sha256=abcdef" data-requires-python="&gt;=3.9" data-yanked="">p-1.zip</a>
        <a data-core-metadata="sha256=fed" data-dist-info-metadata="true" href="/p-2-py3-none-any.whl#egg=x">two</a>
        <a href="https://files.example/P.p%2B-3.tar.gz#md5=123" data-dist-info-metadata="true">three</a>
        <a href="../">up</a> <a>nothing</a> <a href="other-1.zip">of another project</a> <a href="p-1.txt">text</a>
        <a href="ftp://new.example/p-4.zip">by ftp</a>
    """
    common = {"size": None, "requires-python": None, "yanked": None}
    assert files_on(page(text, "text/html"), "p") == {
        "p-1.zip": {**FOUND, **common, "requires-python": ">=3.9", "yanked": ""},
        "p-2-py3-none-any.whl": {
            **common,
            "filename": "p-2-py3-none-any.whl",
            "url": "https://new.example/p-2-py3-none-any.whl",
            "hashes": {},
            "core-metadata": {"sha256": "fed"},
        },
        "P.p+-3.tar.gz": {
            **common,
            "filename": "P.p+-3.tar.gz",
            "url": "https://files.example/P.p%2B-3.tar.gz",
            "hashes": {"md5": "123"},
            "core-metadata": True,
        },
    }


@pytest.mark.parametrize(
    ("links", "url"),
    [
        ("<BASE href='https://base.example/x/'><base href='/y/'><a href='p-1.zip'>", "https://base.example/x/p-1.zip"),
        # The first one counts, unless a later one has a hash or a condition that it has not.
        ("<a href='/a/p-1.zip'><a href='/b/p-1.zip'>", "https://new.example/a/p-1.zip"),
        ("<a href='/a/p-1.zip'><a href='/b/p-1.zip#md5=1'>", "https://new.example/b/p-1.zip"),
        ("<a href='/a/p-1.zip'><a href='/b/p-1.zip' data-requires-python='>3'>", "https://new.example/b/p-1.zip"),
        ("<a href='/a/p-1.zip#md5=1'><a href='/b/p-1.zip#sha256=1'>", "https://new.example/a/p-1.zip"),
    ],
)
def test_of_several_links_one_counts(links: str, url: str) -> None:
    found = files_on(page(links, "text/html"), "p")
    assert found is not None
    assert [file["url"] for file in found.values()] == [url]


@pytest.mark.parametrize(
    "answer",
    [
        page(told("1.1", FILE), kind="text/html"),
        page("<a href='../'>", kind="text/html"),
        page(told("2.1", FILE)),
        page(told("1.1", {key: value for key, value in FILE.items() if key != "size"})),
        page("<html>"),
        page("[]"),
        page("{}"),
        page('{"meta": {"api-version": 1.1}, "files": []}'),
    ],
)
def test_what_devpi_cannot_read_is_none(answer: Page) -> None:
    assert files_on(answer, "p") is None


@pytest.mark.parametrize(
    ("said", "is_lost"),
    [
        ({}, False),
        ({"hashes": {}}, False),
        ({"hashes": {"md5": "a", "sha256": "b"}}, False),
        ({"size": None}, True),
        ({"hashes": {"md5": "a"}}, True),
    ],
)
def test_what_devpi_7_would_lose(said: dict[str, Any], is_lost: bool) -> None:
    assert loses({**FILE, **said}) is is_lost


def test_other_words_mean_the_same() -> None:
    made, later = in_other_words(FILE), in_other_words(FILE)
    assert re.fullmatch(r">=0\.\d+", made["requires-python"])
    assert made["requires-python"] != later["requires-python"]
    assert {**made, "requires-python": None} == {**FILE, "requires-python": None}
    assert re.fullmatch(r">=0\.\d+,<4", in_other_words({**FILE, "requires-python": "<4"})["requires-python"])
    assert json.loads(gzip.decompress(packed("p", [FILE]))) == json.loads(told("1.1", FILE))
