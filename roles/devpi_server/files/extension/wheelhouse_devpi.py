"""A plugin of devpi-server for what its options do not limit.

devpi-web unpacks documentation whatever its size, each member in memory. devpi-ldap waits for its servers for ever, and
a login that waits keeps all others from writing. And those who wait to write all wait with SQLite, which has no queue.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import sys
import threading
import weakref
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

from devpi_server.log import threadlog
from pluggy import HookimplMarker
from pyramid.httpexceptions import HTTPRequestEntityTooLarge

hookimpl = HookimplMarker("devpiserver")
#: Documentation with more files than that is none.
MOST_MEMBERS = 50_000
#: Bytes of the list of the members, which is read as a whole.
MOST_DIRECTORY = 16 << 20
#: The end of an archive is within its last bytes: 22, and a comment of at most 65,535.
END, END_SIZE, BIG_END = b"PK\x05\x06", 22, b"PK\x06\x07"


def problem_of(file: BinaryIO, most: int) -> str:
    """Say why documentation may not be unpacked, or nothing. `most` is in bytes."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_SIZE - 65_535))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + END_SIZE:
        return "it is not a zip archive"
    # An archive of the 64-bit kind tells another size of its directory, and has more than documentation needs.
    if tail[: max(0, at - 16)].endswith(BIG_END) or struct.unpack_from("<L", tail, at + 12)[0] > MOST_DIRECTORY:
        return "it has too many members"
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as problem:
        return f"it cannot be read: {problem}"
    if len(members) > MOST_MEMBERS:
        return f"it has {len(members)} members, more than {MOST_MEMBERS}"
    # What a member says of its size is true: zipfile unpacks no more than that of it.
    unpacked = sum(member.file_size for member in members)
    return f"it has {unpacked} bytes when it is unpacked, more than {most}" if unpacked > most else ""


def documentation_guard(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Refuse documentation that is too large when it is unpacked, before anything of it is kept."""
    most = registry["xom"].config.args.documentation_max_mib << 20

    def guarded(request: Any) -> Any:
        if request.method == "POST" and request.content_type == "multipart/form-data":
            content = request.POST.get("content")
            if request.POST.get(":action") == "doc_upload" and hasattr(content, "file"):
                problem = problem_of(content.file, most)
                content.file.seek(0)
                if problem:
                    threadlog.warn("documentation of %s was refused: %s", request.path, problem)
                    return HTTPRequestEntityTooLarge(f"The documentation was refused: {problem}.")
        return handler(request)

    return guarded


class Bounded:
    """ldap3, with an end of the waiting for servers that do not answer."""

    def __init__(self, ldap3: Any) -> None:
        self._ldap3 = ldap3
        ldap3.set_config_parameter("POOLING_LOOP_TIMEOUT", 0)
        self.Server = functools.partial(ldap3.Server, connect_timeout=5)
        # Each server is tried once.
        self.ServerPool = functools.partial(ldap3.ServerPool, active=1)

    def __getattr__(self, name: str) -> Any:
        """Everything else is ldap3's own."""
        return getattr(self._ldap3, name)


def bound_ldap(module: Any) -> None:
    """Let devpi-ldap give up, and devpi go on with the passwords of its own."""
    validate = module.LDAP.validate

    def validate_or_give_up(self: Any, username: str, password: str) -> Any:
        try:
            return validate(self, username, password)
        except (module.LDAP.LDAPException, module.AuthException) as problem:
            threadlog.error("LDAP gave no answer, so %r cannot log in by it: %s", username, problem)
            return {"status": "unknown"}

    module.LDAP.ldap3 = Bounded(module.ldap3)
    module.LDAP.validate = validate_or_give_up


def write_in_turn(storage: Any, connection: Any) -> None:
    """Let the threads of devpi queue for a connection that writes, before they ask SQLite for it.

    SQLite lets one write, and has no queue: each of the others sleeps, up to 0.1 s, and asks again
    (sqliteDefaultBusyCallback in its main.c, and get_connection of devpi alike). Those who slept at once wake at once,
    and one of them gets on: a mirror then gains ten files a second, whatever the machine can do.
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


@hookimpl
def devpiserver_add_parser_options(parser: Any) -> None:
    """Add the option to devpi-server."""
    parser.addgroup("wheelhouse").addoption(
        "--documentation-max-mib", type=int, default=512, help="MiB that documentation may have when it is unpacked"
    )


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:
    """Put all in."""
    pyramid_config.add_tween("wheelhouse_devpi.documentation_guard")
    if "devpi_ldap.main" in sys.modules:
        bound_ldap(sys.modules["devpi_ldap.main"])
    # The storage of devpi 6, and that of devpi 7. That of PostgreSQL waits in PostgreSQL, which has a queue.
    for name in ("keyfs_sqlite_fs", "keyfs_sqla_lite"):
        module = sys.modules.get(f"devpi_server.{name}")
        if module:
            write_in_turn(module.Storage, module.Connection)
