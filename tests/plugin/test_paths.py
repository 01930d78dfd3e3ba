# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which index a path is for: as devpi's own routes find it, or refused."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from devpi import Devpi
from devpi_wheelhouse import paths
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

PLAIN = {
    "/": ("", ""),
    "/team": ("team", ""),
    "/team/": ("team", ""),
    "/team/dev": ("team", "dev"),
    "/team/dev/": ("team", "dev"),
    "/team/d%65v/+simple/hidden/": ("team", "dev"),
    "/team%2Fdev/+simple/hidden/": ("team", "dev"),
    "/team%2fdev%2F%2Bsimple/hidden": ("team", "dev"),
    "/team/dev/%2Bf/a/b/c-1.0.tar.gz": ("team", "dev"),
    "/team/dev?index=/closed/any": ("team", "dev"),
    "/team/dev#/closed/any": ("team", "dev"),
    "/team/dev/+api": ("team", "dev"),
    "/team/+api": ("team", ""),
    "/alice/+tokens": ("alice", ""),
    "/+search?query=hidden": ("", ""),
    "/+api/team/dev": ("", ""),
    "/team/dev%252f..": ("team", "dev%2f.."),
    "/TEAM/dev/+simple/": ("TEAM", "dev"),
    "/team/dev;x/+simple/": ("team", "dev;x"),
    "/team/dev%20/+simple/": ("team", "dev "),
    "/t%C3%A9am/dev/": ("téam", "dev"),
    "/team/dev/.metadata": ("team", "dev"),
    "/team/dev/..data": ("team", "dev"),
    f"/{'x' * 255}/{'y' * 255}/{'z' * 300}": ("x" * 255, "y" * 255),
}
ODD = [
    "",
    "team/dev",
    "http://index.test/team/dev",
    "//team/dev/+simple/hidden/",
    "/team//dev/+simple/",
    "/team/%2Fdev/+simple/",
    "/team/public/../dev/+simple/hidden/",
    "/team/public/%2e%2e/dev/hidden",
    "/team/public%2f..%2fdev",
    "/team/./dev",
    "/team/dev/.",
    "/team/dev/..",
    "/team/dev%00/",
    "/team/dev%0a",
    "/team/dev%0D%0A/",
    "/team/dev%7f",
    "/team/dev%C2%85",
    "/team%5Cdev/",
    "/team\\dev/",
    "/team/dev%c0%af",
    "/team/dev%ff",
    "/team/dev%",
    "/team/dev%2",
    "/team/dev%zz",
    "/team/caf\u00e9",
    "/team/\u0394",
    f"/{'x' * 256}/dev",
    f"/team/{'x' * 256}/+simple/",
]
#: What comes after an index.
BELOW = [
    "",
    "/",
    "/+simple",
    "/+simple/",
    "/+simple/hidden",
    "/+simple/hidden/",
    "/+f/a/b",
    "/+e/a/b",
    "/hidden",
    "/hidden/",
]
BELOW += ["/hidden/1.0", "/hidden/1.0/", "/hidden/1.0/+doc/a.html", "/hidden/1.0/+d/a.html", "/hidden/refresh", "/+api"]
BELOW += ["/hidden/1.0/+toxresults/a", "/hidden/1.0/+toxresults/a/b", "/+simple/hidden/refresh"]


def routed(devpi: Devpi, uri: str) -> tuple[Any, Any]:
    """Return the user and the index that devpi finds in a path as it was sent."""
    request = Request.blank(uri)
    found = (devpi.app.app.registry.getUtility(IRoutesMapper)(request)["match"]) or {}
    return found.get("user", "").rstrip("/"), found.get("index", "").rstrip("/")


@pytest.mark.parametrize("uri", PLAIN)
def test_index_of_a_path(uri: str, shared: Devpi) -> None:
    found = paths.user_and_index(paths.plain(uri))
    assert found == PLAIN[uri]
    assert routed(shared, uri.partition("#")[0]) == found


@pytest.mark.parametrize("below", BELOW)
@pytest.mark.parametrize("index", ["team/dev", "team%2fdev", "t%65am/%64ev", "a.b-c_d/e@f"])
def test_index_is_the_one_that_devpi_finds(index: str, below: str, shared: Devpi) -> None:
    uri = f"/{index}{below}"
    assert routed(shared, uri) == paths.user_and_index(paths.plain(uri))


@pytest.mark.parametrize("uri", ODD)
def test_odd_paths_are_refused(uri: str) -> None:
    with pytest.raises(paths.OddPath):
        paths.plain(uri)


def test_examples() -> None:
    assert doctest.testmod(paths).failed == 0
