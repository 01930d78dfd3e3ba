"""An upstream that sends devpi on to the host of devpi, and a service of that host, which nobody should reach.

The upstream listens where the rules of devpi let the module devpi_index stand in for a mirror: no inventory has to
name it.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from networks import HOST, own_addresses

UPSTREAM = ("127.0.0.1", 1021)
RULES = "/etc/devpi/network.nft"
SECRET = b"what a service of this host tells its own"


class Service(ThreadingHTTPServer):
    """A service of the host, on all of its addresses. Counts who asks."""

    address_family = socket.AF_INET6
    asked = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: a client may hang up."""


class Secret(BaseHTTPRequestHandler):
    """Tells everybody."""

    server: Service

    def do_GET(self) -> None:
        """Answer with what nobody else should know, as a page and as a file."""
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(SECRET)))
        self.end_headers()
        self.wfile.write(SECRET)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def addresses(port: int) -> list[str]:
    """Return URLs of this host: of loopback, in both families and by name, and of its own addresses of both."""
    said = subprocess.run(["hostname", "--all-ip-addresses"], check=True, capture_output=True, text=True).stdout
    own = [f"[{address}]" if ":" in address else address for address in said.split()]
    hosts = ["127.0.0.1", "localhost", "[::1]", "127.0.0.53", "0.0.0.0", "[::ffff:127.0.0.1]", f"[{HOST}]", *own]
    return [f"http://{host}:{port}/" for host in hosts]


class Hostile(BaseHTTPRequestHandler):
    """Sends whoever asks for page or file number N on to address number N."""

    targets: list[str]

    def do_GET(self) -> None:
        """Redirect, or list a file whose URL redirects."""
        asked = re.match(r"/(simple/page|simple/listed|file)-(\d+)/", self.path)
        kind, number = asked.groups() if asked else ("", "0")
        if kind == "simple/listed":
            body = (
                f'<a href="http://{UPSTREAM[0]}:{UPSTREAM[1]}/file-{number}/listed_{number}-1.0.tar.gz">x</a>'.encode()
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_response(302 if asked else 404)
        self.send_header("Location", self.targets[int(number)])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server answer in the background."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def hostile_upstream() -> Iterator[Service]:
    """Let the upstream send devpi to a service of this host, which is returned."""
    service = Service(("::", 0), Secret, bind_and_activate=False)
    service.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    service.server_bind()
    service.server_activate()
    Hostile.targets = addresses(service.server_port)
    with own_addresses(HOST), serving(service), serving(ThreadingHTTPServer(UPSTREAM, Hostile)):
        yield service


@contextlib.contextmanager
def without_rules() -> Iterator[None]:
    """Lift the rules for a moment: what is tried has to come to something without them."""
    subprocess.run(["nft", "delete", "table", "inet", "devpi"], check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "--file", RULES], check=True)
