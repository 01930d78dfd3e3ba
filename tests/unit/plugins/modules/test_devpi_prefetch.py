# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module devpi_prefetch: what it lets an index fetch, and what it tells."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _prefetch
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import CheckModeLockError, Client
from ansible_collections.wheelhouse.devpi.plugins.module_utils._progress import PROGRESS_FILE
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_prefetch
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._lockfile import plan
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import Handler, Run, serving
from ansible_collections.wheelhouse.devpi.tests.unit.fake_mirror import FakeMirror, sha256

A, B, C = "a-1.0-py3-none-any.whl", "b-2.0-cp312-cp312-win_amd64.whl", "b-2.0.tar.gz"


@pytest.fixture(name="devpi")
def _devpi() -> Iterator[FakeMirror]:
    """A server that takes the place of that for the other modules."""
    with serving(FakeMirror()) as fake:
        assert isinstance(fake, FakeMirror)
        fake.upstream = {"a": {A: b"wheel of a"}, "b": {B: b"wheel of b", C: b"source of b"}}
        yield fake


@pytest.fixture(name="lock")
def _lock(tmp_path: Path) -> Path:
    """Names all that the upstream has."""
    path = tmp_path / "requirements.txt"
    path.write_text("a==1.0\nb==2.0\n", encoding="utf-8")
    return path


def options(path: Path, text: str | None = None, **more: Any) -> dict[str, Any]:
    """Return options of the module as its action plugin gives them, with a lock of this text. No password is needed."""
    if text is not None:
        path.write_text(text, encoding="utf-8")
    lock = plan(str(path), more.get("environments"), lambda name: Path(name).read_bytes())
    return {"index": "root/pypi", "path": str(path), "login_password": None, "_lock": lock, **more}


def refused(devpi: FakeMirror, run: Run, **wanted: Any) -> str:
    """Return why something is refused, in check mode and without it, with nothing fetched."""
    results = [run(devpi_prefetch, check_mode=check_mode, **wanted) for check_mode in (True, False)]
    assert [(result.get("failed"), result["changed"]) for result in results] == [(True, False)] * 2
    assert devpi.fetched == []
    (message,) = {str(result["msg"]) for result in results}
    return message


@pytest.mark.parametrize("index", ["root/pypi", "team/dev"])
def test_what_is_not_cached_is_fetched_once(devpi: FakeMirror, run: Run, lock: Path, index: str) -> None:
    wanted = options(lock, index=index, jobs=1)
    expected = [f"fetch file root/pypi/{name}" for name in (A, B, C)]
    check = run(devpi_prefetch, check_mode=True, **wanted)
    assert (devpi.fetched, devpi.serial) == ([], 0)
    result = run(devpi_prefetch, **wanted)
    for seen in (check, result):
        assert (seen["changed"], seen["changes"]) == (True, expected)
        assert seen["msg"] == f"{index}: 3 files fetched, 0 already there."
        assert seen["diff"][0] == {
            "before_header": f"file root/pypi/{A}",
            "after_header": f"file root/pypi/{A}",
            "before": "",
            "after": {"sha256": sha256(b"wheel of a")},
        }
    assert devpi.fetched == [A, B, C]
    assert result["serial"] == devpi.serial == 3
    again = run(devpi_prefetch, **wanted)
    assert (again["changed"], again["changes"], again["already_there"]) == (False, [], 3)
    assert devpi.fetched == [A, B, C]


