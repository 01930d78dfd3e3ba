# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that installs releases: whatever the umask and the configuration of pip and uv on the host."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

#: A python that makes an "environment" and "installs" the program, and says which environment variables it has.
FAKE = """#!/bin/sh
env >"$PWD/env"
stat --format=%a "$PWD" "$(dirname "$UV_CACHE_DIR")" >modes
(umask 0 && touch .lock)
mkdir -p bin lib
printf '#!/bin/sh\\ntest -r %s/lib/code && echo 1.0\\n' "$PWD" >bin/program
chmod +x bin/program
printf '#!/bin/sh\n' >bin/pip
chmod +x bin/pip
echo code >lib/code
echo "said by the installer"
exit "$(cat fails 2>/dev/null || echo 0)"
"""


@pytest.fixture
def program() -> ModuleType:
    """Return the program."""
    return cast("ModuleType", load("roles/devpi_server/files/install.py"))


@pytest.fixture(autouse=True)
def strict_umask() -> Iterator[None]:
    """Let root have the umask of a hardened host."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def plan(program: ModuleType, tmp_path: Path) -> Any:
    """Return a plan whose Python and pip are fakes."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "release"
    folder.mkdir()
    python = tmp_path / "python"
    python.write_text(FAKE, "utf-8")
    python.chmod(0o755)
    (tmp_path / "environment").write_text(
        "# ours\nUV_DEFAULT_INDEX='https://mirror.test/a b'\nPIP_CERT='/x'\n", "utf-8"
    )
    return program.Plan(
        folder=str(folder),
        python=str(python),
        locks=[["first.txt"], ["second.txt", "third.txt"]],
        program="program",
        environment=str(tmp_path / "environment"),
        lock=str(tmp_path / "lock"),
    )


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o777])
def test_a_strict_umask_leaves_an_environment_that_others_can_run(program: ModuleType, plan: Any, umask: int) -> None:
    os.umask(umask)
    program.make(plan)
    assert stat.S_IMODE(plan.place.stat().st_mode) == 0o755
    assert stat.S_IMODE((plan.place / "bin/program").stat().st_mode) == 0o755
    assert stat.S_IMODE((plan.place / "lib/code").stat().st_mode) == 0o644
    assert stat.S_IMODE((plan.place / "installer.log").stat().st_mode) == 0o600
    program.check(plan)


def test_nobody_else_holds_a_lock_of_the_installers(program: ModuleType, plan: Any) -> None:
    program.make(plan)
    assert (plan.place / "modes").read_text().split() == ["700", "700"]
    assert stat.S_IMODE(plan.cache.stat().st_mode) == 0o700
    assert not (plan.place / ".lock").exists()


def test_nothing_of_the_host_reaches_the_installer_but_its_proxies(
    program: ModuleType, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://elsewhere.test/")
    monkeypatch.setenv("UV_INDEX", "https://elsewhere.test/")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    program.make(plan)
    seen = dict(line.split("=", 1) for line in (plan.place / "env").read_text("utf-8").splitlines())
    assert not [value for value in seen.values() if "elsewhere" in value]
    assert seen["HTTPS_PROXY"] == "http://proxy.test:3128"
    assert seen["UV_DEFAULT_INDEX"] == "https://mirror.test/a b"
    assert seen["PIP_CONFIG_FILE"] == "/dev/null"
    assert seen["NETRC"] == "/dev/null"
    assert seen["HOME"] != os.environ["HOME"]
    assert not Path(seen["HOME"]).exists()


def test_what_the_environment_file_says_comes_last(program: ModuleType, plan: Any) -> None:
    Path(plan.environment).write_text("https_proxy='http://ours.test'\nPIP_CACHE_DIR='/srv/cache'\n", "utf-8")
    made = program.environment_of(plan, {"https_proxy": "http://theirs.test"}, "/home")
    assert made["https_proxy"] == "http://ours.test"
    assert made["PIP_CACHE_DIR"] == "/srv/cache"


def test_a_complete_environment_with_wrong_modes_is_mended_and_not_made_anew(program: ModuleType, plan: Any) -> None:
    program.make(plan)
    (plan.place / "lib/code").write_text("as it was", "utf-8")
    for path in (plan.place / "lib/code", plan.place / "lib", plan.place):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)
    program.make(plan)
    assert stat.S_IMODE((plan.place / "lib/code").stat().st_mode) == 0o644
    assert (plan.place / "lib/code").read_text("utf-8") == "as it was"


def test_a_complete_environment_that_does_not_run_is_made_anew(program: ModuleType, plan: Any) -> None:
    program.make(plan)
    (plan.place / "lib/code").unlink()
    (plan.place / "second.txt").write_text("a lock", "utf-8")
    with pytest.raises(program.Failed, match=r"cannot be run: .*--version ends with 1"):
        program.check(plan)
    program.make(plan)
    program.check(plan)
    assert (plan.place / "second.txt").read_text("utf-8") == "a lock"


def test_an_environment_whose_program_does_not_run_is_not_complete(program: ModuleType, plan: Any) -> None:
    Path(plan.python).write_text(FAKE.replace("echo code >lib/code", ":"), "utf-8")
    with pytest.raises(program.Failed, match="is installed, but cannot be run"):
        program.make(plan)
    assert not (plan.place / ".complete").exists()


def test_what_the_installer_said_last_is_shown(program: ModuleType, plan: Any) -> None:
    Path(plan.python).write_text(FAKE.replace("$(cat", "3 # $(cat"), "utf-8")
    with pytest.raises(program.Failed, match="said by the installer"):
        program.make(plan)
    assert not list(plan.place.parent.glob(".work-*"))


def test_no_link_is_followed_when_modes_are_mended(program: ModuleType, plan: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("", "utf-8")
    (tmp_path / "outside").chmod(0o600)
    (plan.place / "link").symlink_to(tmp_path / "outside")
    program.open_to_all(plan.place)
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o600


def test_a_folder_that_the_user_cannot_pass_is_named(
    program: ModuleType, plan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.make(plan)
    plan.place.parent.chmod(0o700)

    def run(command: tuple[str, ...], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options["user"] == os.geteuid()
        if command[0] != "/usr/bin/test":
            raise PermissionError(13, "Permission denied", command[0])
        return subprocess.CompletedProcess(command, int(Path(command[-1]).is_relative_to(plan.place.parent)))

    monkeypatch.setattr(program.subprocess, "run", run)
    user = pwd.getpwuid(os.geteuid()).pw_name
    with pytest.raises(program.Failed, match=f"the user {user} may not pass {plan.place.parent} .mode 0700."):
        program.check(program.Plan(**{**vars(plan), "user": user}))


def test_no_user_is_not_complete(program: ModuleType, plan: Any) -> None:
    program.make(plan)
    with pytest.raises(program.Failed, match="there is no user nobody-of-that-name"):
        program.check(program.Plan(**{**vars(plan), "user": "nobody-of-that-name"}))


def test_main_says_why(program: ModuleType, plan: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["check", json.dumps(vars(plan))]) == 1
    assert capsys.readouterr().err == f"{plan.folder} is not complete\n"
