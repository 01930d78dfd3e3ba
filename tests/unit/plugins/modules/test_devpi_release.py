# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_release: what it sends, and what it tells."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import PROGRESS_FILE
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_release
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import Handler, Run, serving
from ansible_collections.wheelhouse.devpi.tests.unit.fake_releases import FakeReleases, make_wheel, zipped

A, B = "a-1.0-py3-none-any.whl", "b-1.0-py3-none-any.whl"
PAGE = {"index.html": "<html>proof</html>", "_static/a.css": ""}


@pytest.fixture(name="devpi")
def _devpi() -> Iterator[FakeReleases]:
    """A server that takes the place of that for the other modules."""
    with serving(FakeReleases()) as fake:
        assert isinstance(fake, FakeReleases)
        yield fake


@pytest.fixture(name="house")
def _house(tmp_path: Path) -> Path:
    """A folder with two wheels."""
    make_wheel(tmp_path / "house", "a", "1.0")
    make_wheel(tmp_path / "house", "b", "1.0")
    return tmp_path / "house"


def uploads(devpi: FakeReleases) -> list[str]:
    """Return what was uploaded, in the order of its arrival."""
    return [body["content"][0] for body in devpi.bodies if body and "content" in body]


def refused(devpi: FakeReleases, run: Run, **options: Any) -> str:
    """Return why options are refused, in check mode and without it, with nothing written."""
    messages = {str(run(devpi_release, check_mode=check_mode, **options)["msg"]) for check_mode in (True, False)}
    assert devpi.written == []
    (message,) = messages
    return message


@pytest.mark.parametrize("tells_hashes", [True, False])
def test_folder(devpi: FakeReleases, run: Run, house: Path, tells_hashes: bool) -> None:
    devpi.tells_hashes = tells_hashes
    options = {"index": "team/dev", "files": [str(house)]}
    check = run(devpi_release, check_mode=True, **options)
    assert devpi.written == []
    result = run(devpi_release, **options)
    for seen in (check, result):
        assert seen["changed"]
        assert seen["changes"] == [f"upload file team/dev/{A}", f"upload file team/dev/{B}"]
        assert seen["msg"] == "team/dev: 2 files uploaded, 0 already there."
        assert seen["diff"][0] == {
            "before_header": f"file team/dev/{A}",
            "after_header": f"file team/dev/{A}",
            "before": "",
            "after": {"sha256": hashlib.sha256((house / A).read_bytes()).hexdigest()},
        }
    assert devpi.releases["team/dev"]["a"]["1.0"] == {A: (house / A).read_bytes()}
    assert devpi.serial == result["serial"] == 2
    fields = next(body for body in devpi.bodies if body and body.get("name") == "a")
    assert (fields[":action"], fields["version"], fields["metadata_version"]) == ("file_upload", "1.0", "2.1")
    again = run(devpi_release, **options)
    assert (again["changed"], again["changes"], again["diff"]) == (False, [], [])
    assert (again["msg"], again["already_there"]) == ("team/dev: 2 already there.", 2)


def test_one_request_a_project_and_few_connections(devpi: FakeReleases, run: Run, house: Path) -> None:
    for number in range(2, 7):
        make_wheel(house, "a", f"{number}.0")
    run(devpi_release, index="team/dev", files=[str(house)])
    devpi.seen.clear()
    devpi.connections = 0
    assert run(devpi_release, index="team/dev", files=[str(house)], jobs=2)["already_there"] == 7
    expected = [("POST", "/+login"), ("GET", "/team/dev?no_projects="), ("GET", "/team/dev")]
    expected += [("GET", f"/team/dev/{project}?ignore_bases=") for project in ("a", "b")]
    assert sorted(devpi.seen) == sorted(expected)
    assert devpi.connections <= 2


def test_nothing_is_asked_of_projects_that_the_index_has_not(devpi: FakeReleases, run: Run, house: Path) -> None:
    run(devpi_release, check_mode=True, index="team/dev", files=[str(house)])
    assert [path for _method, path in devpi.seen] == ["/+login", "/team/dev?no_projects=", "/team/dev"]


