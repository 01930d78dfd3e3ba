# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_index: what it sends, and what it tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run

URL = "https://mirrors.aliyun.com/pypi/simple/"


@pytest.fixture(autouse=True)
def _alice(devpi: FakeDevpi) -> None:
    stage = {"type": "stage", "volatile": True, "bases": [], "acl_upload": ["alice"], "plugin": "kept"}
    mirror = {"type": "mirror", "volatile": False, "mirror_url": "https://u:hidden@mirrors.aliyun.com/x"}
    devpi.users["alice"] = {"username": "alice", "indexes": {"dev": stage, "m": mirror}}


def test_create(devpi: FakeDevpi, run: Run) -> None:
    options = {"name": "alice/new", "bases": ["alice/dev"], "title": "T", "settings": {"plugin": "x"}}
    expected = {"bases": ["alice/dev"], "plugin": "x", "title": "T", "type": "stage"}
    check = run(devpi_index, check_mode=True, **options)
    assert devpi.written == []
    result = run(devpi_index, **options)
    for seen in (check, result):
        assert seen["changed"]
        assert seen["changes"] == ["create index alice/new"]
        assert seen["server_version"] == "6.20.3"
        header = "index alice/new"
        assert seen["diff"] == [
            {"before_header": header, "after_header": header, "before": "", "after": expected},
        ]
    assert devpi.users["alice"]["indexes"]["new"] == {"volatile": True, **expected}
    again = run(devpi_index, **options)
    assert (again["changed"], again["changes"], again["diff"]) == (False, [], [])


def test_update_sends_the_whole_configuration(devpi: FakeDevpi, run: Run) -> None:
    result = run(devpi_index, name="alice/dev", title="T", acl_upload=["bob"])
    assert result["changes"] == ["update index alice/dev (acl_upload, title)"]
    whole = {"type": "stage", "volatile": True, "bases": [], "plugin": "kept", "acl_upload": ["bob"], "title": "T"}
    assert devpi.bodies[-1] == whole


def test_one_login_and_one_request_decide(devpi: FakeDevpi, run: Run) -> None:
    assert not run(devpi_index, name="alice/dev", acl_upload=["alice"])["changed"]
    assert devpi.seen == [("POST", "/+login"), ("GET", "/")]


def test_words_of_devpi_7_on_6(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_index, name="alice/n", type="remote", remote_url=URL)
    assert devpi.users["alice"]["indexes"]["n"] == {"volatile": True, "type": "mirror", "mirror_url": URL}


def test_words_of_devpi_6_on_7(devpi: FakeDevpi, run: Run) -> None:
    devpi.version = "7.0.0b4"
    run(devpi_index, name="alice/n", type="mirror", mirror_url=URL)
    assert devpi.users["alice"]["indexes"]["n"] == {"volatile": True, "type": "remote", "remote_url": URL}
    run(devpi_index, name="alice/s", mirror_whitelist=["*"])
    expected = {"volatile": True, "type": "local", "project_inheritance_rules": ["allow all"]}
    assert devpi.users["alice"]["indexes"]["s"] == expected
    refused = run(devpi_index, name="alice/n", mirror_ignore_serial_header=True)
    assert refused["msg"].startswith("mirror_ignore_serial_header: devpi 7 has no such setting.")


def test_devpi_7_keeps_single_projects_of_a_whitelist_at_the_projects(devpi: FakeDevpi, run: Run) -> None:
    devpi.version = "7.0.0b4"
    allowed = {"inheritance_rules": ["allow all"]}
    result = run(devpi_index, name="alice/s", mirror_whitelist=["Foo_Bar", "released"])
    assert result["diff"][0]["after"]["mirror_whitelist"] == ["foo-bar", "released"]
    assert "mirror_whitelist" not in devpi.users["alice"]["indexes"]["s"]
    assert devpi.rules == {"alice/s/foo-bar": allowed, "alice/s/released": allowed}
    refused = run(devpi_index, name="alice/s", state="absent")
    assert refused["msg"].startswith("Index 'alice/s' holds uploads (released), which would be lost")
    assert not run(devpi_index, name="alice/s", mirror_whitelist=["released", "foo-bar"])["changed"]
    devpi.rules["alice/s/other"] = {}
    devpi.uploads["alice/s"].append("other")
    result = run(devpi_index, check_mode=True, name="alice/s", mirror_whitelist=["other"])
    assert result["changes"] == ["update index alice/s (mirror_whitelist)"]
    assert run(devpi_index, name="alice/s", mirror_whitelist=["other"])["diff"] == result["diff"]
    assert result["diff"][0]["before"]["mirror_whitelist"] == ["foo-bar", "released"]
    # What has no versions is there for its rule only; without the rule, its name would be reserved.
    assert devpi.rules == {"alice/s/released": {}, "alice/s/other": allowed}
    assert devpi.uploads["alice/s"] == ["released", "other"]
    assert run(devpi_index, name="alice/s", mirror_whitelist=[])["changed"]
    assert devpi.rules == {"alice/s/released": {}}
    devpi.seen.clear()
    rule = ["block type:remote if local_exists"]
    assert not run(devpi_index, name="alice/s", project_inheritance_rules=rule)["changed"]
    assert devpi.seen == [("POST", "/+login"), ("GET", "/")]


