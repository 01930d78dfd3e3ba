# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What locks name, in the three formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._lockfile import Lock, LockError, plan, read_lock

ONE, TWO = "1" * 64, "2" * 64


def read(path: str) -> bytes:
    """Read a file of the managed host, which is this one."""
    try:
        return Path(path).read_bytes()
    except OSError as reason:
        raise LockError([f"{path} cannot be read on this host ({reason.strerror}); copy it there first."]) from reason


def lock_of(path: Path, text: str | bytes) -> Lock:
    """Read a lock with this text."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_lock(str(path), read)


def reasons(path: Path, text: str | bytes) -> list[str]:
    """Return what is wrong with a lock with this text, without the name of the file."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LockError) as caught:
        read_lock(str(path), read)
    return [reason.replace(str(path), "LOCK") for reason in caught.value.reasons]


def test_requirements(tmp_path: Path) -> None:
    text = f"""\ufeff# This file was made by uv.
--index-url https://u:pw@mirrors.example.org/simple
--only-binary :all:
A.b_C[extra, more] == 1.0 \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO.upper()}
    # via something
d===2.0+cpu ; python_version < '3.9' and os_name == 'nt'  # a comment
e == 1!3.0.post1 --hash sha256:{ONE} --hash=sha512:00
f (==4)
g==5 \\
    # a comment in the middle
h==6 \\"""
    found = lock_of(tmp_path / "requirements.txt", text)
    assert [(package.project, package.version) for package in found.packages] == [
        ("a-b-c", "1.0"),
        ("d", "2.0+cpu"),
        ("e", "1!3.0.post1"),
        ("f", "4"),
        ("g", "5"),
        ("h", "6"),
    ]
    assert [package.hashes for package in found.packages[:3]] == [{ONE, TWO}, set(), {ONE}]
    assert found.packages[1].markers == ('(python_version < "3.9" and os_name == "nt")',)
    assert [package.place.rpartition(" ")[2] for package in found.packages] == ["4", "8", "9", "10", "11", "13"]
    assert (found.environments, found.skipped) == ((), ())


