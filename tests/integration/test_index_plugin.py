"""devpi_index with a setting that the plugin devpi-jenkins adds.

devpi-jenkins 3.0.1 has a default that devpi 7.0.0b4 does not take: with it, no index can be made without the setting,
and devpi-init cannot make root/pypi. So with devpi 7 it is in no other server, and this one has no root/pypi.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from conftest import Install
from live import Devpi


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server(major: str, venv: Path, install: Install) -> dict[str, Any]:
    if major == "6":
        return {}
    return {"offline": False, "python_path": install("jenkins", venv / "bin/pip")}


def test_the_setting_of_a_plugin_is_kept(devpi: Devpi) -> None:
    name, setting = "root/jenkins", "uploadtrigger_jenkins"
    first, second = "http://jenkins.example/{pkgname}", "https://jenkins.example/{pkgname}"
    devpi.proves([f"create index {name}"], devpi_index, name=name, settings={setting: first})
    devpi.proves([f"update index {name} ({setting})"], devpi_index, name=name, settings={setting: second})
    proof = devpi.proves([f"update index {name} (title)"], devpi_index, name=name, title="Another")
    assert proof.end["indexes"][name][setting] == second
