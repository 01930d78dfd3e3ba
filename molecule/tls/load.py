"""Ask nginx over HTTPS without a pause while a command lets it read a new certificate, and count what went wrong.

Arguments: the domain, the file with the CA of the certificates, the size of the file /root/pypi/+f/large, then the
command (such as systemctl start devpi-certificate.service). It runs when a third of the requests are answered. Prints
JSON:

- failed: requests without a whole answer of status 200, as sentences;
- reopened: idle connections that nginx had closed before a request was sent;
- retried: requests that met nginx closing an idle connection. They got no byte of an answer and were sent once more, as
  HTTP clients do (RFC 9112, 9.3.1);
- serials: of the certificates, in the order in which they were first seen;
- spanned: whether the large file, begun before the command and read slowly, came whole after it.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

#: Requests of each worker. Workers with an even number open a connection for each request, the others keep theirs.
REQUESTS, WORKERS = 300, 6

domain, ca, size, *command = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
lock = threading.Lock()
answered = threading.Semaphore(0)
failed: list[str] = []
serials: list[str] = []
counts = {"reopened": 0, "retried": 0}


def connect() -> http.client.HTTPConnection:
    """Connect to the nginx of this host, and note whose certificate it shows."""
    connection = http.client.HTTPConnection(domain, 443)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", 443), 10), server_hostname=domain)
    certificate = connection.sock.getpeercert()
    assert certificate is not None
    serial = str(certificate["serialNumber"])
    with lock:
        if serial not in serials:
            serials.append(serial)
    return connection


def ask(connection: http.client.HTTPConnection) -> bool:
    """Ask, and return whether the connection is good for another request."""
    connection.request("GET", "/+api")
    response = connection.getresponse()
    if response.read() != b"{}" or response.status != 200:
        raise http.client.HTTPException(f"status {response.status}")
    return not response.will_close


def work(number: int) -> None:
    """Ask, each time whatever came of the time before."""
    kept = None
    for _request in range(REQUESTS):
        try:
            if kept is not None and select.select([kept.sock], [], [], 0)[0]:
                kept = None
                counts["reopened"] += 1
            connection = kept or connect()
            try:
                good = ask(connection)
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError):
                if kept is None:
                    raise
                counts["retried"] += 1
                connection = connect()
                good = ask(connection)
            kept = connection if good and number % 2 else None
            if kept is None:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            kept = None
            failed.append(f"worker {number}: {error!r}")
        answered.release()


threads = [threading.Thread(target=work, args=[number]) for number in range(WORKERS)]
large = connect()
large.request("GET", "/root/pypi/+f/large")
body = large.getresponse()
received = len(body.read(1000))
for thread in threads:
    thread.start()
for _answer in range(REQUESTS * WORKERS // 3):
    answered.acquire()
before = list(serials)
ran = subprocess.run(command, check=False, capture_output=True, text=True)
while part := body.read(1_000_000):
    received += len(part)
    time.sleep(0.02)
for thread in threads:
    thread.join()
connect()
print(
    json.dumps(
        {
            "requests": REQUESTS * WORKERS,
            "failed": failed,
            **counts,
            "before": before,
            "serials": serials,
            "spanned": received == int(size),
            "command": [ran.returncode, ran.stderr],
        }
    )
)
