"""devpi_release against a live devpi-server."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import distributions
import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_layout, devpi_release
from live import ROOT_PASSWORD, SIMPLE_JSON, Devpi, run_by_ansible

PROOF_A = "proof_a-1.0-py3-none-any.whl"


@pytest.fixture(scope="module", name="files")
def _files(devpi: Devpi) -> Path:
    """Make what is to be uploaded."""
    distributions.make(devpi.folder / "files")
    return devpi.folder / "files"


@pytest.fixture(scope="module", autouse=True)
def _indexes(devpi: Devpi) -> None:
    """Make users, an index to work on, and one that keeps what it has."""
    dev = {"name": "dev", "type": "stage", "bases": ["root/pypi"], "acl_upload": ["root"]}
    prod = {"name": "prod", "type": "stage", "volatile": False, "acl_upload": ["root"]}
    loose = {"name": "loose", "type": "stage", "acl_upload": ["root"]}
    alice = {"name": "alice", "password": "alice-password"}
    devpi.run(devpi_layout, users=[{"name": "root", "indexes": [dev, prod, loose]}, alice])


def test_a_folder(devpi: Devpi, files: Path) -> None:
    names = [
        "proof-source-1.0.tar.gz",
        "proof_a-1.0+local.1-py3-none-any.whl",
        PROOF_A,
        "proof_b-1.0-py3-none-any.whl",
        "proof_c-1.0-py3-none-any.whl",
    ]
    changes = [f"upload file root/dev/{name}" for name in names]
    proof = devpi.proves(changes, devpi_release, index="root/dev", files=[str(files / "wheelhouse")])
    page = json.loads(devpi.ask("root/dev/+simple/proof-a/", accept=SIMPLE_JSON).body)
    listed = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
    assert len(listed) == 2
    assert listed[PROOF_A] == digest(files / "wheelhouse" / PROOF_A)
    release = devpi.ask("root/dev/proof-a/1.0").result
    assert (release["summary"], release["requires_python"]) == ("made for a test", ">=3.9")
    assert release["description"].startswith("Told in detail.")
    assert proof.applied["msg"] == "root/dev: 5 files uploaded, 0 already there."
    assert proof.results[2]["msg"] == "root/dev: 5 already there."
    assert proof.results[2]["already_there"] == 5


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_folder_with_a_file_more_and_one_file_twice(devpi: Devpi, files: Path) -> None:
    more = [files / "wheelhouse", files / "wheelhouse" / PROOF_A, files / "more/proof_d-2.0-py3-none-any.whl"]
    changes = ["upload file root/dev/proof_d-2.0-py3-none-any.whl"]
    devpi.proves(changes, devpi_release, index="root/dev", files=[str(path) for path in more])


def test_other_content_on_a_volatile_index_and_the_diff_shows_the_hashes(devpi: Devpi, files: Path) -> None:
    changes = [f"replace file root/dev/{PROOF_A}"]
    proof = devpi.proves(changes, devpi_release, index="root/dev", files=[str(files / "other")])
    [diff] = proof.applied["diff"]
    before = digest(files / "wheelhouse" / PROOF_A)
    assert diff["before"]["sha256"]
    assert before.startswith(diff["before"]["sha256"])
    assert diff["after"]["sha256"] != before


def test_documentation(devpi: Devpi, files: Path) -> None:
    release = {"index": "root/dev", "project": "Proof_A", "version": "1.0"}
    changes = ["upload documentation root/dev/proof-a/1.0"]
    devpi.proves(changes, devpi_release, **release, documentation=str(files / "html"))
    # The same, zipped by something else.
    release["project"] = "proof-a"
    assert not devpi.run(devpi_release, **release, documentation=str(files / "html.zip"))["changed"]
    # devpi-web runs with devpi 6 here.
    if devpi.major == "6":
        assert "The proof is here." in devpi.ask("root/dev/proof-a/1.0/+doc/index.html", accept="text/html").text

    changes = ["replace documentation root/dev/proof-a/1.0"]
    devpi.proves(changes, devpi_release, **release, documentation=str(files / "html-2.zip"))


def test_releases_with_their_documentation(devpi: Devpi, files: Path) -> None:
    second = {"project": "proof-d", "version": "2", "files": [str(files / "more")]}
    changes = ["upload documentation root/dev/proof-d/2.0"]
    devpi.proves(changes, devpi_release, index="root/dev", **second, documentation=str(files / "html-2.zip"))

    changes = [
        "upload file root/loose/proof_d-2.0-py3-none-any.whl",
        f"upload file root/loose/{PROOF_A}",
        "upload documentation root/loose/proof-d/2.0",
    ]
    new = {"files": [str(files / "more"), str(files / "other")], "project": "proof-d", "version": "2.0.0"}
    devpi.proves(changes, devpi_release, index="root/loose", **new, documentation=str(files / "html"))


def test_promotion(devpi: Devpi, files: Path) -> None:
    promoted = {"index": "root/dev", "state": "promoted", "version": "1.0", "target": "root/prod"}
    changes = ["promote release root/dev/proof-a/1.0 to root/prod"]
    devpi.proves(changes, devpi_release, **promoted, project="proof-a")
    # One without documentation, which it gets afterwards.
    devpi.proves(["promote release root/dev/proof-b/1.0 to root/prod"], devpi_release, **promoted, project="proof_b")
    html = str(files / "html")
    devpi.run(devpi_release, index="root/dev", project="proof-b", version="1.0", documentation=html)
    changes = ["promote documentation root/dev/proof-b/1.0 to root/prod"]
    devpi.proves(changes, devpi_release, **promoted, project="proof_b")


ALICE = {"login_user": "alice", "login_password": "alice-password"}
PROMOTED = {"index": "root/dev", "state": "promoted"}
WHEELHOUSE = ["wheelhouse"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"index": "root/dev", "files": ["broken/damaged-1.0-py3-none-any.whl"]},
            "damaged-1.0-py3-none-any.whl: is damaged (wrong checksum of damaged.bin); "
            "build it again, or copy it again.",
        ),
        (
            {"index": "root/dev", "files": ["broken/cut-1.0.tar.gz"]},
            "cut-1.0.tar.gz: is damaged (Compressed file ended before",
        ),
        (
            {"index": "root/dev", "files": ["broken/renamed-1.0-py3-none-any.whl"]},
            "its metadata says Name: proof_x, which is not the name of the file",
        ),
        (
            {"index": "root/dev", "files": ["broken/proof_v-2.0-py3-none-any.whl"]},
            "its metadata says Version: 1.0, but the name of the file says 2.0",
        ),
        (
            {"index": "root/dev", "files": ["broken/strange.whl"]},
            "strange.whl: its name is not that of a distribution; "
            "wheels are called NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
        ),
        (
            {"index": "root/dev", "files": ["wheelhouse/README.txt"]},
            "README.txt: its name is not that of a distribution",
        ),
        (
            {"index": "root/dev", "files": ["broken/bare-1.0.zip"]},
            "bare-1.0.zip: holds no metadata, so it is no distribution",
        ),
        ({"index": "root/dev", "files": ["nowhere"]}, "nowhere is neither a file nor a folder on this host"),
        (
            {"index": "root/dev", "files": ["empty"]},
            "empty on this host holds no distribution (.whl, .tar.gz, .zip)",
        ),
        # One that is broken keeps the others back.
        ({"index": "root/loose", "files": ["wheelhouse", "broken"]}, "is damaged"),
        (
            {"index": "root/loose", "files": ["wheelhouse", "other"]},
            "have one name and differ; take the wrong one out of files.",
        ),
        (
            {"index": "root/prod", "files": WHEELHOUSE},
            f"{PROOF_A}: root/prod has another file of that name",
        ),
        (
            {"index": "root/prod", "files": WHEELHOUSE, "check": True},
            "and is not volatile, so it stays; raise the version",
        ),
        (
            {"index": "root/prod", "documentation": "html.zip", "project": "proof-a", "version": "1.0"},
            "root/prod has other documentation of proof-a 1.0, and is not volatile",
        ),
        (
            {"index": "root/dev", "documentation": "html", "project": "proof-a", "version": "3.0"},
            "documentation: root/dev has no release proof-a 3.0 (it has 1.0, 1.0+local.1); upload its files first",
        ),
        (
            {"index": "root/dev", "documentation": "no-index.zip", "project": "proof-a", "version": "1.0"},
            "no-index.zip has no index.html at its top",
        ),
        (
            {"index": "root/nope", "files": WHEELHOUSE},
            "index: there is no index 'root/nope' at {url}; create it with devpi_index, or correct the name.",
        ),
        (
            {"index": "root/pypi", "files": WHEELHOUSE},
            "index: 'root/pypi' is a {mirror}, which has no releases of its own",
        ),
        ({"index": "dev", "files": WHEELHOUSE}, "index: 'dev' is no index; write user/index"),
        (
            {"index": "root/loose", "files": WHEELHOUSE, **ALICE},
            "User 'alice' may not upload to 'root/loose': its acl_upload is [root].",
        ),
        (
            {"index": "root/loose", "files": WHEELHOUSE, "login_user": "nobody"},
            "refuses the password of user 'nobody' (or knows no such user)",
        ),
        (
            {"index": "root/dev", "state": "absent", "project": "proof-a", **ALICE},
            "User 'alice' may not do this (DELETE {url}/root/dev/proof-a).",
        ),
        (
            {"index": "root/prod", "state": "absent", "project": "proof-a", "version": "1.0"},
            "root/prod/proof-a/1.0 is protected from deletion, because root/prod is not volatile: write force: true.",
        ),
        (
            {"index": "root/prod", "state": "absent", "project": "proof-a"},
            "root/prod/proof-a is protected from deletion",
        ),
        (
            {**PROMOTED, "project": "proof-a", "version": "7", "target": "root/prod"},
            "root/dev has no release proof-a 7 with files (it has 1.0, 1.0+local.1)",
        ),
        (
            {**PROMOTED, "project": "proof-a", "version": "1.0", "target": "root/nope"},
            "target: there is no index 'root/nope'",
        ),
        (
            {**PROMOTED, "project": "proof-d", "version": "2.0", "target": "root/loose"},
            "root/loose has another proof-d-2.0.doc.zip than root/dev, so nothing is promoted: "
            "write force: true to replace it.",
        ),
        (
            {**PROMOTED, "project": "proof-a", "version": 1.0, "target": "root/prod"},
            'version: 1.0 is a number, which may be another one than was written; write "1.0".',
        ),
        ({**PROMOTED, "project": "proof-a"}, "target: state promoted needs it; write one."),
        ({"index": "root/dev"}, "files: there is nothing to upload; write files, documentation, or both."),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, files: Path, options: dict[str, Any], message: str) -> None:
    placed = dict(options)
    if "files" in options:
        placed["files"] = [str(files / name) for name in options["files"]]
    if "documentation" in options:
        placed["documentation"] = str(files / options["documentation"])
    with devpi.unchanged():
        devpi.refuses(message, devpi_release, placed.pop("check", False), **placed)


def test_a_volatile_target_gets_back_what_was_changed_there(devpi: Devpi) -> None:
    options = {"index": "root/loose", "state": "promoted", "project": "proof-d", "version": "2.0", "target": "root/dev"}
    devpi.proves(["promote release root/loose/proof-d/2.0 to root/dev"], devpi_release, **options, force=True)


def test_what_is_absent_goes_and_the_others_stay(devpi: Devpi) -> None:
    dev = {"index": "root/dev", "state": "absent"}
    changes = ["delete release root/dev/proof-a/1.0+local.1"]
    devpi.proves(changes, devpi_release, **dev, project="proof-a", version="1.0+local.1")
    devpi.proves(["delete project root/dev/proof-a"], devpi_release, **dev, project="Proof.A")
    prod = {"index": "root/prod", "state": "absent", "force": True}
    devpi.proves(["delete release root/prod/proof-a/1.0"], devpi_release, **prod, project="proof-a", version="1.0")
    assert devpi.ask("root/dev").result["projects"] == ["proof-b", "proof-c", "proof-d", "proof-source"]
    assert devpi.ask("root/prod").result["projects"] == ["proof-b"]


def test_ansible_shows_how_far_a_long_run_is_and_leaves_nothing(devpi: Devpi, files: Path) -> None:
    options = {"index": "root/dev", "files": [str(files / "many")], "url": devpi.url}
    printed = run_by_ansible("devpi_release", options, files, DEVPI_PASSWORD=ROOT_PASSWORD)
    told = re.findall(r"^<localhost> [0-9]+ of 100(?:: .*| files.*)", printed, re.MULTILINE)
    assert len(told) > 1
    assert told[-1].startswith("<localhost> 100 of 100: upload file root/dev/many_")
    assert len(told) == len(set(told))
    assert "100 files uploaded, 0 already there" in printed
    assert "ansible_job_id" not in printed
    assert ROOT_PASSWORD not in printed
    left = files / ".ansible_async"
    assert not left.exists() or list(left.iterdir()) == []
