# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What files say of themselves, and how they are broken."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._distribution import (
    FileError,
    contents_of,
    distribution,
    documentation_zip,
    found_in,
    metadata,
    normalised_name,
    normalised_version,
)
from ansible_collections.wheelhouse.devpi.tests.unit.fake_releases import make_wheel, zipped

PKG_INFO = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def make_source(path: Path, name: str, version: str, folder: str = "") -> Path:
    """Write a source distribution, in which setuptools' copy of the metadata comes first."""
    members = {f"{folder or path.name[:-7]}/x.egg-info/PKG-INFO": "wrong", "./" + (folder or path.name[:-7]): None}
    members[f"{folder or path.name[:-7]}/PKG-INFO"] = PKG_INFO.format(name=name, version=version)
    with tarfile.open(path, "w:gz") as archive:
        for member, text in members.items():
            entry = tarfile.TarInfo(member)
            if text is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(text)
            archive.addfile(entry, io.BytesIO((text or "").encode()))
    return path


def refusal(path: Path) -> str:
    """Return why a file is refused."""
    with pytest.raises(FileError) as error:
        metadata(distribution(path))
    return str(error.value)


def test_wheel(tmp_path: Path) -> None:
    more = {"Requires_Python": ">=3.9", "Summary": "Grüße", "Unknown": "x", "Content": "x"}
    path = make_wheel(tmp_path, "Foo_Bar", "1.0", **more)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = distribution(path)
    assert (found.project, found.sha256, found.file_name) == ("foo-bar", digest, "Foo_Bar-1.0-py3-none-any.whl")
    said = metadata(found)
    assert said.version == "1.0"
    assert said.fields == (
        ("name", "Foo_Bar"),
        ("version", "1.0"),
        ("metadata_version", "2.1"),
        ("summary", "Grüße"),
        ("requires_python", ">=3.9"),
        ("description", "Told in detail.\n"),
    )


def test_headers_that_come_several_times(tmp_path: Path) -> None:
    text = PKG_INFO.format(name="a", version="1") + "".join(
        f"{key}: {key} {number}\n"
        for key in ("Classifier", "Project-URL", "Provides-Extra", "Requires-Dist")
        for number in (1, 2)
    )
    path = zipped(tmp_path / "a-1-py3-none-any.whl", {"a-1.dist-info/METADATA": text})
    fields = metadata(distribution(path)).fields
    for key, header in {
        "classifiers": "Classifier",
        "project_urls": "Project-URL",
        "provides_extras": "Provides-Extra",
        "requires_dist": "Requires-Dist",
    }.items():
        assert [value for name, value in fields if name == key] == [f"{header} 1", f"{header} 2"]