def test_only_what_is_missing_is_sent(devpi: FakeReleases, run: Run, house: Path) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: (house / A).read_bytes()}}
    # The file is there already, so its content is nobody's business.
    result = run(devpi_release, index="team/dev", files=[str(house), str(house / A), str(house / B)])
    assert result["msg"] == "team/dev: 1 file uploaded, 1 already there."
    assert uploads(devpi) == [B]


@pytest.mark.parametrize("tells_hashes", [True, False])
def test_other_content(devpi: FakeReleases, run: Run, house: Path, tells_hashes: bool) -> None:
    devpi.tells_hashes = tells_hashes
    for index in ("dev", "prod"):
        devpi.releases[f"team/{index}"]["a"] = {"1.0": {A: b"other"}}
    message = refused(devpi, run, index="team/prod", files=[str(house)])
    there, here = hashlib.sha256(b"other").hexdigest(), hashlib.sha256((house / A).read_bytes()).hexdigest()
    assert message == (
        f"{house / A}: team/prod has another file of that name (SHA-256 {there[:16]}…, not {here[:16]}…), and is not "
        "volatile, so it stays; raise the version, or take the file out."
    )
    result = run(devpi_release, index="team/dev", files=[str(house)])
    assert result["changes"] == [f"replace file team/dev/{A}", f"upload file team/dev/{B}"]
    assert result["msg"] == "team/dev: 1 file replaced, 1 file uploaded, 0 already there."
    assert result["diff"][0]["before"]["sha256"] == (there if tells_hashes else there[:16])
    assert devpi.releases["team/dev"]["a"]["1.0"][A] == (house / A).read_bytes()


def test_everything_is_checked_before_the_first_upload(devpi: FakeReleases, run: Run, house: Path) -> None:
    (house / "cut-1.0-py3-none-any.whl").write_bytes(b"PK")
    make_wheel(house, "other", "1.0", "renamed-1.0-py3-none-any.whl")
    (house / "strange.whl").touch()
    make_wheel(house.parent / "twin", "a", "1.0", Summary="another")
    message = refused(devpi, run, index="team/dev", files=[str(house), str(house.parent / "twin"), "/nonexistent"])
    for part in (
        "cut-1.0-py3-none-any.whl: is damaged",
        "renamed-1.0-py3-none-any.whl: its metadata says Name: other",
        "strange.whl: its name is not that of a distribution",
        f"twin/{A} have one name and differ; take the wrong one out of files.",
        "files: /nonexistent is neither a file nor a folder on this host; copy it there first.",
    ):
        assert message.count(part) == 1


def test_upload_that_fails_in_the_middle(devpi: FakeReleases, run: Run, house: Path) -> None:
    make_wheel(house, "c", "1.0")

    def lose(handler: Handler) -> None:
        handler.close_connection = True

    # The login, two requests for the index, and the first upload are answered.
    devpi.mischief = [None, None, None, None, lose]
    options = {"index": "team/dev", "files": [str(house)]}
    result = run(devpi_release, **options, jobs=1)
    assert result["failed"]
    assert result["changes"] == [f"upload file team/dev/{A}"]
    assert result["pending"] == [f"upload file team/dev/{name}" for name in (B, "c-1.0-py3-none-any.whl")]
    assert result["msg"].startswith(f"Could not upload file team/dev/{B}: {devpi.url} closed the connection without a")
    assert "Run it again once the cause is gone: it goes on from here." in result["msg"]
    assert devpi.releases["team/dev"].keys() == {"a"}
    assert run(devpi_release, **options)["changes"] == result["pending"]
    assert devpi.releases["team/dev"].keys() == {"a", "b", "c"}


def test_file_that_goes_away_in_the_middle(devpi: FakeReleases, run: Run, house: Path) -> None:
    def remove(handler: Handler) -> None:
        (house / B).unlink()
        handler.reply(200, "")

    devpi.mischief = [None, None, None, remove]
    result = run(devpi_release, index="team/dev", files=[str(house)], jobs=1)
    assert result["msg"].startswith(
        f"Could not upload file team/dev/{B}: {house / B} cannot be read on this host (No such file or directory)."
    )
    assert (result["changes"], result["pending"]) == ([f"upload file team/dev/{A}"], [f"upload file team/dev/{B}"])


