# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mistake in a layout, and the sentence for it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import (
    find_circle,
    index_name_problems,
    layout_problems,
)

MIRROR = {"name": "m", "type": "mirror", "mirror_url": "https://mirrors.aliyun.com/pypi/simple/"}
EXISTING = {"root/pypi": "mirror", "root/known": None}


def problems(*indexes: Any, **user: Any) -> list[str]:
    """Return the problems of one user, alice, with these indexes."""
    return layout_problems([{"name": "alice", "indexes": list(indexes), **user}], EXISTING, "users")


def test_nothing_wrong() -> None:
    users = [
        {"name": "root", "password": None, "indexes": [{"name": "pypi", "mirror_url": MIRROR["mirror_url"]}]},
        {
            "name": "alice",
            "password": "x",
            "email": "alice@example.com",
            "indexes": [
                MIRROR,
                {"name": "prod", "bases": ["alice/dev"]},
                {"name": "dev", "type": "stage", "bases": ["root/pypi", "alice/m"], "acl_upload": ["alice"]},
                {"name": "c", "type": "constrained", "settings": {"constraints": ["pip"]}},
                {"name": "seven", "type": "remote", "remote_url": "http://x", "remote_refresh_delay": 1},
            ],
        },
        {"name": "bob"},
    ]
    assert layout_problems(users, EXISTING, "users") == []


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (
            {**MIRROR, "type": "miror"},
            "type: 'miror' is unknown; write stage, local, mirror, remote, constrained, findlinks, merge.",
        ),
        (
            {**MIRROR, "mirror_url": "mirrors.aliyun.com/pypi"},
            "mirror_url: 'mirrors.aliyun.com/pypi' is no URL; write one that begins with https:// or http://.",
        ),
        (
            {**MIRROR, "mirror_url": None, "remote_url": "ftp://x"},
            "remote_url: 'ftp://x' is no URL; write one that begins with https:// or http://.",
        ),
        (
            {**MIRROR, "mirror_url": 3},
            "mirror_url: 3 is no URL; write one that begins with https:// or http://.",
        ),
        (
            {"name": "m", "type": "mirror"},
            "mirror_url: a mirror needs one (with none, devpi-server dies at its next start); write the URL of an "
            "index, such as https://mirrors.aliyun.com/pypi/simple/.",
        ),
        (
            {**MIRROR, "mirror_cache_expiry": 0},
            "mirror_cache_expiry: 0 is not allowed, because with 0 or less devpi answers 404 for every project, for "
            "good; write a number of seconds above 0, such as 1800.",
        ),
        (
            {**MIRROR, "remote_refresh_delay": "-5"},
            "remote_refresh_delay: '-5' is not allowed, because with 0 or less devpi answers 404 for every project, "
            "for good; write a number of seconds above 0, such as 1800.",
        ),
        (
            {"name": "dev", "type": "stage", "mirror_url": "https://x"},
            "mirror_url: only a mirror has mirror_url, but its type is stage; write type: mirror, or take mirror_url "
            "out.",
        ),
        (
            {"name": "dev", "remote_no_project_list": True},
            "remote_no_project_list: only a mirror has remote_no_project_list, but no type is written, and it is a "
            "stage; write type: mirror, or take remote_no_project_list out.",
        ),
        (
            {**MIRROR, "acl_upload": ["alice"]},
            "acl_upload: only a stage (an index for uploads) has acl_upload, but its type is mirror; write type: "
            "stage, or take acl_upload out.",
        ),
        (
            {**MIRROR, "remote_url": "https://x"},
            "remote_url: it is mirror_url in the words of devpi 7; write one of the two.",
        ),
        (
            {"name": "dev", "mirror_ulr": "https://x"},
            "mirror_ulr: unknown; a setting that a plugin adds goes into the dictionary settings.",
        ),
        (
            {"name": "dev", "mirror_whitelist_inheritance": "both"},
            "mirror_whitelist_inheritance: 'both' is unknown; write intersection or union.",
        ),
        (
            {"name": "dev", "settings": ["x"]},
            "settings: write a dictionary of the settings that plugins add, not ['x'].",
        ),
        (
            {"name": "dev", "settings": {"bases": []}},
            "settings.bases: it is an option of its own; write it beside settings, not in it.",
        ),
        ({"name": "dev", "bases": "root/pypi"}, "bases: write a list of indexes, not 'root/pypi'."),
        (
            {"name": "dev", "bases": ["pypi"]},
            "bases: 'pypi' is no index; write it with its user, such as root/pypi.",
        ),
        (
            {"name": "dev", "bases": ["root/nope"]},
            "bases: index 'root/nope' is neither declared nor on the server; declare it, or correct the name.",
        ),
        (
            {"name": "dev", "bases": ["root/pypi", "root/pypi"]},
            "bases: ['root/pypi', 'root/pypi'] names an index twice; write each once.",
        ),
        (
            {"name": "dev", "bases": ["alice/dev"]},
            "bases: the bases go round in a circle: alice/dev -> alice/dev.",
        ),
        (
            {"name": "alice/dev"},
            "name: 'alice/dev' is not an index without its user, such as dev; write letters, digits and - . @ _ only.",
        ),
        (
            {"type": "stage"},
            "name: None is not an index without its user, such as dev; write letters, digits and - . @ _ only.",
        ),
    ],
)
def test_index(index: dict[str, Any], expected: str) -> None:
    assert problems(index) == [f"users[0].indexes[0].{expected}"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"name": "a b"}, "users[0].name: 'a b' is not a user name; write letters, digits and - . @ _ only."),
        ({"name": ""}, "users[0].name: '' is not a user name; write letters, digits and - . @ _ only."),
        ({"password": ""}, "users[0].password: it is empty or no text; write one that is not, or leave it out."),
        ({"password": 1234}, "users[0].password: it is empty or no text; write one that is not, or leave it out."),
        (
            {"name": "root", "password": "x"},
            "users[0].password: a layout logs in as root; set its password with devpi_user.",
        ),
        (
            {"mail": "x"},
            "users[0].mail: unknown; write one of custom_data, description, email, indexes, name, password, title.",
        ),
        ({"indexes": "dev"}, "users[0].indexes: write a list of indexes, not 'dev'."),
        ({"indexes": ["dev"]}, "users[0].indexes[0]: write a dictionary with name and type, not 'dev'."),
    ],
)
def test_user(user: dict[str, Any], expected: str) -> None:
    assert problems(**user) == [expected]


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (None, "users: write a list of users, not None."),
        ({"alice": {}}, "users: write a list of users, not {'alice': {}}."),
        (["alice"], "users[0]: write a dictionary with name and indexes, not 'alice'."),
    ],
)
def test_shape(users: Any, expected: str) -> None:
    assert layout_problems(users, EXISTING, "users") == [expected]


