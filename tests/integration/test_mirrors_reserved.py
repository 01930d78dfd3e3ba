"""Names of the team stay the team's, when an attacker publishes higher versions under them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_info, devpi_layout
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from live import ROOT_PASSWORD, Devpi, as_form

EVIL = ["a-name-99.0.tar.gz"]
OURS, PUBLIC = ["a-release-1.0.tar.gz"], ["public-1.0.tar.gz"]


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    return {"offline": False}


@pytest.fixture(scope="module", autouse=True)
def _attacked(devpi: Devpi, upstreams: dict[str, Upstream]) -> None:
    """Make a private index on top of a mirror, one on top of that, and one beside it that has a release of its own."""
    upstreams["new"].behaviour = Behaviour(
        {
            "a-release": {"a-release-99.0.tar.gz": "evil"},
            "a-name": {"a-name-99.0.tar.gz": "evil"},
            "public": {"public-1.0.tar.gz": "fine"},
        }
    )
    mirror = {"name": "attacked", "type": "mirror", "mirror_url": upstreams["new"].simple_url, "probe": True}
    # Without a word of protection, which is the default on both versions of devpi.
    private = {"name": "private", "type": "stage", "bases": ["root/attacked"], "acl_upload": ["root"]}
    team = {"name": "team", "type": "stage", "bases": ["root/attacked", "root/private"]}
    over = {"name": "over", "type": "stage", "acl_upload": ["root"]}
    devpi.run(devpi_layout, users=[{"name": "root", "indexes": [mirror, private, team, over]}])
    devpi.upload("root/over")


def offered(devpi: Devpi, index: str) -> list[list[str]]:
    """Return the files that an index offers of each name."""
    return [list(devpi.files(f"{index}/+simple/{name}")) for name in ("a-release", "a-name", "public")]


def test_only_private_files_are_offered_of_a_reserved_name(devpi: Devpi) -> None:
    # The attack works before the names are reserved.
    assert list(devpi.files("root/private/+simple/a-name")) == EVIL
    # A release reserves its name, and a name can be reserved before there is a release.
    devpi.upload("root/private")
    body, headers = as_form({":action": "submit", "name": "a-name", "version": "0"})
    devpi.ask("root/private/", method="POST", body=body, headers=headers, login=("root", ROOT_PASSWORD))
    for index in ("root/private", "root/team"):
        assert offered(devpi, index) == [OURS, [], PUBLIC]


def test_names_on_both_sides_are_told(devpi: Devpi) -> None:
    compared = devpi.run(devpi_info, compare_with=["root/attacked"])
    assert compared["shared_names"] == [
        {"name": "a-release", "index": "root/over", "mirror": "root/attacked"},
        {"name": "a-name", "index": "root/private", "mirror": "root/attacked"},
        {"name": "a-release", "index": "root/private", "mirror": "root/attacked"},
    ]


def test_one_name_out_of_the_protection_and_back(devpi: Devpi) -> None:
    changes = ["update index root/private (mirror_whitelist)"]
    devpi.proves(changes, devpi_index, name="root/private", mirror_whitelist=["A_Name"])
    assert offered(devpi, "root/private") == [OURS, EVIL, PUBLIC]
    for names in (["public"], []):
        devpi.proves(changes, devpi_index, name="root/private", mirror_whitelist=names)
    assert offered(devpi, "root/private") == [OURS, [], PUBLIC]


def test_the_test_would_see_an_attack_that_works(devpi: Devpi) -> None:
    devpi.run(devpi_index, name="root/private", mirror_whitelist=["*"])
    assert list(devpi.files("root/private/+simple/a-name")) == EVIL