def test_only_what_is_missing_is_fetched(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.cached = {A, C}
    result = run(devpi_prefetch, **options(lock))
    assert devpi.fetched == [B]
    assert result["msg"] == "root/pypi: 1 file fetched, 2 already there."


@pytest.mark.parametrize(("ranges", "size"), [(True, 10), (False, 10), (False, 3 << 20)])
def test_what_the_front_has_on_its_disk_is_not_read(
    devpi: FakeMirror, run: Run, lock: Path, ranges: bool, size: int
) -> None:
    devpi.upstream["a"][A] = b"x" * size
    devpi.cached, devpi.front, devpi.ranges = {A}, True, ranges
    result = run(devpi_prefetch, **options(lock))
    assert result["already_there"] == 1
    assert sorted(devpi.fetched) == [B, C]


def test_several_at_a_time(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.together = Barrier(3)
    assert run(devpi_prefetch, **options(lock, jobs=3))["changed"]
    assert sorted(devpi.fetched) == [A, B, C]


def test_hashes_choose_files(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.upstream["b"]["b-2.0.win32.exe"] = b"installer of b"
    hashes = " ".join(f"--hash=sha256:{sha256(content)}" for content in (b"source of b", b"installer of b"))
    run(devpi_prefetch, **options(lock, f"B == 2.0 {hashes}", jobs=1))
    assert devpi.fetched == ["b-2.0.tar.gz", "b-2.0.win32.exe"]


def test_versions_in_any_spelling_and_with_local_labels(devpi: FakeMirror, run: Run, lock: Path) -> None:
    names = ["t-1-py3-none-any.whl", "t-1.0+cpu-py3-none-any.whl", "t-1.0.1-py3-none-any.whl", "t-1.0.exe"]
    devpi.upstream["t"] = {name: name.encode() for name in names}
    result = run(devpi_prefetch, **options(lock, "t==1.0.0", jobs=1))
    assert result["changes"] == [f"fetch file root/pypi/{name}" for name in names[:2]]
    assert run(devpi_prefetch, check_mode=True, **options(lock, "t==1.0+CPU"))["already_there"] == 1


UV_LOCK = """
version = 1
supported-markers = ["sys_platform == 'linux'"]
[[package]]
name = "mine"
version = "0.1"
source = {{ editable = "." }}
[[package]]
name = "b"
version = "2.0"
source = {{ registry = "https://mirrors.example.org/simple" }}
sdist = {{ url = "https://mirrors.example.org/{source}", hash = "sha256:{digest}" }}
wheels = [ {{ url = "https://mirrors.example.org/{wheel}" }} ]
"""


def test_platforms_of_the_lock_and_of_the_option(devpi: FakeMirror, run: Run, tmp_path: Path) -> None:
    text = UV_LOCK.format(source=C, wheel=B, digest=sha256(b"source of b"))
    lock = tmp_path / "uv.lock"
    result = run(devpi_prefetch, **options(lock, text))
    assert devpi.fetched == [C]
    assert (result["other_platforms"], result["left_out"]) == (1, [])
    assert result["msg"] == "root/pypi: 1 file fetched, 0 already there, 1 for other platforms."
    windows = ["sys_platform == 'win32' and python_version >= '3.12'"]
    result = run(devpi_prefetch, **options(lock, environments=windows))
    assert devpi.fetched == [C, B]
    assert run(devpi_prefetch, **options(lock, environments=[]))["already_there"] == 2


def test_markers_of_requirements_count_where_environments_are_named(devpi: FakeMirror, run: Run, lock: Path) -> None:
    text = "a==1.0 ; sys_platform == 'darwin'\nb==2.0"
    result = run(devpi_prefetch, **options(lock, text, environments=["sys_platform == 'linux'"]))
    assert (devpi.fetched, result["other_platforms"]) == ([C], 2)


@pytest.mark.parametrize("digest", ["", sha256(b"wheel of m")])
def test_file_that_the_lock_spells_otherwise(devpi: FakeMirror, run: Run, tmp_path: Path, digest: str) -> None:
    devpi.upstream["m-s"] = {"M.s-1.0-py3-none-any.whl": b"wheel of m"}
    text = "lock-version = '1.0'\n[[packages]]\nname = 'm-s'\n"
    text += f"wheels = [{{name = 'm_s-1.0-py3-none-any.whl', hashes = {{sha256 = '{digest}'}}}}]\n"
    run(devpi_prefetch, **options(tmp_path / "pylock.toml", text))
    assert devpi.fetched == ["M.s-1.0-py3-none-any.whl"]


def test_what_no_index_can_have_is_named(devpi: FakeMirror, run: Run, lock: Path) -> None:
    result = run(devpi_prefetch, **options(lock, "a==1.0\n-e ../mine\nx @ git+https://u:pw@git.example.org/x"))
    assert result["msg"] == "root/pypi: 1 file fetched, 0 already there, 2 left out."
    assert result["left_out"] == [
        f"{lock}, line 2: -e ../mine",
        f"{lock}, line 3: x @ git+https://********@git.example.org/x",
    ]


def test_everything_is_compared_before_the_first_file(devpi: FakeMirror, run: Run, tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    wheels = [f"{{name = '{name}', hashes = {{sha256 = '{'0' * 64}'}}}}" for name in (B, "b-2.0-cp313-cp313-any.whl")]
    entries = [("a", "{name = '" + A + "', hashes = {}}"), ("none", "{name = 'n'}"), ("b", ",".join(wheels))]
    text = "lock-version = '1.0'\n"
    text += "".join(f"[[packages]]\nname = '{name}'\nwheels = [{listed}]\n" for name, listed in entries)
    assert refused(devpi, run, **options(lock, text)).split("\n") == [
        f"{lock}, none: root/pypi has no project none; name an index that has it, itself or by its bases.",
        f"{lock}, b: root/pypi has another {B} than the lock (SHA-256 {sha256(b'wheel of b')[:16]}…, not "
        f"{'0' * 16}…); find out which of them is right, and then make the lock anew or name another index.",
        f"{lock}, b: root/pypi has no file b-2.0-cp313-cp313-any.whl; name an index that has it, or make the lock "
        "anew from this one.",
    ]


def test_version_and_hash_that_the_index_has_not(devpi: FakeMirror, run: Run, lock: Path) -> None:
    text = f"a==2.0\nb==2.0 --hash=sha256:{sha256(b'source of b')} --hash=sha256:{'0' * 64}"
    assert refused(devpi, run, **options(lock, text)).split("\n") == [
        f"{lock}, line 1: root/pypi has no file of a 2.0; correct the version, or name an index that has it.",
        f"{lock}, line 2: root/pypi has no file of b 2.0 with the SHA-256 {'0' * 64}; name an index that has it, or "
        "make the lock anew from this one.",
    ]


def stopped(devpi: FakeMirror, run: Run, lock: Path, at: str, **more: Any) -> str:
    """Return why a run ends at a file, after it fetched those before. The next run fetches the rest."""
    result = run(devpi_prefetch, **options(lock, jobs=1, **more))
    assert result["failed"]
    there = [f"fetch file root/pypi/{name}" for name in (A, B, C)]
    first = there.index(f"fetch file root/pypi/{at}")
    assert (result["changes"], result["pending"]) == (there[:first], there[first:])
    assert result["changed"] == (first > 0)
    devpi.lies, devpi.keeps, devpi.mischief = {}, True, []
    assert run(devpi_prefetch, **options(lock, jobs=1))["changes"] == there[first:]
    assert devpi.cached == {A, B, C}
    return str(result["msg"])


def test_upstream_that_sends_another_file(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.lies = {B: b"another wheel"}
    assert stopped(devpi, run, lock, B).startswith(
        f"Could not fetch file root/pypi/{B}: the upstream of root/pypi sent another file (SHA-256 "
        f"{sha256(b'another wheel')[:16]}…, not {sha256(b'wheel of b')[:16]}…). Look at what it has"
    )


def test_upstream_without_hashes(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.hashless = {B, C}
    assert run(devpi_prefetch, **options(lock, "b==2.0"))["diff"][0]["after"]["sha256"].startswith("(not known")
    devpi.cached, devpi.lies = set(), {C: b"another source"}
    hashes = " ".join(f"--hash=sha256:{sha256(content)}" for content in devpi.upstream["b"].values())
    result = run(devpi_prefetch, **options(lock, f"b==2.0 {hashes}", jobs=1))
    assert result["changes"] == [f"fetch file root/pypi/{B}"]
    assert f"sent another file (SHA-256 {sha256(b'another source')[:16]}…, not " in result["msg"]


def test_upstream_that_breaks_off(devpi: FakeMirror, run: Run, lock: Path) -> None:
    def break_off(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)
        handler.close_connection = True

    # The index, two pages, three files that are not cached, the index again.
    devpi.mischief = [*[None] * 7, break_off]
    assert "broke off in the middle of an answer: devpi-server was stopped, or could not get the rest" in stopped(
        devpi, run, lock, A
    )


def test_upstream_that_breaks_off_early(devpi: FakeMirror, run: Run, lock: Path) -> None:
    def fail(handler: Handler) -> None:
        handler.reply(500, "Internal Server Error (generated by waitress)", "text/plain")

    devpi.mischief = [*[None] * 7, fail]
    assert "failed inside (500), as it does where an upstream breaks off or its disk" in stopped(devpi, run, lock, A)


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (404, "error 404 getting http://u:pw@x/a.whl", "answered 404 for http://********@x/a.whl: wait, or let"),
        (502, "error -1 getting http://x/a.whl", "does not answer for http://x/a.whl: wait, or let devpi_index take"),
        (403, "package read forbidden", "failed (403): package read forbidden"),
    ],
)
def test_upstream_that_has_nothing(
    devpi: FakeMirror, run: Run, lock: Path, status: int, said: str, expected: str
) -> None:
    def refuse(handler: Handler) -> None:
        handler.reply(status, json.dumps({"message": said}))

    devpi.mischief = [*[None] * 7, refuse]
    assert expected in stopped(devpi, run, lock, A)


def test_server_that_cannot_keep_a_file(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.keeps = False
    message = stopped(devpi, run, lock, A, timeout=1)
    assert "devpi-server sent the file but has not kept it within 1 s; see its journal, and whether its disk" in message


def test_upstream_that_is_down_when_a_page_is_due(devpi: FakeMirror, run: Run, lock: Path) -> None:
    def fail(handler: Handler) -> None:
        handler.reply(502, '{"message": "cannot get http://x/a/: no answer"}')

    devpi.mischief = [None, fail]
    result = run(devpi_prefetch, **options(lock, jobs=1))
    assert "failed (502): cannot get http://x/a/: no answer" in result["msg"]
    assert not result["changed"]


@pytest.mark.parametrize(
    ("version", "setting"), [("6.20.3", "mirror_use_external_urls"), ("7.0.0b4", "remote_use_external_urls")]
)
def test_mirror_that_keeps_no_files(devpi: FakeMirror, run: Run, lock: Path, version: str, setting: str) -> None:
    devpi.version = version
    devpi.users["root"]["indexes"]["pypi"][setting] = True
    assert refused(devpi, run, **options(lock, index="team/dev")) == (
        f"root/pypi keeps no files: clients fetch them from its mirror themselves. Write {setting}: false with "
        "devpi_index, or name another index."
    )
    devpi.cached = {A, B, C}
    assert not run(devpi_prefetch, **options(lock))["changed"]


def test_login_only_where_a_password_is_given(devpi: FakeMirror, run: Run, lock: Path) -> None:
    run(devpi_prefetch, **options(lock))
    assert ("POST", "/+login") not in devpi.seen
    run(devpi_prefetch, **options(lock, login_password="rootpw"))
    assert ("POST", "/+login") in devpi.seen
    assert "refuses the password of user 'root'" in run(devpi_prefetch, **options(lock, login_password="no"))["msg"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"index": "pypi"}, "index: 'pypi' is no index; write user/index, such as alice/dev"),
        ({"index": "root/none"}, "index: there is no index 'root/none' at http://127.0.0.1:"),
        ({"jobs": 0}, "jobs: 0 is not allowed; write 1 or more."),
        ({"_lock": None}, "path: the lock was not read; run the module by its whole name"),
    ],
)
def test_wrong_options(devpi: FakeMirror, run: Run, lock: Path, more: dict[str, Any], expected: str) -> None:
    assert expected in refused(devpi, run, **{**options(lock), **more})


def test_page_that_is_none(devpi: FakeMirror, run: Run, lock: Path) -> None:
    devpi.mischief = [None, lambda handler: handler.reply(200, "{}")] * 2
    assert "/root/pypi/+simple/a/ answered JSON without the list 'files'" in refused(
        devpi, run, **options(lock, "a==1.0")
    )


def test_progress(devpi: FakeMirror, run: Run, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / "progress"))
    monkeypatch.setattr(_prefetch, "_LOUD", 2 << 20)
    devpi.upstream["a"][A] = b"x" * (5 << 20)
    run(devpi_prefetch, **options(lock, "a==1.0"))
    assert (tmp_path / "progress").read_text(encoding="utf-8").splitlines() == [
        "1 of 1 projects looked up",
        "1 of 1 files looked up",
        f"2 MB of {A}",
        f"4 MB of {A}",
        f"1 of 1: fetch file root/pypi/{A}",
    ]


def test_client_fetches_nothing_in_check_mode(devpi: FakeMirror) -> None:
    client = Client(devpi.url, check_mode=True)
    with pytest.raises(CheckModeLockError):
        client.fetch_from_upstream(f"/root/pypi/+f/000/0/{A}", io.BytesIO())
    assert devpi.seen == []
