# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain pytest find the collection. The fixtures stand in plugins/conftest.py, which can import it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[2]


def _make_importable() -> tempfile.TemporaryDirectory[str] | None:
    """Let plain pytest import the collection from any checkout, as ansible-test does from its own place.

    Returns the folder that must live as long as the tests run.
    """
    if COLLECTION.parts[-3:] == ("ansible_collections", "wheelhouse", "devpi"):
        sys.path.insert(0, str(COLLECTION.parents[2]))
        return None
    tree = tempfile.TemporaryDirectory(prefix="wheelhouse-unit-")
    place = Path(tree.name) / "ansible_collections" / "wheelhouse"
    place.mkdir(parents=True)
    (place / "devpi").symlink_to(COLLECTION)
    sys.path.insert(0, tree.name)
    return tree


_TREE = _make_importable()