def test_declared_twice() -> None:
    users = [{"name": "a", "indexes": [{"name": "x"}, {"name": "x"}]}, {"name": "a"}]
    assert layout_problems(users, {}, "users") == [
        "users[0].indexes[1].name: index 'a/x' is declared twice; write it once.",
        "users[1].name: user 'a' is declared twice; write one entry with all indexes.",
    ]


def test_circle_over_users() -> None:
    users = [
        {"name": "a", "indexes": [{"name": "x", "bases": ["b/y"]}]},
        {"name": "b", "indexes": [{"name": "y", "bases": ["root/pypi", "b/z"]}, {"name": "z", "bases": ["a/x"]}]},
    ]
    assert layout_problems(users, EXISTING, "users") == [
        "users[0].indexes[0].bases: the bases go round in a circle: a/x -> b/y -> b/z -> a/x."
    ]


def test_the_type_on_the_server_counts() -> None:
    users = [{"name": "root", "indexes": [{"name": "pypi", "bases": []}, {"name": "known", "bases": []}]}]
    assert layout_problems(users, EXISTING, "users") == [
        "users[0].indexes[0].bases: only a stage (an index for uploads) has bases, but no type is written, and it is "
        "a mirror; write type: stage, or take bases out."
    ]


def test_all_problems_at_once() -> None:
    assert len(problems({"name": "a", "type": "x"}, {**MIRROR, "mirror_url": "x", "volatil": 1}, name="b/c")) == 4


def test_secrets_are_not_shown() -> None:
    found = problems(
        {**MIRROR, "mirror_url": "user:hidden@mirrors.aliyun.com/x"},
        {**MIRROR, "name": "n", "mirror_url": "ftp://user:hid/hidden@x"},
        password="",
    )
    assert len(found) == 3
    assert "hid" not in "".join(found)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://u:p@x/simple/", "https://********@x/simple/"),
        ("https://token@x/", "https://********@x/"),
        ("u:p@x", "********@x"),
        ({"a": ["http://u:p@x", 3]}, {"a": ["http://********@x", 3]}),
        ("https://mirrors.aliyun.com:8080/x", "https://mirrors.aliyun.com:8080/x"),
        ("alice@example.com", "alice@example.com"),
        (":ANONYMOUS:", ":ANONYMOUS:"),
        (None, None),
    ],
)
def test_masked(value: Any, expected: Any) -> None:
    assert masked(value) == expected


@pytest.mark.parametrize("name", ["dev", "a/b/c", "/dev", "a/", "a b/c", "a/b+c"])
def test_full_name(name: str) -> None:
    assert index_name_problems(name, "name")[0].startswith(f"name: {name!r} is no index; write user/index")


def test_valid_full_name() -> None:
    assert index_name_problems("alice@example.com/dev-1_2.3", "name") == []


def test_find_circle_goes_through_shared_bases_once() -> None:
    ladder = {f"a/{n}": [f"a/{n + 1}", f"b/{n + 1}"] for n in range(60)}
    ladder.update({f"b/{n}": [f"a/{n + 1}", f"b/{n + 1}"] for n in range(60)})
    assert find_circle(ladder) == []
