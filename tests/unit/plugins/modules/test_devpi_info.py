# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_info: what it tells, and what it keeps to itself."""

from __future__ import annotations

from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_info
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run


def test_tells_all_without_secrets(devpi: FakeDevpi, run: Run) -> None:
    mirror = {"type": "mirror", "volatile": False, "mirror_url": "https://u:hidden@mirrors.aliyun.com/x"}
    devpi.users["root"] = {"username": "root", "created": "2026", "indexes": {"pypi": mirror}}
    devpi.serial = 7
    result = run(devpi_info, check_mode=True)
    result.pop("invocation", None)
    assert result == {
        "changed": False,
        "server_version": "6.20.3",
        "serial": 7,
        "features": ["server-keyvalue-parsing"],
        "users": {"root": {"created": "2026"}},
        "indexes": {"root/pypi": {**mirror, "mirror_url": "https://********@mirrors.aliyun.com/x"}},
        "shared_names": [],
    }


def test_needs_no_login(devpi: FakeDevpi, run: Run) -> None:
    assert "root" in run(devpi_info, login_password=None)["users"]
    assert devpi.seen == [("GET", "/"), ("GET", "/+api")]


def test_names_on_both_sides(devpi: FakeDevpi, run: Run) -> None:
    mirror = {"type": "mirror", "volatile": False, "mirror_url": "https://mirrors.aliyun.com/x"}
    devpi.users["root"]["indexes"] = {
        "pypi": mirror,
        "near": mirror,
        "dev": {"type": "stage"},
        "prod": {"type": "stage"},
    }
    devpi.uploads = {"root/dev": ["ours", "leaked"], "root/prod": ["leaked"], "root/pypi": ["cached"]}
    devpi.upstream_names = {"root/pypi/leaked", "root/near/ours", "root/pypi/cached"}
    assert run(devpi_info, compare_with=["root/pypi"])["shared_names"] == [
        {"name": "leaked", "index": "root/dev", "mirror": "root/pypi"},
        {"name": "leaked", "index": "root/prod", "mirror": "root/pypi"},
    ]
    assert len(run(devpi_info, compare_with=["root/pypi", "root/near"])["shared_names"]) == 3


def test_comparing_with_no_mirror(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["root"]["indexes"] = {"dev": {"type": "stage"}}
    for name in ("root/dev", "root/missing"):
        message = run(devpi_info, compare_with=[name])["msg"]
        assert message == f"compare_with names '{name}': it has to be a mirror of the server, such as root/pypi."


def test_failure(run: Run, free_port: int) -> None:
    result = run(devpi_info, url=f"http://127.0.0.1:{free_port}")
    assert result["failed"]
    assert "Nothing listens at" in result["msg"]
