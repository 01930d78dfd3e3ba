# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches are put into what they were tested with, and nothing keeps devpi from starting."""

from __future__ import annotations

import dataclasses
import logging
import sys
import types
from pathlib import Path
from typing import Any

import devpi_server
import pytest
from devpi import Devpi
from devpi_wheelhouse.patches import PATCHES, Patch, apply

THIS = devpi_server.__version__


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Patch:
    """A patch of a module that devpi has loaded."""
    monkeypatch.setitem(sys.modules, "devpi_server.patched", types.ModuleType("devpi_server.patched"))

    def change(module: Any) -> None:
        module.changed = True

    return Patch("some", "devpi_server.patched", "devpi-server", frozenset({THIS}), change)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what went to the journal."""
    messages = [record.getMessage().removeprefix("NOCTX ") for record in caplog.records]
    return [message for message in messages if message.startswith("patch ")]


def test_tested_version_is_patched(patch: Patch) -> None:
    assert apply([], (patch,)) == ["devpi_server.patched"]
    assert sys.modules["devpi_server.patched"].changed
    assert apply([], (patch,)) == [], "once"


def test_another_version_is_left_alone_with_one_line(patch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert apply([], (dataclasses.replace(patch, tested=frozenset({"6.0", "6.1"})),)) == []
    assert lines(caplog) == [
        "patch some of devpi_server.patched is left out: "
        f"it was tested with devpi-server 6.0 and 6.1, and this is {THIS}"
    ]


def test_patch_is_switched_off(patch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert apply(["some"], (patch,)) == []
    assert lines(caplog) == ["patch some of devpi_server.patched is switched off"]


def test_patch_of_what_is_not_loaded_says_nothing(patch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    assert apply([], (dataclasses.replace(patch, module="devpi_server.nothing"),)) == []
    assert lines(caplog) == []


def test_patch_that_fails_is_left_out_with_one_line(patch: Patch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_module: Any) -> None:
        raise AttributeError("Storage")

    assert apply([], (dataclasses.replace(patch, apply=fail),)) == []
    assert lines(caplog) == ["patch some of devpi_server.patched failed, and is left out: AttributeError('Storage')"]


def test_this_devpi_is_one_that_the_queue_was_tested_with(devpi: Devpi) -> None:
    assert any(patch.name == "writer_queue" and THIS in patch.tested for patch in PATCHES)
    assert any(
        getattr(sys.modules.get(patch.module), "devpi_wheelhouse_patch", "") == "writer_queue" for patch in PATCHES
    )


def test_devpi_starts_without_its_rules(tmp_path: Path) -> None:
    for server in Devpi.started(tmp_path):
        server.rules.write_text("no json")
        assert server.xom.create_app()
        assert server.ask("/+api", {}).status_code == 200