@pytest.mark.parametrize(
    ("status", "text", "kind", "expected"),
    [
        (413, "<html>Too large</html>", "text/html", "refuses an upload of that size (413): raise the limit"),
        (
            500,
            "Internal Server Error (generated by waitress)",
            "text/plain",
            "see its journal, and whether its disk is",
        ),
        (409, '{"message": "\\n", "title": "already there"}', "application/json", "failed (409): already there"),
        (502, "<html>Bad Gateway</html>", "text/html", "answered 502: devpi-server behind it does not run"),
    ],
)
def test_upload_that_is_refused(
    devpi: FakeReleases, run: Run, house: Path, status: int, text: str, kind: str, expected: str
) -> None:
    devpi.mischief = [None, None, None, lambda handler: handler.reply(status, text, kind)]
    result = run(devpi_release, index="team/dev", files=[str(house / A)])
    assert expected in result["msg"]
    assert (result["changes"], result["pending"]) == ([], [f"upload file team/dev/{A}"])


def test_nothing_begins_after_a_failure(devpi: FakeReleases, run: Run, house: Path) -> None:
    for number in range(20):
        make_wheel(house, f"z{number:02}", "1.0")
    zipped(house.parent / "docs.zip", PAGE)
    devpi.mischief = [None, None, None] + [lambda handler: handler.reply(500, "waitress", "text/plain")] * 2
    options = {"index": "team/dev", "files": [str(house)], "jobs": 2}
    documentation = {"documentation": str(house.parent / "docs.zip"), "project": "a", "version": "1.0"}
    result = run(devpi_release, **options, **documentation)
    assert len(uploads(devpi)) < 23
    assert len(result["changes"]) + len(result["pending"]) == 23
    assert result["pending"][-1] == "upload documentation team/dev/a/1.0"
    # A sentence with a thousand files in it helps nobody.
    assert result["msg"].count("upload file") <= 21
    # Where the first failure was known before the second upload began, one is left.
    devpi.mischief.clear()
    assert run(devpi_release, **options, **documentation)["changes"] == sorted(
        result["pending"], key=lambda change: ("documentation" in change, change)
    )


def test_many_at_a_time(devpi: FakeReleases, run: Run, house: Path) -> None:
    for number in range(40):
        make_wheel(house, f"z{number}", "1.0")
    result = run(devpi_release, index="team/dev", files=[str(house)], jobs=8)
    assert len(result["changes"]) == len(devpi.releases["team/dev"]) == 42
    assert 2 <= devpi.connections <= 9


def test_who_may_upload(devpi: FakeReleases, run: Run, house: Path) -> None:
    devpi.passwords["bob"] = "bobpw"
    options = {"index": "team/dev", "files": [str(house)], "login_user": "bob", "login_password": "bobpw"}
    assert refused(devpi, run, **options) == (
        "User 'bob' may not upload to 'team/dev': its acl_upload is [root]. Write one of them as login_user, or let "
        "devpi_index add the user."
    )
    # Who is in a group knows the server alone.
    devpi.users["team"]["indexes"]["dev"]["acl_upload"] = [":developers"]
    result = run(devpi_release, **options)
    assert f"User 'bob' may not do this (POST {devpi.url}/team/dev/). Log in as the owner, as one of" in result["msg"]
    devpi.users["team"]["indexes"]["dev"]["acl_upload"] = ["bob"]
    assert run(devpi_release, **options)["changed"]


