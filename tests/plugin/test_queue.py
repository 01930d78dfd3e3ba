# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers queue for the storage of a real devpi-server, and SQLite stays the judge."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import threading
import time
from typing import Any

import pytest
from devpi import MAJOR, Devpi

WRITERS = 30


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite wait for a tenth of a second, and not for a minute."""
    connect = sqlite3.connect

    def connect_impatiently(*path: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*path, **{**options, "timeout": 0.1})
        return made

    # The second is what SQLAlchemy calls, with which devpi 7 does it.
    for place in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(place, "connect", connect_impatiently)


@pytest.fixture
def storage(devpi: Devpi) -> Any:
    """The storage of a server."""
    found = devpi.xom.keyfs._storage
    module = "devpi_server.keyfs_sqlite_fs" if MAJOR == 6 else "devpi_server.keyfs_sqla_lite"
    assert module in {kind.__module__ for kind in type(found).__mro__}
    assert "get_in_turn" in type(found).get_connection.__qualname__
    return found


def is_free(storage: Any) -> bool:
    """Say whether the next writer comes at once."""
    begin = time.monotonic()
    storage.get_connection(write=True, closing=False, timeout=5).close()
    return time.monotonic() - begin < 1


def test_nobody_asks_sqlite_while_another_writes(storage: Any) -> None:
    together, writers, most = threading.Barrier(WRITERS), [], []

    def write() -> None:
        with storage.get_connection(write=True):
            writers.append(1)
            most.append(len(writers))
            time.sleep(0.002)
            writers.pop()

    def write_together() -> None:
        together.wait()
        write()

    # Beside others' work, a try may take long. Without the queue each does, because those who ask in vain sleep.
    for _try in range(5):
        begin = time.monotonic()
        for _writer in range(WRITERS):
            write()
        in_a_row = time.monotonic() - begin
        threads = [threading.Thread(target=write_together) for _writer in range(WRITERS)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        at_once = time.monotonic() - begin
        print(f"{WRITERS} writers: {in_a_row:.2f} s one after another, {at_once:.2f} s at once")
        if at_once < 3 * in_a_row:
            break
    assert set(most) == {1}
    assert at_once < 3 * in_a_row


def test_readers_do_not_wait_for_writers(storage: Any) -> None:
    begin = time.monotonic()
    with storage.get_connection(write=True), storage.get_connection():
        assert time.monotonic() - begin < 1


def test_the_turn_ends_once_however_often_a_connection_is_closed(storage: Any) -> None:
    first = storage.get_connection(write=True, closing=False)
    first.close()
    second = storage.get_connection(write=True, closing=False)
    with contextlib.suppress(Exception):
        first.close()
    waiting = threading.Thread(target=lambda: storage.get_connection(write=True, closing=False).close())
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    second.close()
    waiting.join(60)
    assert not waiting.is_alive()


def test_the_turn_ends_with_a_connection_that_is_lost(storage: Any) -> None:
    lost = storage.get_connection(write=True, closing=False)
    lost.rollback()
    del lost
    gc.collect()
    assert is_free(storage)


@pytest.mark.usefixtures("impatient")
def test_the_turn_ends_where_sqlite_refuses(storage: Any, devpi: Devpi) -> None:
    (database,) = (
        devpi.config.server_path / name
        for name in (".sqlite", ".sqlite_alchemy")
        if (devpi.config.server_path / name).exists()
    )
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(Exception, match=r"(?i)locked|timeout|timed out"):
            storage.get_connection(write=True, timeout=0.1)
    assert is_free(storage)


@pytest.mark.usefixtures("impatient")
def test_who_waits_for_too_long_asks_sqlite(storage: Any) -> None:
    with storage.get_connection(write=True), pytest.raises(Exception, match=r"(?i)locked|timeout|timed out"):
        storage.get_connection(write=True, timeout=0.1)
    assert is_free(storage)
