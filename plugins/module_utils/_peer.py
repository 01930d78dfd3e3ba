# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers on this host: a password goes to nobody who could not be a server of the administrator.

Any user of a host may bind a free port of it, and may plant a socket wherever they may write.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import socket
import stat
import struct
import typing as t
from pathlib import Path

ROOT = 0

SYSTEM_ACCOUNTS = (range(1, 1000), range(61184, 65520))
"""User ids that belong to no person: those of packages (Debian policy, 9.2.2) and of systemd's DynamicUser."""

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h)."""


class UntrustedPeerError(Exception):
    """Whoever answers may be anybody, told in a sentence that says what to do."""


def connect_unix(path: str, timeout: float | None) -> socket.socket:
    """Connect to who listens on a unix socket, and is root or the owner of its folder.

    ``timeout`` is in seconds. Raises OSError, and UntrustedPeerError before anything is sent.
    """
    owner = _owner_of_socket_folder(Path(path))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
        listener = _uid_of_listener(connection)
        if listener not in (ROOT, owner):
            raise UntrustedPeerError(
                f"{path} is answered by user {_name(listener)}, and its folder belongs to {_name(owner)}: nothing was "
                "sent. Stop that process, and start the server that the socket belongs to."
            )
    except BaseException:
        connection.close()
        raise
    return connection


def check_listener(connection: socket.socket) -> None:
    """Refuse a port of this host that a person listens on, other than who runs this. Raises UntrustedPeerError.

    Of another host it does not tell.
    """
    address, port = connection.getpeername()[:2]
    if not is_loopback(address) and address != connection.getsockname()[0]:
        return
    for owner in _listeners(ipaddress.ip_address(address.partition("%")[0]), port):
        if _is_a_person(owner):
            raise UntrustedPeerError(
                f"{address}:{port} is a port of this host that user {_name(owner)} listens on, who is no system "
                "account: nothing was sent. Write the unix socket of devpi-server in url, such as "
                "unix:///run/devpi/devpi.sock, or let the server run as a system account."
            )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself, which no HTTP proxy can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _owner_of_socket_folder(path: Path) -> int:
    """Return to which user the folder of a socket was given by who may give it. Raises UntrustedPeerError, OSError."""
    folder = path.parent
    real = Path(os.path.realpath(folder))
    if real != folder:
        raise UntrustedPeerError(f"{folder} is reached by a link: write url with the folder itself, unix://{real}/.")
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise UntrustedPeerError(
            f"{path} is no socket (nor may it be a link to one): write url with the path of the socket of devpi-server."
        )
    inner = folder.lstat()
    if inner.st_mode & stat.S_IWOTH:
        raise UntrustedPeerError(
            f"{folder} can be written by everybody, so anybody may have made {path.name} there: let the server "
            "listen in a folder of its own."
        )
    for above in folder.parents:
        status = above.lstat()
        may_be_replaced = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (
            # In a folder such as /tmp, nobody replaces what belongs to others; a container may have such a /run.
            status.st_mode & stat.S_ISVTX and not _is_a_person(inner.st_uid)
        )
        if status.st_uid not in (ROOT, os.geteuid()) or may_be_replaced:
            raise UntrustedPeerError(
                f"{above} can be written by others than root, so they may have made what is at {path}: let the server "
                "listen in a folder below /run."
            )
        inner = status
    return folder.lstat().st_uid


def _is_a_person(uid: int) -> bool:
    """Whether a user is neither root, nor who runs this, nor a system account."""
    return uid not in (ROOT, os.geteuid()) and not any(uid in accounts for accounts in SYSTEM_ACCOUNTS)


def _uid_of_listener(connection: socket.socket) -> int:
    """Return as which user the other side began to listen (SO_PEERCRED in unix(7))."""
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _listeners(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> t.Iterator[int]:
    """Yield as which users this host listens at an address, itself or as one of all."""
    wanted = {_mapped(address), *map(_mapped, map(ipaddress.ip_address, ("0.0.0.0", "::")))}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _number, local, _remote, state, *rest = row.split()
            place, _, local_port = local.partition(":")
            if state == LISTEN and int(local_port, 16) == port and _mapped(_address(place)) in wanted:
                yield int(rest[3])


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of /proc/net/tcp: words of 32 bits, each in the order of bytes of this machine."""
    words = (int(word, 16) for word in re.findall("." * 8, digits))
    return ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words))


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    """Return an address as the tables of IPv6 have it."""
    return ipaddress.IPv6Address(f"::ffff:{address}") if isinstance(address, ipaddress.IPv4Address) else address


def _name(uid: int) -> str:
    try:
        return repr(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)