@pytest.mark.parametrize(
    ("file_name", "name", "version"),
    [
        ("foo-bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("foo_bar-1.0.tar.gz", "Foo.Bar", "1.0.0"),
        # setuptools of old made these.
        ("foo-bar-1.0-1.tar.gz", "foo-bar", "1.0.post1"),
        ("foo-1.0-beta.2.tar.gz", "foo", "1.0b2"),
    ],
)
def test_source(tmp_path: Path, file_name: str, name: str, version: str) -> None:
    found = distribution(make_source(tmp_path / file_name, name, version))
    assert found.project == normalised_name(name)
    # devpi finds it in the name of the file.
    assert metadata(found).version in file_name


def test_source_in_a_zip(tmp_path: Path) -> None:
    text = PKG_INFO.format(name="foo", version="1")
    found = distribution(zipped(tmp_path / "foo-1.zip", {"foo-1/setup.py": "", "foo-1/PKG-INFO": text}))
    assert (found.project, metadata(found).version) == ("foo", "1")


@pytest.mark.parametrize(
    ("called", "name", "version", "posted"),
    [
        ("torch-2.8.0+cu128-cp311-cp311-linux_x86_64.whl", "torch", "2.8.0+cu128", "2.8.0+cu128"),
        ("a-1.0_1-py3-none-any.whl", "a", "1.0-1", "1.0-1"),
        ("a-2024.1.5-1_build-py2.py3-none-any.whl", "a", "2024.01.05", "2024.1.5"),
        ("zope.interface-1.0-py3-none-any.whl", "zope.interface", "1.0", "1.0"),
    ],
)
def test_names_of_wheels(tmp_path: Path, called: str, name: str, version: str, posted: str) -> None:
    found = distribution(make_wheel(tmp_path, name, version, called))
    assert found.project == normalised_name(name)
    assert metadata(found).version == posted


@pytest.mark.parametrize(
    "name",
    ["a.whl", "a-1.0.whl", "a-1.0-py3-none.whl", "a b-1.0-py3-none-any.whl", "a-1.0.tar.bz2", "a.tar.gz", "README.txt"],
)
def test_names_of_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: its name is not that of a distribution; wheels are")


def test_wrong_name(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", "bar-1.0-py3-none-any.whl")
    assert refusal(path).startswith(f"{path}: its metadata says Name: foo, which is not the name of the file; build")


def test_wrong_version(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0", "foo-1.1-py3-none-any.whl")
    assert "its metadata says Version: 1.0, but the name of the file says 1.1; build it again" in refusal(path)
    source = make_source(tmp_path / "foo-1.1.tar.gz", "foo", "1.0")
    assert "its metadata says Version: 1.0, but the name of the file says 1.1; build it again" in refusal(source)


def test_wheel_with_a_wrong_checksum(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    content = bytearray(path.read_bytes())
    content[content.index(b"x" * 100) + 500] ^= 1
    path.write_bytes(content)
    assert refusal(path) == f"{path}: is damaged (wrong checksum of foo.py); build it again, or copy it again."


@pytest.mark.parametrize("kept", [0, 300, -10])
def test_wheel_that_is_cut_off(tmp_path: Path, kept: int) -> None:
    path = make_wheel(tmp_path, "foo", "1.0")
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(path).startswith(f"{path}: is damaged (File is not a zip file); build it again")


@pytest.mark.parametrize("kept", [0, 30, -4, -8])
def test_source_that_is_cut_off(tmp_path: Path, kept: int) -> None:
    path = make_source(tmp_path / "foo-1.0.tar.gz", "foo", "1.0")
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(path).startswith(f"{path}: is damaged (")


def test_source_with_a_wrong_checksum(tmp_path: Path) -> None:
    path = make_source(tmp_path / "foo-1.0.tar.gz", "foo", "1.0")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: is damaged (CRC check failed 0x")


def test_no_metadata(tmp_path: Path) -> None:
    for path in (
        zipped(tmp_path / "foo-1.0-py3-none-any.whl", {"foo.py": "", "METADATA": "", "foo/METADATA": ""}),
        zipped(tmp_path / "foo-1.0.zip", {"foo-1.0/a/PKG-INFO": ""}),
    ):
        assert refusal(path).startswith(f"{path}: holds no metadata, so it is no distribution; build it again")
    path = zipped(tmp_path / "foo-2.0-py3-none-any.whl", {"foo-2.0.dist-info/METADATA": "Name: foo\n"})
    assert refusal(path) == f"{path}: its metadata has no Name or no Version; build it again."


def test_file_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "foo-1.0-py3-none-any.whl"
    assert refusal(path) == f"{path}: cannot be read on this host (No such file or directory)."


@pytest.mark.parametrize(
    ("version", "same"),
    [
        ("1.0", "v1"),
        ("1.0.0", "1"),
        ("01.2", "1.2"),
        ("1.0a1", "1.0-alpha.1"),
        ("1.0rc1", "1.0.C1"),
        ("1.0rc1", "1.0-preview_1"),
        ("1.0.post3", "1.0-3"),
        ("1.0.post0", "1.0.rev"),
        ("1.0.dev4", "1.0-DEV4"),
        ("0!1+ubuntu-1", "1+ubuntu.1"),
        ("2!1.0a1.post2.dev3+x", "2!1a1-2.dev3+x"),
    ],
)
def test_versions_that_are_one(version: str, same: str) -> None:
    assert normalised_version(version) == normalised_version(same)


@pytest.mark.parametrize(
    ("version", "other"),
    [("1.0", "1.1"), ("1.0", "1.0.post0"), ("1.10", "1.1"), ("1.0a1", "1.0b1"), ("1!1", "1"), ("1+a", "1"), ("x", "y")],
)
def test_versions_that_are_two(version: str, other: str) -> None:
    assert normalised_version(version) != normalised_version(other)


def test_found_in(tmp_path: Path) -> None:
    house = tmp_path / "house"
    for name in ("b-1-py3-none-any.whl", "a-1.tar.gz", "c-1.zip", "a-1.doc.zip", "README", ".d-1.whl", "sub/e-1.whl"):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).touch()
    (tmp_path / "empty").mkdir()
    single = house / "sub" / "e-1.whl"
    found, problems = found_in(map(str, (house, house / "a-1.tar.gz", single, tmp_path / "empty", tmp_path / "none")))
    assert found == [house / "a-1.tar.gz", house / "b-1-py3-none-any.whl", house / "c-1.zip", single]
    assert problems == [
        f"files: the folder {tmp_path / 'empty'} on this host holds no distribution (.whl, .tar.gz, .zip): correct the "
        "name, or put some in.",
        f"files: {tmp_path / 'none'} is neither a file nor a folder on this host; copy it there first.",
    ]


def test_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    # Modes do not keep root out.
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert found_in([str(tmp_path)])[1] == [
        f"files: the folder {tmp_path} cannot be read on this host (Permission denied)."
    ]


def test_documentation_is_zipped_the_same_way_each_time(tmp_path: Path) -> None:
    copies = []
    for turn, names in enumerate((("index.html", "_static/b.css", ".doctrees/x"), ("_static/b.css", "index.html"))):
        folder = tmp_path / str(turn)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"content of {name}", encoding="utf-8")
            os.utime(folder / name, (turn * 10**9, turn * 10**9))
            (folder / name).chmod(0o600 if turn else 0o644)
        archive = io.BytesIO()
        documentation_zip(folder, archive)
        copies.append(archive)
    assert copies[0].getvalue() == copies[1].getvalue()
    assert sorted(contents_of(copies[0])) == ["_static/b.css", "index.html"]


def test_documentation_that_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(FileError, match=r"x\.zip: is damaged \(File is not a zip file\)"):
        contents_of(tmp_path / "x.zip")