def test_documentation(devpi: FakeReleases, run: Run, house: Path, tmp_path: Path) -> None:
    html = tmp_path / "html"
    for name, text in {**PAGE, ".doctrees/x": "x"}.items():
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).write_text(text, encoding="utf-8")
    options = {"index": "team/dev", "documentation": str(html), "project": "A", "version": "1"}
    assert refused(devpi, run, **options) == (
        "documentation: team/dev has no release a 1; upload its files first, or correct project and version."
    )
    both = {**options, "files": [str(house / A)]}
    expected = [f"upload file team/dev/{A}", "upload documentation team/dev/a/1.0"]
    assert run(devpi_release, check_mode=True, **both)["changes"] == expected
    assert run(devpi_release, **both)["changes"] == expected
    assert uploads(devpi) == [A, "a-1.0.doc.zip"]
    assert (devpi.bodies[-1][":action"], devpi.bodies[-1]["name"], devpi.bodies[-1]["version"]) == (
        "doc_upload",
        "a",
        "1.0",
    )
    stored = tmp_path / "stored.zip"
    stored.write_bytes(devpi.releases["team/dev"]["a"]["1.0"]["doc.zip"])
    with zipfile.ZipFile(stored) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == PAGE
    assert not run(devpi_release, **both)["changed"]
    devpi.seen.clear()
    assert not run(devpi_release, **options)["changed"]
    assert not [path for _method, path in devpi.seen if "+f" in path]
    # Something else zips in another order, with other dates; the content counts.
    zipped(tmp_path / "same.zip", dict(reversed(PAGE.items())))
    assert not run(devpi_release, **{**options, "documentation": str(tmp_path / "same.zip")})["changed"]
    zipped(tmp_path / "other.zip", {**PAGE, "index.html": "second edition"})
    other = {**options, "documentation": str(tmp_path / "other.zip")}
    assert run(devpi_release, **other)["changes"] == ["replace documentation team/dev/a/1.0"]
    assert devpi.releases["team/dev"]["a"]["1.0"]["doc.zip"] == (tmp_path / "other.zip").read_bytes()


def test_documentation_that_must_stay(devpi: FakeReleases, run: Run, tmp_path: Path) -> None:
    old = zipped(tmp_path / "old.zip", PAGE)
    new = zipped(tmp_path / "new.zip", {"index.html": "new"})
    devpi.releases["team/prod"]["a"] = {"1.0": {A: b"", "doc.zip": old.read_bytes()}}
    options = {"index": "team/prod", "project": "a", "version": "1.0"}
    message = refused(devpi, run, **options, documentation=str(new))
    assert message.startswith("documentation: team/prod has other documentation of a 1.0, and is not volatile, so")
    assert not run(devpi_release, **options, documentation=str(old))["changed"]
    message = refused(devpi, run, **{**options, "version": "2"}, documentation=str(old))
    assert "has no release a 2 (it has 1.0); upload its files first" in message


def test_documentation_without_a_first_page(devpi: FakeReleases, run: Run, tmp_path: Path) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b""}}
    options = {"index": "team/dev", "project": "a", "version": "1.0"}
    message = refused(devpi, run, **options, documentation=str(zipped(tmp_path / "x.zip", {"html/index.html": ""})))
    assert message.startswith(f"documentation: {tmp_path}/x.zip has no index.html at its top, which devpi-web shows")
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert "x.zip: is damaged" in refused(devpi, run, **options, documentation=str(tmp_path / "x.zip"))
    message = refused(devpi, run, **options, documentation=str(tmp_path / "none.zip"))
    assert message == f"documentation: {tmp_path}/none.zip cannot be read on this host (No such file or directory)."


PROMOTED = {"index": "team/dev", "state": "promoted", "target": "team/prod", "project": "a", "version": "1.0"}


