# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real devpi-server for the tests of its plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
from devpi import Devpi
from devpi_server.auth import pwd_context
from devpi_server.config import Config

# A start takes a second with these, and eight without; a login as well costs less.
CHEAP = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
Config._secret_parameters = argon2.Parameters(
    argon2.low_level.Type.ID, argon2.low_level.ARGON2_VERSION, 16, 16, **CHEAP
)
pwd_context.update(**{f"argon2__{name}": value for name, value in CHEAP.items()})


@pytest.fixture
def devpi(tmp_path: Path) -> Iterator[Devpi]:
    """A new server."""
    yield from Devpi.started(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devpi]:
    """A server for tests that change nothing of it: with users, and indexes of which some are private."""
    for server in Devpi.started(tmp_path_factory.mktemp("shared")):
        for user in ("alice", "bob", "guest", "team", "closed"):
            server.add_user(user)
        server.add_index("team/dev")
        server.add_index("team/public")
        # What is inherited twice is as private as what is inherited once.
        server.add_index("team/between", ["team/public", "team/dev"])
        server.add_index("team/inherited", ["team/between"])
        server.add_index("closed/any")
        server.add_mirror("team/mirror", "http://upstream:secret@127.0.0.1:9/simple/")
        server.write_rules([{"name": "team/dev", "readers": ["alice", ":guests"]}, {"name": "closed"}])
        yield server
