"""Addresses of this host for a while, of which an inventory knows nothing, and a machine on a link of its own.

Needs root and iproute2. The addresses of the link are those at which clouds tell a host about itself.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

#: Addresses of clients: two of one /64, and one of another.
CLIENTS = ("fd5e:c0de:1::1", "fd5e:c0de:1::2", "fd5e:c0de:2::1")
#: Where clients find the host, and by which an upstream may send devpi there.
HOST = "fd5e:c0de::1"
#: The machine on the link, by addresses that are only there.
LINK, MACHINE = "devpi-link", "devpi-cloud"
NEIGHBOURS = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fe80::c10d")
PORT = 80
#: Says hello to each client of each address.
SAYS_HELLO = """
import socket, sys, threading
def serve(server):
    while True:
        client, _address = server.accept()
        client.sendall(b"hello")
        client.close()
servers = [socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)]
print("ready", flush=True)
serve(servers[0])
"""
#: Prints who of these answers. The scope is that of a link-local address.
ASKS = """
import socket, sys
link, port, *addresses = sys.argv[1:]
for address in addresses:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = (address, int(port), 0, socket.if_nametoindex(link)) if address.startswith("fe80") else (address, int(port))
    with socket.socket(family) as asked:
        asked.settimeout(3)
        try:
            asked.connect(where)
            if asked.recv(5) == b"hello":
                print(address)
        except OSError:
            pass
"""


def ip(*words: str) -> None:
    """Call ip. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def own_addresses(*addresses: str) -> Iterator[None]:
    """Give addresses of IPv6 to this host."""
    try:
        for address in addresses:
            ip("-6", "address", "add", f"{address}/64", "dev", "lo", "nodad")
        yield
    finally:
        for address in addresses:
            subprocess.run(["ip", "-6", "address", "delete", f"{address}/64", "dev", "lo"], check=False)


@contextlib.contextmanager
def machine_on_the_link() -> Iterator[None]:
    """Let a machine answer at NEIGHBOURS, on a link of its own."""
    ip("netns", "add", MACHINE)
    try:
        ip("link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", MACHINE)
        ip("link", "set", LINK, "up")
        ip("-n", MACHINE, "link", "set", "eth0", "up")
        ip("address", "add", "169.254.169.1/32", "dev", LINK)
        ip("-6", "address", "add", "fd00:ec2::1/64", "dev", LINK, "nodad")
        # The way back, which has no other.
        ip("-n", MACHINE, "route", "add", "169.254.169.1/32", "dev", "eth0")
        for address in NEIGHBOURS:
            size = "64" if ":" in address else "32"
            words = ["nodad"] if ":" in address else []
            ip("-n", MACHINE, "address", "add", f"{address}/{size}", "dev", "eth0", *words)
            if ":" not in address:
                ip("route", "add", f"{address}/32", "dev", LINK, "src", "169.254.169.1")
        command = ["ip", "netns", "exec", MACHINE, sys.executable, "-c", SAYS_HELLO, str(PORT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as machine:
            try:
                if machine.stdout is None or machine.stdout.readline() != "ready\n":
                    raise OSError("The machine on the link does not begin.")
                # The link-local address of this end may still be tentative.
                end = time.monotonic() + 10
                while len(reached(0)) < len(NEIGHBOURS) and time.monotonic() < end:
                    time.sleep(0.2)
                yield
            finally:
                machine.kill()
    finally:
        # The other end of the link goes with it.
        ip("netns", "delete", MACHINE)


def reached(user: int) -> list[str]:
    """Return which of NEIGHBOURS answer a user."""
    command = ["/usr/bin/python3", "-c", ASKS, LINK, str(PORT), *NEIGHBOURS]
    return subprocess.run(command, check=True, capture_output=True, text=True, user=user).stdout.split()
