"""Each module as Ansible brings it to a host: the targets, under ansible-test."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributions
import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from conftest import CHECKOUT, COLLECTIONS
from live import ROOT_PASSWORD, SIMPLE_JSON, Devpi

CONFIG = CHECKOUT / "tests/integration/integration_config.yml"


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    return {"offline": False}


@pytest.fixture(name="config")
def _config(devpi: Devpi, upstreams: dict[str, Upstream]) -> Iterator[Path]:
    """Make what the targets work with, and tell them where it is."""
    distributions.make(devpi.folder / "files")
    (devpi.folder / "lock.txt").write_text("alpha==1.0\n")
    upstreams["old"].behaviour = Behaviour({"alpha": {"alpha-1.0.tar.gz": "alpha"}})
    devpi.run(devpi_index, name="root/dev", acl_upload=["root"])
    devpi.run(devpi_index, name="root/mirror", type="mirror", mirror_url=upstreams["old"].simple_url)
    devpi.ask("root/mirror/+simple/alpha/", accept=SIMPLE_JSON)
    told = {
        "devpi_upstream": str(CHECKOUT / "tests/upstream/upstream.py"),
        "devpi_url": devpi.url,
        "devpi_root_password": ROOT_PASSWORD,
        "devpi_folder": str(devpi.folder),
    }
    CONFIG.write_text(json.dumps(told))
    yield CONFIG
    CONFIG.unlink()


@pytest.mark.usefixtures("config")
def test_every_target() -> None:
    assert CHECKOUT.is_relative_to(COLLECTIONS), f"ansible-test wants a checkout in ansible_collections, not {CHECKOUT}"
    targets = sorted(path.name for path in (CHECKOUT / "tests/integration/targets").iterdir())
    command = ["ansible-test", "integration", "--local", "--color", "no", "--continue-on-error", *targets]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [name for name in targets if f"Running {name} integration test role" not in said] == []
    assert not re.search(r"^\[[A-Z ]*WARNING\]", said, re.MULTILINE), said