def test_credentials_of_a_mirror_are_not_shown(devpi: FakeDevpi, run: Run) -> None:
    result = run(devpi_index, name="alice/m", mirror_url="https://u:other-hidden@mirrors.aliyun.com/x")
    assert result["changed"]
    assert devpi.users["alice"]["indexes"]["m"]["mirror_url"] == "https://u:other-hidden@mirrors.aliyun.com/x"
    assert "hidden" not in str(result)
    diff = result["diff"][0]
    assert diff["before"]["mirror_url"] != diff["after"]["mirror_url"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "dev"}, "name: 'dev' is no index; write user/index, such as alice/dev"),
        ({"name": "bob/dev"}, "Index 'bob/dev' needs the user 'bob', who does not exist: create the user first."),
        ({"name": "alice/new", "bases": ["a/b"]}, "bases: index 'a/b' is neither declared nor on the server"),
        (
            {"name": "alice/dev", "bases": ["alice/dev"]},
            "bases: the bases go round in a circle: alice/dev -> alice/dev",
        ),
        ({"name": "alice/new", "type": "mirror"}, "mirror_url: a mirror needs one"),
        ({"name": "alice/dev", "mirror_url": URL}, "mirror_url: only a mirror has mirror_url, but no type is written"),
        ({"name": "alice/dev", "type": "mirror", "mirror_url": URL}, "is a stage on the server, and devpi cannot make"),
        ({"name": "alice/m", "mirror_cache_expiry": 0}, "mirror_cache_expiry: 0 is not allowed, because"),
        (
            {"name": "alice/m", "state": "absent"},
            "Index 'alice/m' is protected from deletion (volatile: false): write f",
        ),
    ],
)
def test_refused_before_anything_is_written(
    devpi: FakeDevpi, run: Run, options: dict[str, object], expected: str
) -> None:
    for check_mode in (True, False):
        result = run(devpi_index, check_mode=check_mode, **options)
        assert result["failed"]
        assert expected in result["msg"]
    assert devpi.written == []


def test_a_mirror_that_lost_its_url_is_refused(devpi: FakeDevpi, run: Run) -> None:
    del devpi.users["alice"]["indexes"]["m"]["mirror_url"]
    result = run(devpi_index, name="alice/m", title="T")
    assert result["msg"].startswith("Mirror 'alice/m' has no mirror_url, and devpi-server dies of that")


def test_circle_through_an_index_on_the_server(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"]["indexes"]["prod"] = {"type": "stage", "volatile": True, "bases": ["alice/dev"]}
    result = run(devpi_index, name="alice/dev", bases=["alice/prod"])
    assert result["msg"] == "The bases go round in a circle: alice/dev -> alice/prod -> alice/dev."


def test_a_dangling_base_on_the_server_is_told(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"]["indexes"]["dev"]["bases"] = ["gone/index"]
    result = run(devpi_index, name="alice/dev", title="T")
    assert result["msg"].startswith("Index 'alice/dev' has the base 'gone/index', which is neither declared nor on")
    assert run(devpi_index, name="alice/dev", title="T", bases=[])["changed"]


def test_absent(devpi: FakeDevpi, run: Run) -> None:
    options = {"name": "alice/dev", "state": "absent"}
    assert run(devpi_index, check_mode=True, **options)["changes"] == ["delete index alice/dev"]
    assert "dev" in devpi.users["alice"]["indexes"]
    result = run(devpi_index, **options)
    assert (result["diff"][0]["before"]["acl_upload"], result["diff"][0]["after"]) == (["alice"], "")
    assert "dev" not in devpi.users["alice"]["indexes"]
    assert not run(devpi_index, **options)["changed"]


def test_absent_with_uploads_needs_force(devpi: FakeDevpi, run: Run) -> None:
    devpi.uploads["alice/dev"] = ["one", "two"]
    result = run(devpi_index, name="alice/dev", state="absent")
    assert result["msg"] == (
        "Index 'alice/dev' holds uploads (one, two), which would be lost: write force: true to delete it with them."
    )
    assert run(devpi_index, name="alice/dev", state="absent", force=True)["changed"]
    assert devpi.written == [("DELETE", "/alice/dev")]


def test_absent_of_a_protected_index_with_force(devpi: FakeDevpi, run: Run) -> None:
    run(devpi_index, name="alice/m", state="absent", force=True)
    assert devpi.written == [("PATCH", "/alice/m"), ("DELETE", "/alice/m")]


def test_absent_of_a_base_is_refused(devpi: FakeDevpi, run: Run) -> None:
    devpi.users["alice"]["indexes"]["prod"] = {"type": "stage", "volatile": True, "bases": ["alice/dev"]}
    result = run(devpi_index, name="alice/dev", state="absent", force=True)
    assert result["msg"].startswith("Index 'alice/dev' cannot be deleted: it is a base of 'alice/prod', which stays.")


def test_password_from_a_file(devpi: FakeDevpi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("rootpw\nsecond line\n", encoding="utf-8")
    options = {"name": "alice/dev", "login_password": "wrong", "login_password_file": str(file)}
    assert run(devpi_index, title="T", **options)["changed"]
    file.write_text("\n", encoding="utf-8")
    assert f"login_password_file: the first line of {file} is empty" in run(devpi_index, **options)["msg"]
    file.unlink()
    assert (
        f"login_password_file: {file} cannot be read on this host (No such file" in run(devpi_index, **options)["msg"]
    )


def test_connection_from_the_environment(devpi: FakeDevpi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVPI_URL", devpi.url)
    monkeypatch.setenv("DEVPI_USER", "root")
    monkeypatch.setenv("DEVPI_PASSWORD", "rootpw")
    assert run(devpi_index, name="alice/dev", title="T", url=None, login_password=None)["changed"]


def test_no_password(run: Run) -> None:
    result = run(devpi_index, name="alice/dev", login_password=None)
    assert result["msg"] == "No password: write login_password_file or login_password, or set DEVPI_PASSWORD."


def test_wrong_url(run: Run) -> None:
    assert run(devpi_index, name="alice/dev", url="localhost")["msg"].startswith("url: 'localhost' is no URL")