def test_promoted(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1", "a-1.0.tar.gz": b"2", "doc.zip": b"3"}, "2.0": {}}
    expected = ["promote release team/dev/a/1.0 to team/prod"]
    check = run(devpi_release, check_mode=True, **PROMOTED)
    assert devpi.written == []
    result = run(devpi_release, **PROMOTED)
    for seen in (check, result):
        assert (seen["changes"], seen["msg"]) == (expected, "team/dev: 1 release promoted.")
        assert seen["diff"][0]["before"] == ""
        assert sorted(seen["diff"][0]["after"]) == [A, "a-1.0.tar.gz", "documentation"]
    assert devpi.written == [("POST", "/team/dev")]
    assert devpi.releases["team/prod"]["a"] == {"1.0": devpi.releases["team/dev"]["a"]["1.0"]}
    again = run(devpi_release, **PROMOTED)
    assert (again["changed"], again["msg"]) == (False, "team/dev: nothing to do.")


def test_promote_documentation_that_came_later(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1", "doc.zip": b"3"}}
    devpi.releases["team/prod"]["a"] = {"1.0": {A: b"1"}}
    assert run(devpi_release, **PROMOTED)["changes"] == ["promote documentation team/dev/a/1.0 to team/prod"]
    assert devpi.bodies[-1]["only_docs"]
    assert not run(devpi_release, **PROMOTED)["changed"]


def test_promote_files_where_the_documentation_is_already(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1", "doc.zip": b"3"}}
    devpi.releases["team/prod"]["a"] = {"1.0": {"doc.zip": b"3"}}
    assert run(devpi_release, **PROMOTED)["changes"] == ["promote release team/dev/a/1.0 to team/prod"]
    assert devpi.bodies[-1]["no_docs"]
    assert not run(devpi_release, **PROMOTED)["changed"]


def test_promote_other_content(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1", "doc.zip": b"3"}}
    devpi.releases["team/prod"]["a"] = {"1.0": {A: b"2", "doc.zip": b"4"}}
    for force in (False, True):
        assert refused(devpi, run, **PROMOTED, force=force) == (
            f"team/prod has another {A}, a-1.0.doc.zip than team/dev, so nothing is promoted: it is not volatile; "
            "raise the version and promote that one."
        )
    devpi.users["team"]["indexes"]["prod"]["volatile"] = True
    assert refused(devpi, run, **PROMOTED).endswith("so nothing is promoted: write force: true to replace it.")
    assert run(devpi_release, **PROMOTED, force=True)["changed"]
    assert devpi.releases["team/prod"] == devpi.releases["team/dev"]
    assert not run(devpi_release, **PROMOTED)["changed"]


def test_promote_a_file_that_came_later(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1", "a-1.0.tar.gz": b"2"}}
    devpi.releases["team/prod"]["a"] = {"1.0": {A: b"1"}}
    message = refused(devpi, run, **PROMOTED)
    assert message.startswith("team/prod has some files of a 1.0 already, but not a-1.0.tar.gz, and devpi copies to an")
    devpi.users["team"]["indexes"]["prod"]["volatile"] = True
    assert run(devpi_release, **PROMOTED)["changed"]
    assert devpi.releases["team/prod"] == devpi.releases["team/dev"]


def test_promote_to_an_index_of_others(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b"1"}}
    devpi.users["team"]["indexes"]["prod"]["acl_upload"] = ["alice", "bob"]
    assert refused(devpi, run, **PROMOTED).startswith(
        "User 'root' may not upload to 'team/prod': its acl_upload is [alice, bob]."
    )


def test_absent(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"1.0": {A: b""}, "1.0+cu128": {}, "2.0": {}}
    options = {"index": "team/dev", "state": "absent", "project": "A"}
    for version, found in (("1.0.0", "1.0"), ("1.0+cu128", "1.0+cu128")):
        expected = [f"delete release team/dev/a/{found}"]
        assert run(devpi_release, check_mode=True, **options, version=version)["changes"] == expected
        assert found in devpi.releases["team/dev"]["a"]
        assert run(devpi_release, **options, version=version)["changes"] == expected
        assert found not in devpi.releases["team/dev"]["a"]
        assert not run(devpi_release, **options, version=version)["changed"]
    result = run(devpi_release, **options)
    assert (result["changes"], result["msg"]) == (["delete project team/dev/a"], "team/dev: 1 project deleted.")
    assert result["diff"][0]["before"] == {"2.0": []}
    assert not run(devpi_release, **options)["changed"]
    assert devpi.written == [
        ("DELETE", "/team/dev/a/1.0"),
        ("DELETE", "/team/dev/a/1.0%2Bcu128"),
        ("DELETE", "/team/dev/a"),
    ]


def test_absent_from_an_index_that_is_not_volatile(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/prod"]["a"] = {"1.0": {A: b""}}
    options = {"index": "team/prod", "state": "absent", "project": "a", "version": "1.0"}
    assert refused(devpi, run, **options) == (
        "team/prod/a/1.0 is protected from deletion, because team/prod is not volatile: write force: true."
    )
    assert not run(devpi_release, **{**options, "version": "2.0"})["changed"]
    assert run(devpi_release, **options, force=True)["changed"]
    assert devpi.written == [("DELETE", "/team/prod/a/1.0?force=")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"index": "dev"}, "index: 'dev' is no index; write user/index, such as alice/dev"),
        ({"index": "team/none", "files": ["/x"]}, "index: there is no index 'team/none' at http://127.0.0.1:"),
        ({"index": "root/pypi", "files": ["/x"]}, "index: 'root/pypi' is a mirror, which has no releases of its own"),
        ({"index": "team/dev"}, "files: there is nothing to upload; write files, documentation, or both."),
        ({"index": "team/dev", "files": ["/x"], "jobs": 0}, "jobs: 0 is not allowed; write 1 or more."),
        ({"index": "team/dev", "files": ["/x"], "project": "a"}, "they say whose documentation it is; write"),
        ({"index": "team/dev", "documentation": "/x", "version": "1"}, "project: state present needs it; write one."),
        ({"index": "team/dev", "state": "absent"}, "project: state absent needs it; write one."),
        ({"index": "team/dev", "state": "absent", "project": "a", "files": ["/x"]}, "files: it means nothing with"),
        ({"index": "team/dev", "files": ["/x"], "target": "a/b"}, "target: it means nothing with state present"),
        ({**PROMOTED, "target": None}, "target: state promoted needs it; write one."),
        ({**PROMOTED, "target": "prod"}, "target: 'prod' is no index; write user/index"),
        ({**PROMOTED, "target": "team/dev"}, "target: 'team/dev' is the index itself; name another one."),
        ({**PROMOTED, "target": "team/none"}, "target: there is no index 'team/none' at"),
        ({**PROMOTED, "target": "root/pypi"}, "target: 'root/pypi' is a mirror"),
        (PROMOTED, "team/dev has no release a 1.0 with files; correct project or version, or upload it first."),
        ({**PROMOTED, "version": 1.1}, 'version: 1.1 is a number, which may be another one than was written; write "'),
        ({**PROMOTED, "version": ["1"]}, "version: write one version, in quotes."),
        ({"index": "team/dev", "files": ["/x"], "login_password": None}, "No password: write login_password_file"),
    ],
)
def test_refused(devpi: FakeReleases, run: Run, options: dict[str, Any], expected: str) -> None:
    assert expected in refused(devpi, run, **options)


def test_whole_number_as_a_version(devpi: FakeReleases, run: Run) -> None:
    devpi.releases["team/dev"]["a"] = {"2024": {}, "2025": {}}
    run(devpi_release, index="team/dev", state="absent", project="a", version=2024)
    assert devpi.releases["team/dev"]["a"].keys() == {"2025"}


def test_progress_is_told_file_by_file(
    devpi: FakeReleases, run: Run, house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = tmp_path / "progress"
    monkeypatch.setenv(PROGRESS_FILE, str(progress))
    run(devpi_release, index="team/dev", files=[str(house)], jobs=1)
    assert uploads(devpi) == [A, B]
    assert progress.read_text(encoding="utf-8").splitlines() == [
        "1 of 2 files compared",
        "2 of 2 files compared",
        "1 of 2 files checked",
        "2 of 2 files checked",
        f"1 of 2: upload file team/dev/{A}",
        f"2 of 2: upload file team/dev/{B}",
    ]


def test_progress_that_cannot_be_written_stops_nothing(
    devpi: FakeReleases, run: Run, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRESS_FILE, "/dev/full")
    assert run(devpi_release, index="team/dev", files=[str(house)])["changed"]
    assert sorted(uploads(devpi)) == [A, B]
