"""A queue for those who write: SQLite has none, and the threads of devpi wake and sleep in each other's way."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import Any


def write_in_turn(storage: Any, connection: Any) -> None:
    """Let the threads of devpi queue for a connection that writes, before they ask SQLite for it.

    `storage` and `connection` are the classes of a module of devpi. SQLite lets one write, and has no queue: each of
    the others sleeps, up to 0.1 s, and asks again (sqliteDefaultBusyCallback in its main.c, and get_connection of devpi
    alike). Those who slept at once wake at once, and one of them gets on: a mirror then gains ten files a second,
    whatever the machine can do.
    """
    line = threading.Lock()
    get_connection, close = storage.get_connection, connection.close

    def get_in_turn(self: Any, closing: bool = True, write: bool = False, timeout: float = 30) -> Any:
        if not write:
            return get_connection(self, closing=closing, write=write, timeout=timeout)
        # Who waits for too long goes on to SQLite, which is the judge in any case.
        first = line.acquire(timeout=timeout)
        try:
            conn = get_connection(self, closing=False, write=write, timeout=timeout)
        except BaseException:
            if first:
                line.release()
            raise
        if first:
            # Once: when it is closed, or when nobody has it any more, by which SQLite is free as well.
            conn.end_of_turn = weakref.finalize(conn, line.release)
            conn.end_of_turn.atexit = False
        return contextlib.closing(conn) if closing else conn

    def close_in_turn(self: Any) -> None:
        try:
            close(self)
        finally:
            turn = getattr(self, "end_of_turn", None)
            if turn:
                turn()

    storage.get_connection, connection.close = get_in_turn, close_in_turn
