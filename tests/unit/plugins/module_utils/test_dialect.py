# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both vocabularies, both ways."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import (
    BY_WORD,
    INDEX_OPTIONS,
    Dialect,
    DialectError,
)

SIX, SEVEN = Dialect("6.20.3"), Dialect("7.0.0b4")

PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "stage"}, {"type": "local"}),
    ({"type": "mirror"}, {"type": "remote"}),
    ({"type": "constrained"}, {"type": "constrained"}),
    ({"title": "T", "volatile": False, "bases": ["b/c"]}, {"title": "T", "volatile": False, "bases": ["b/c"]}),
    ({"mirror_url": "https://mirrors.aliyun.com/x"}, {"remote_url": "https://mirrors.aliyun.com/x"}),
    ({"mirror_web_url_fmt": "https://x/{name}"}, {"remote_web_url_fmt": "https://x/{name}"}),
    ({"mirror_cache_expiry": 60}, {"remote_refresh_delay": 60}),
    ({"mirror_no_project_list": True}, {"remote_no_project_list": True}),
    ({"mirror_use_external_urls": False}, {"remote_use_external_urls": False}),
    ({"mirror_whitelist": ["*"]}, {"project_inheritance_rules": ["allow all"]}),
    ({"mirror_whitelist_inheritance": "intersection"}, {"trust_inheritance_rules_from": "none"}),
    ({"mirror_whitelist_inheritance": "union"}, {"trust_inheritance_rules_from": "type:not remote"}),
]


@pytest.mark.parametrize(("six", "seven"), PAIRS)
def test_either_vocabulary_works_with_either_server(six: dict[str, Any], seven: dict[str, Any]) -> None:
    assert SIX.config(six) == SIX.config(seven) == six
    assert SEVEN.config(six) == SEVEN.config(seven) == seven


def test_the_pairs_above_hold_every_word_that_both_versions_have() -> None:
    tested = {word for pair in PAIRS for config in pair for word in config}
    shared = {word.name for setting in BY_WORD.values() if setting.seven for word in setting.words}
    assert shared - tested == {"description", "custom_data", "acl_upload", "acl_toxresult_upload"}


@pytest.mark.parametrize("word", ["mirror_ignore_serial_header", "mirror_provides_core_metadata"])
def test_setting_that_devpi_7_lacks(word: str) -> None:
    assert SIX.config({word: True}) == {word: True}
    with pytest.raises(DialectError, match=f"{word}: devpi 7 has no such setting. .* take the setting out."):
        SEVEN.config({word: True})


def test_devpi_7_keeps_the_names_of_single_projects_beside_the_rule() -> None:
    rule = {"project_inheritance_rules": ["block type:remote if local_exists"]}
    assert SIX.config(rule) == {"mirror_whitelist": []}
    assert SEVEN.config(rule) == rule
    assert SEVEN.config({"mirror_whitelist": []}) == {**rule, "mirror_whitelist": []}
    assert SEVEN.config({"mirror_whitelist": ["Foo_Bar", "a"]}) == {**rule, "mirror_whitelist": ["a", "foo-bar"]}
    assert SEVEN.config({"mirror_whitelist": ["six", "*"]}) == {"project_inheritance_rules": ["allow all"]}
    assert SEVEN.same("mirror_whitelist", ["a", "foo-bar"], {"mirror_whitelist": ["foo-bar", "a"]})
    assert not SEVEN.same("mirror_whitelist", ["a"], {"mirror_whitelist": []})
    with pytest.raises(DialectError, match=r"has no equivalent in devpi 6\. Write one of"):
        SIX.config({"project_inheritance_rules": ["allow all", "block type:remote if local_exists"]})


def test_what_is_not_named_is_left_out_and_what_plugins_add_passes() -> None:
    config = {"title": None, "settings": {"constraints": ["pip"], "uploadtrigger_jenkins": None}}
    for dialect in (SIX, SEVEN):
        assert dialect.config(config) == {"constraints": ["pip"], "uploadtrigger_jenkins": None}


@pytest.mark.parametrize(
    ("word", "wanted", "actual"),
    [
        ("mirror_url", "https://mirrors.aliyun.com/x", "https://mirrors.aliyun.com/x/"),
        ("acl_upload", ["b", ":anonymous:", "a"], ["a", "b", ":ANONYMOUS:"]),
        ("acl_toxresult_upload", [":Authenticated:"], [":AUTHENTICATED:"]),
        ("mirror_whitelist", ["Foo_Bar", "a"], ["a", "foo-bar", "foo-bar"]),
        ("title", "", None),
        ("mirror_web_url_fmt", "", None),
        ("mirror_no_project_list", False, None),
        ("bases", [], None),
        ("acl_toxresult_upload", [":ANONYMOUS:"], None),
        ("mirror_whitelist_inheritance", "union", None),
        ("constraints", "pip>=20,<30\n# why\nsix", ["pip>=20,<30", "six"]),
        ("constraints", "pip>=20,<30", ["pip>=20,<30"]),
        ("plugin_list", "a, b", ["a", "b"]),
        ("plugin_bool", "Yes", True),
        ("plugin_text", "a, b", "a, b"),
        ("uploadtrigger_jenkins", None, None),
    ],
)
def test_same(word: str, wanted: Any, actual: Any) -> None:
    config = {} if actual is None and word in BY_WORD else {word: actual}
    assert SIX.same(word, wanted, config)


@pytest.mark.parametrize(
    ("word", "wanted", "actual"),
    [
        ("mirror_url", "https://mirrors.aliyun.com/x", "https://mirrors.aliyun.com/y"),
        ("mirror_url", "https://mirrors.aliyun.com/x", None),
        ("bases", ["a/b", "c/d"], ["c/d", "a/b"]),
        ("acl_upload", ["a"], ["a", "b"]),
        ("acl_upload", ["Alice"], ["alice"]),
        ("mirror_cache_expiry", 60, None),
        ("mirror_whitelist_inheritance", "intersection", None),
        ("mirror_whitelist", ["*"], ["*", "six"]),
        ("volatile", False, None),
        ("title", "T", None),
        ("plugin_list", "a,b", ["b", "a"]),
        ("plugin_bool", "maybe", True),
        ("plugin_bool", False, True),
    ],
)
def test_different(word: str, wanted: Any, actual: Any) -> None:
    assert not SIX.same(word, wanted, {} if actual is None else {word: actual})


def test_a_setting_that_the_server_does_not_show_differs() -> None:
    assert not SIX.same("uploadtrigger_jenkins", None, {})


def test_devpi_7_shows_no_trust_where_it_trusts_nobody() -> None:
    assert SEVEN.same("trust_inheritance_rules_from", "none", {})
    assert not SEVEN.same("trust_inheritance_rules_from", "type:not remote", {})


def test_every_word_is_an_option() -> None:
    assert set(INDEX_OPTIONS) == {"type", "settings", "preset", "probe", "probe_project", *BY_WORD}
