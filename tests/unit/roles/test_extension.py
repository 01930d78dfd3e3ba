# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the plugin of devpi-server lets writers queue, with a storage that opens SQLite as devpi's own does."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

#: What the plugin imports of devpi's environment.
STAND_INS: dict[str, dict[str, Any]] = {
    "devpi_server.log": {"threadlog": None},
    "pluggy": {"HookimplMarker": lambda _project: lambda function: function},
    "pyramid.httpexceptions": {"HTTPRequestEntityTooLarge": None},
}
WRITERS = 30


class Connection:
    """A connection of devpi's storage, which ends the transaction when it is closed."""

    def __init__(self, database: sqlite3.Connection, writers: list[int]) -> None:
        self.database, self.writers = database, writers

    def close(self) -> None:
        """Let SQLite go."""
        self.writers.clear()
        self.database.close()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A storage whose writers queue."""
    for name, content in STAND_INS.items():
        parent = name.partition(".")[0]
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        for key, value in content.items():
            monkeypatch.setattr(sys.modules[name], key, value, raising=False)
    plugin = load("roles/devpi_server/files/extension/wheelhouse_devpi.py")
    own_connection = type("OwnConnection", (Connection,), {})

    class Storage:
        """As BaseStorage of devpi_server/keyfs_sqlite.py: SQLite waits by sleeping."""

        waits = 60.0

        def __init__(self) -> None:
            self.writers: list[int] = []
            self.writers_at_once: list[int] = []

        def get_connection(self, closing: bool = True, write: bool = False, timeout: float = 30) -> Any:
            """Open the database, and begin to write. Raises sqlite3.OperationalError where others do for too long."""
            database = sqlite3.connect(
                tmp_path / "db", timeout=self.waits, isolation_level=None, check_same_thread=False
            )
            if write:
                self.writers.append(1)
                self.writers_at_once.append(len(self.writers))
                database.execute("begin immediate")
            connection = own_connection(database, self.writers if write else [])
            return contextlib.closing(connection) if closing else connection

    plugin.write_in_turn(Storage, own_connection)
    return Storage()


def _is_free(storage: Any) -> bool:
    """Say whether the next writer comes at once."""
    begin = time.monotonic()
    storage.get_connection(write=True, closing=False, timeout=5).close()
    return time.monotonic() - begin < 1


def test_nobody_asks_sqlite_while_another_writes(storage: Any) -> None:
    together = threading.Barrier(WRITERS)

    def write() -> None:
        together.wait()
        with storage.get_connection(write=True):
            time.sleep(0.002)

    threads = [threading.Thread(target=write) for _writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.writers_at_once == [1] * WRITERS


def test_readers_do_not_wait_for_writers(storage: Any) -> None:
    with storage.get_connection(write=True), storage.get_connection() as reader:
        assert reader.database.execute("select 1").fetchone() == (1,)


def test_the_turn_ends_once_however_often_a_connection_is_closed(storage: Any) -> None:
    first = storage.get_connection(write=True, closing=False)
    first.close()
    second = storage.get_connection(write=True, closing=False)
    first.close()
    waiting = threading.Thread(target=lambda: storage.get_connection(write=True, closing=False).close())
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    second.close()
    waiting.join(5)
    assert not waiting.is_alive()


def test_the_turn_ends_with_a_connection_that_is_lost(storage: Any) -> None:
    lost = storage.get_connection(write=True, closing=False)
    lost.database.close()
    del lost
    gc.collect()
    assert _is_free(storage)


def test_the_turn_ends_where_sqlite_refuses(storage: Any, tmp_path: Path) -> None:
    type(storage).waits = 0.1
    with contextlib.closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError):
            storage.get_connection(write=True)
    assert _is_free(storage)


def test_who_waits_for_too_long_asks_sqlite(storage: Any) -> None:
    type(storage).waits = 0.1
    with storage.get_connection(write=True), pytest.raises(sqlite3.OperationalError):
        storage.get_connection(write=True, timeout=0.1)
    assert _is_free(storage)
