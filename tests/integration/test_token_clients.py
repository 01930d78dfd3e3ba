"""twine, uv and pip with a token for one project of one index, and after it was revoked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_token, devpi_user
from conftest import CHECKOUT, Install
from live import Devpi


@pytest.fixture(scope="module", name="place")
def _place(devpi: Devpi) -> Path:
    """Make a folder with wheels, a user with two indexes, a token for one project, and a copy of it."""
    place = devpi.folder / "clients"
    place.mkdir()
    make_wheel: list[str | Path] = [sys.executable, CHECKOUT / "molecule/shared/make_wheel.py"]
    for name, version in (*(("our_tool", f"1.{number}") for number in range(4)), ("another", "1.0")):
        subprocess.run([*make_wheel, name, version, place], check=True, capture_output=True)
    devpi.run(devpi_user, name="ci", password="ci-password")
    for index in ("ci/dev", "ci/other"):
        devpi.run(devpi_index, name=index, type="stage", acl_upload=["ci"])
    limits = {"indexes": ["ci/dev"], "projects": ["Our.Tool"], "permissions": ["upload", "pkg_read"]}
    devpi.run(devpi_token, user="ci", path=str(place / "upload-token"), **limits)
    shutil.copy(place / "upload-token", place / "copy")
    return place


def use(devpi: Devpi, install: Install, place: Path, command: str, succeeds: bool, says: str) -> None:
    """Run a client as a person would, with the token in TOKEN and in URL."""
    environment = {
        **os.environ,
        "PATH": f"{install('clients')}/bin:{os.environ['PATH']}",
        "TOKEN": (place / "copy").read_text().strip(),
        "INDEX": f"{devpi.url}/ci/dev/",
        "HOME": str(place),
        "NO_PROXY": "127.0.0.1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_RETRIES": "0",
        "TWINE_NON_INTERACTIVE": "1",
        "TWINE_REPOSITORY_URL": f"{devpi.url}/ci/dev/",
        "TWINE_USERNAME": "ci",
        "UV_NO_CONFIG": "1",
        "UV_PUBLISH_URL": f"{devpi.url}/ci/dev/",
    }
    command = command.replace("{in_url}", f"{devpi.url.replace('//', '//ci:$TOKEN@')}/ci/dev/+simple/")
    run = ["bash", "-c", devpi.said(command)]
    done = subprocess.run(run, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=120)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == succeeds, said
    assert says in said
    assert not re.search(r"devpi-[\w-]{40}", said)


PIP = "pip download --no-cache-dir --no-deps"
UV = "uv pip install --no-cache --no-deps"
UV_PUBLISH = "UV_PUBLISH_USERNAME=ci UV_PUBLISH_PASSWORD"


@pytest.mark.parametrize(
    ("command", "succeeds", "says"),
    [
        ("TWINE_PASSWORD=wrong twine upload our_tool-1.0-*", False, "401 "),
        ("TWINE_PASSWORD=$TOKEN twine upload our_tool-1.0-*", True, "our_tool-1.0"),
        (f"{UV_PUBLISH}=$TOKEN uv publish our_tool-1.1-*", True, "our_tool-1.1"),
        (f"{UV_PUBLISH}=wrong uv publish our_tool-1.2-*", False, "401 "),
        # The user would be __token__, which devpi-tokens refuses: the documentation of the module says so.
        ("UV_PUBLISH_TOKEN=$TOKEN uv publish our_tool-1.2-*", False, "403 "),
        ("TWINE_PASSWORD=$TOKEN twine upload another-1.0-*", False, "403 "),
        ("TWINE_PASSWORD=$TOKEN twine upload --repository-url {url}/ci/other/ our_tool-1.2-*", False, "403 "),
        (f"{PIP} --dest by-pip --index-url {{in_url}} our-tool==1.1", True, "Successfully downloaded our-tool"),
        (f"{UV} --target by-uv --default-index {{in_url}} our-tool==1.0", True, "our-tool==1.0"),
        (
            "umask 077 && echo machine 127.0.0.1 login ci password $TOKEN > .netrc && "
            f"NETRC=.netrc {PIP} --dest by-netrc --index-url {{url}}/ci/dev/+simple/ our-tool==1.1",
            True,
            "Successfully downloaded our-tool",
        ),
    ],
)
def test_a_client_with_a_token(
    devpi: Devpi, install: Install, place: Path, command: str, succeeds: bool, says: str
) -> None:
    use(devpi, install, place, command, succeeds, says)


@pytest.mark.parametrize(
    "command",
    [
        "TWINE_PASSWORD=$TOKEN twine upload our_tool-1.3-*",
        f"{UV_PUBLISH}=$TOKEN uv publish our_tool-1.3-*",
        f"{PIP} --dest refused --index-url {{in_url}} our-tool==1.1",
        f"{UV} --target refused --default-index {{in_url}} our-tool==1.0",
        f"NETRC=.netrc {PIP} --dest refused --index-url {{url}}/ci/dev/+simple/ our-tool",
    ],
)
def test_each_client_is_refused_after_the_token_was_revoked(
    devpi: Devpi, install: Install, place: Path, command: str
) -> None:
    devpi.run(devpi_token, user="ci", path=str(place / "upload-token"), state="absent")
    use(devpi, install, place, command, succeeds=False, says="403 ")


def test_what_was_uploaded_is_there_and_nothing_else(devpi: Devpi) -> None:
    assert sorted(devpi.ask("ci/dev/our-tool").result) == ["1.0", "1.1"]