def test_requirements_that_follow_others(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("--requirement=../main.txt\nb==2\n-r more.txt\n", encoding="utf-8")
    (tmp_path / "more" / "more.txt").write_text("c\n", encoding="utf-8")
    (tmp_path / "limits.txt").write_text("a==0\nc==3\nd==4\ne>=5\n-e ./x\n-rothers.txt\n", encoding="utf-8")
    (tmp_path / "others.txt").write_text("F==6\n", encoding="utf-8")
    found = lock_of(tmp_path / "main.txt", "a==1\n-r more/base.txt\n-c limits.txt\nf>5\n")
    pins = {package.project: package.version for package in found.packages}
    assert pins == {"a": "1", "b": "2", "c": "3", "f": "6"}
    assert found.skipped == ()


@pytest.mark.parametrize(
    "line",
    [
        "-e ../mine",
        "--editable=git+https://git.example.org/x#egg=x",
        "git+ssh://git@git.example.org/x",
        "x @ https://files.example.org/x-1.0-py3-none-any.whl",
        "x[y]@file:///srv/x",
        "./x",
        "../x ; os_name == 'nt'",
        "/srv/x",
        ".",
        "file:x",
        "x-1.0-py3-none-any.whl --hash=sha256:00",
    ],
)
def test_requirements_that_no_index_has(tmp_path: Path, line: str) -> None:
    found = lock_of(tmp_path / "x.txt", f"a==1\n{line}\n")
    assert [package.project for package in found.packages] == ["a"]
    assert found.skipped[0].startswith(f"{tmp_path}/x.txt, line 2: {line[:10]}")


def test_every_requirement_that_is_wrong_has_its_sentence(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    text = "a==1\nb>=2\nC_d\ne==1.*\nf==1,!=2\n??\ng==1 --hash=sha512:00\n-r none.txt\n-c https://u:pw@x/c.txt\n"
    found = reasons(path, text)
    assert found == [
        "LOCK, line 6: '??' is no requirement (Expected package name at the start of dependency specifier); write "
        "NAME==VERSION.",
        f"LOCK, line 8: {tmp_path}/none.txt cannot be read on this host (No such file or directory); copy it there "
        "first.",
        "LOCK, line 9: https://********@x/c.txt is a URL; name a file on this host.",
        *[
            f"LOCK, line {line}: {said!r} does not name one version; write {name}==VERSION (`uv pip compile` and "
            "`pip freeze` write all pins)."
            for line, said, name in ((2, "b>=2", "b"), (3, "C_d", "c-d"), (4, "e==1.*", "e"), (5, "f!=2,==1", "f"))
        ],
        "LOCK, line 7: 'g==1' has no sha256 among its hashes; write --hash=sha256:…",
    ]


UV_LOCK = f"""
version = 1
revision = 3
requires-python = ">=3.12"
resolution-markers = ["sys_platform == 'win32'", "sys_platform != 'win32'"]
supported-markers = ["sys_platform == 'linux'", "sys_platform == 'darwin'"]

[[package]]
name = "A.b"
version = "1.0"
source = {{ registry = "https://mirrors.example.org/simple" }}
resolution-markers = ["sys_platform == 'win32'"]
sdist = {{ url = "https://mirrors.example.org/files/a_b-1.0.tar.gz", hash = "sha256:{ONE}", size = 1 }}
wheels = [
    {{ url = "https://mirrors.example.org/files/a_b-1.0%2Bcpu-py3-none-any.whl#x", hash = "sha256:{TWO}" }},
    {{ filename = "a_b-1.0-py3-none-any.whl", url = "https://mirrors.example.org/7" }},
]

[[package]]
name = "mine"
version = "0.1"
source = {{ editable = "." }}

[[package]]
name = "ours"
source = {{ virtual = "ours" }}

[[package]]
name = "theirs"
version = "2"
source = {{ git = "https://u:pw@git.example.org/theirs?rev=main#123" }}

[[package]]
name = "flat"
version = "1"
source = {{ registry = "../wheels" }}
wheels = [{{ path = "sub\\\\flat-1-py3-none-any.whl" }}]
""".replace("sub\\\\", "sub/")


@pytest.mark.parametrize("name", ["uv.lock", "lock-of-uv"])
def test_uv_lock(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    found = lock_of(path, UV_LOCK)
    assert [(package.project, package.files) for package in found.packages] == [
        ("a-b", {"a_b-1.0+cpu-py3-none-any.whl": TWO, "a_b-1.0-py3-none-any.whl": None, "a_b-1.0.tar.gz": ONE}),
        ("flat", {"flat-1-py3-none-any.whl": None}),
    ]
    assert found.packages[0].markers == ("sys_platform == 'win32'",)
    assert found.packages[0].place == f"{path}, A.b 1.0"
    assert found.environments == ("sys_platform == 'linux'", "sys_platform == 'darwin'")
    assert found.skipped == (f"{path}, theirs 2: git https://********@git.example.org/theirs?rev=main#123",)


PYLOCK = f"""
lock-version = "1.0"
created-by = "pip"
environments = ["sys_platform == 'linux'"]

[[packages]]
name = "a"
version = "1.0"
marker = "python_version >= '3.12'"
index = "https://mirrors.example.org/simple"
[[packages.wheels]]
name = "a-1.0-py3-none-any.whl"
url = "https://mirrors.example.org/7"
hashes = {{ sha256 = "{ONE}", sha512 = "00" }}
[packages.sdist]
path = "wheels/a-1.0.tar.gz"
hashes = {{ sha512 = "00" }}

[[packages]]
name = "mine"
directory = {{ path = ".", editable = true }}

[[packages]]
name = "theirs"
vcs = {{ type = "git", url = "https://git.example.org/theirs", commit-id = "123" }}

[[packages]]
name = "other"
archive = {{ path = "other.zip", hashes = {{ sha256 = "{TWO}" }} }}
"""


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.dev.toml", "lock"])
def test_pylock(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    found = lock_of(path, PYLOCK)
    (package,) = found.packages
    assert package.files == {"a-1.0-py3-none-any.whl": ONE, "a-1.0.tar.gz": None}
    assert (package.project, package.markers) == ("a", ("python_version >= '3.12'",))
    assert found.environments == ("sys_platform == 'linux'",)
    assert found.skipped == (
        f"{path}, theirs: vcs https://git.example.org/theirs",
        f"{path}, other: archive other.zip",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version = 1\n[[package]\n", "LOCK is no TOML that can be read: Expected ']]'"),
        ("lock-version = '2.0'", "LOCK: its lock-version is 2.0, and only 1 is known; write 1.0."),
        ("version = 2\npackage = []", "LOCK: its version is 2, and only 1 is known; export it to pylock.toml."),
        ("[project]\nname = 'x'\nversion = '1'", "LOCK is neither a requirements.txt nor a pylock.toml nor a uv.lock;"),
        (
            "[[package]]\nname = 'x'\n[metadata]\nlock-version = '2.1'",
            "LOCK is neither a requirements.txt nor a pylock",
        ),
        (
            "version = 1\n[[package]]\nversion = '1'",
            "LOCK is damaged: it has not the parts of a lock ('name'); make it",
        ),
        ("lock-version = '1.0'\npackages = 7", "LOCK is damaged: it has not the parts of a lock ('int' object is not"),
        (
            "lock-version = '1.0'\n[[packages]]\nname = 'x'\nwheels = [{hashes = {}}]",
            "LOCK is damaged: it has not the parts of a lock (a file without a name); make it anew.",
        ),
        (
            "lock-version = '1.0'\n[[packages]]\nname = 'x'\nwheels = [{name = 'x.whl', hashes = {sha256 = '0'}}]",
            "LOCK is damaged: it has not the parts of a lock ('0' is no SHA-256); make it anew.",
        ),
        (b"\xff", "LOCK is no text in UTF-8, nor in an encoding that it names, so it is no lock: write it as UTF-8."),
    ],
)
def test_toml_that_is_no_lock(tmp_path: Path, text: str | bytes, expected: str) -> None:
    (found,) = reasons(tmp_path / "x.lock", text)
    assert found.startswith(expected)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-8"])
def test_encodings_that_pip_reads(tmp_path: Path, encoding: str) -> None:
    found = lock_of(tmp_path / "x.txt", "# gemäß\r\na==1 # ü\r\n".encode(encoding))
    assert [(package.project, package.version) for package in found.packages] == [("a", "1")]


def test_encoding_that_the_file_names(tmp_path: Path) -> None:
    text = "# -*- coding: latin-1 -*-\na==1 # \xfc\n"
    assert lock_of(tmp_path / "x.txt", text.encode("latin-1")).packages[0].version == "1"
    (reason,) = reasons(tmp_path / "x.txt", b"# coding: no-such\na==1\n")
    assert reason.startswith("LOCK is no text in UTF-8, nor in an encoding that it names")


@pytest.mark.parametrize(
    ("line", "version", "hashes", "markers"),
    [
        (f"a==1 --hash sha256:{ONE} --hash=sha256:{TWO}", "1", {ONE, TWO}, ()),
        (f"a==1; os_name == 'nt' --hash='sha256:{ONE}'", "1", {ONE}, ('(os_name == "nt")',)),
        ("a == 1 ; python_version < '3.9'", "1", set(), ('(python_version < "3.9")',)),
        ("a[x,y]==1 --config-settings=k=v --global-option='--no x'", "1", set(), ()),
        ("a==1 -C k=v", "1", set(), ()),
        ("a (==1)", "1", set(), ()),
        ("a===1.0.post1+ubuntu.1", "1.0.post1+ubuntu.1", set(), ()),
    ],
)
def test_options_and_markers_wherever_pip_takes_them(
    tmp_path: Path, line: str, version: str, hashes: set[str], markers: tuple[str, ...]
) -> None:
    (package,) = lock_of(tmp_path / "x.txt", line).packages
    assert (package.version, set(package.hashes), package.markers) == (version, hashes, markers)


@pytest.mark.parametrize(
    "include", ["-rmore.txt", "-r more.txt", "--requirement=more.txt", "--requirem more.txt", "-r 'more.txt'"]
)
def test_spellings_of_an_option(tmp_path: Path, include: str) -> None:
    (tmp_path / "more.txt").write_text("b==2\n", encoding="utf-8")
    found = lock_of(tmp_path / "x.txt", f"--pre --no-index -i https://mirrors.example.org/simple\n{include}\n")
    assert [package.project for package in found.packages] == ["b"]


def test_constraints_with_markers_give_a_version_each(tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text(
        "a==1 ; python_version < '3.9'\na==2 ; python_version >= '3.9'\n", encoding="utf-8"
    )
    found = lock_of(tmp_path / "x.txt", "a ; os_name == 'posix'\n-c limits.txt\n")
    assert [(package.version, package.markers) for package in found.packages] == [
        ("1", ('(os_name == "posix") and (python_version < "3.9")',)),
        ("2", ('(os_name == "posix") and (python_version >= "3.9")',)),
    ]


def test_plan_numbers_the_hosts_that_count(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a==1 ; sys_platform == 'darwin'\nb==2\n", encoding="utf-8")
    here = "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version == '3.13'"
    told = plan(str(path), [here], read)
    assert len(told["tags"]["hosts"]) == 2
    assert [package["hosts"] for package in told["packages"]] == [[], [0, 1]]
    assert [package["hosts"] for package in plan(str(path), None, read)["packages"]] == [None, None]


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        (["linux"], "environments: that is no environment marker ("),
        (
            ["sys_platform == 'amiga'"],
            "environments: \"sys_platform == 'amiga'\" is true on no platform that is known;",
        ),
    ],
)
def test_environments_that_are_wrong(tmp_path: Path, environments: list[str], expected: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a==1\n", encoding="utf-8")
    with pytest.raises(LockError) as caught:
        plan(str(path), environments, read)
    assert str(caught.value).startswith(expected)
