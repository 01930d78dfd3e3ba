# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What devpi may reach on its own host is what the inventory names, in one of three places."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._outgoing import by_family, ldap_servers, named, proxies


def places(entries: list[str], environment: dict[str, Any], ldap: dict[str, Any]) -> dict[str, list[str]]:
    """Return all that is named, as the rules have it."""
    return by_family({*named(entries), *proxies(environment), *ldap_servers(ldap)})


def test_nothing_is_named() -> None:
    environment = {"NO_PROXY": "127.0.0.1:1", "HTTPS_PROXY": "http://proxy.example.org:3128", "X": "http://127.0.0.1:2"}
    assert places([], environment, {"url": "ldaps://ldap.example.org"}) == {"ipv4": [], "ipv6": []}


@pytest.mark.parametrize(
    ("entries", "environment", "ldap", "ipv4", "ipv6"),
    [
        (["127.0.0.1:8000", "127.0.0.1:8000"], {}, {}, ["127.0.0.1 . 8000"], []),
        (["[::1]:8000", "192.0.2.1:80"], {}, {}, ["192.0.2.1 . 80"], ["::1 . 8000"]),
        (["localhost:8000"], {}, {}, ["127.0.0.1 . 8000"], ["::1 . 8000"]),
        ([], {"https_proxy": "http://u:p@127.0.0.1:8888/"}, {}, ["127.0.0.1 . 8888"], []),
        ([], {"HTTP_PROXY": "127.0.0.1:8888", "ALL_PROXY": "http://[::1]"}, {}, ["127.0.0.1 . 8888"], ["::1 . 80"]),
        ([], {}, {"url": "ldap://127.0.0.1"}, ["127.0.0.1 . 389"], []),
        ([], {}, {"server_pool": [{"url": "ldaps://127.0.0.1"}, {}, "x"]}, ["127.0.0.1 . 636"], []),
    ],
)
def test_what_is_named(
    entries: list[str], environment: dict[str, Any], ldap: dict[str, Any], ipv4: list[str], ipv6: list[str]
) -> None:
    assert places(entries, environment, ldap) == {"ipv4": ipv4, "ipv6": ipv6}


@pytest.mark.parametrize(
    "entry",
    [
        "127.0.0.1",
        "8000",
        "example.org:80",
        "127.0.0.1:99999",
        "127.0.0.1:0",
        "",
        "127.0.0.1:80/x",
        "::1:80",
        "u@127.0.0.1:80",
    ],
)
def test_no_place(entry: str) -> None:
    assert named([entry]) == set()
