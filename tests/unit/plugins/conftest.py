# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run, serving


@pytest.fixture(name="devpi")
def _devpi() -> Iterator[FakeDevpi]:
    with serving(FakeDevpi()) as fake:
        yield fake


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="run")
def _run(devpi: FakeDevpi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module against the fake server and return what it prints for Ansible. An option that is None is not set."""

    def run(module: ModuleType, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        args = {
            "url": devpi.url,
            "login_password": "rootpw",
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
            **options,
        }
        args = {name: value for name, value in args.items() if value is not None}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run
