# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What devpi logs has no login of a mirror in it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from devpi import URL, Devpi
from devpi_wheelhouse import logs

UPSTREAM = "https://reader:c4nary%40@upstream.test/simple/"


@pytest.fixture(name="log")
def _log() -> Iterator[io.StringIO]:
    """What a handler of the root logger writes, as the one of the server does."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(levelname)-5.5s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_mirror_is_made_and_changed(log: io.StringIO, devpi: Devpi) -> None:
    # The server began with handlers of its own; a second call changes nothing of those.
    logs.clean()
    logs.clean()
    devpi.add_user("team")
    devpi.add_mirror("team/mirror", UPSTREAM)
    devpi.manage("PATCH", "/team/mirror", [f"{URL}={UPSTREAM}more/"])
    said = log.getvalue()
    assert "committed at" in said
    assert "c4nary" not in said
    assert "reader" not in said


def test_a_traceback(log: io.StringIO) -> None:
    logs.clean()
    try:
        raise ValueError(f"no answer from {UPSTREAM}")
    except ValueError:
        logging.getLogger("devpi").exception("cannot ask %s", UPSTREAM)
    said = log.getvalue()
    assert "ERROR cannot ask https://upstream.test/simple/" in said
    assert "ValueError: no answer from https://upstream.test/simple/" in said
    assert "c4nary" not in said
