# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that stay open, uploads that a server refuses or loses, and proxies."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, CheckModeLockError, Client
from ansible_collections.wheelhouse.devpi.plugins.module_utils._connections import Form, proxy_for
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler

ANSWER = b'HTTP/1.1 200 OK\r\nX-Devpi-Server-Version: 6.20.3\r\nContent-Length: 14\r\n\r\n{"result": {}}'


@contextmanager
def listening(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """Let a function talk to each client, and return the URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_head(connection: socket.socket) -> bytes:
    """Read a request up to its empty line, and perhaps some of its body."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1000)
    return head


def client(url: str) -> Client:
    """Make a client that waits two seconds at most."""
    return Client(url, check_mode=False, timeout=2)


@pytest.fixture(name="form")
def _form(tmp_path: Path) -> Form:
    """A form with a file that fits in no buffer on the way."""
    file = tmp_path / "large.whl"
    file.write_bytes(b"x" * 30_000_000)
    return Form([(":action", "file_upload")], "content", file.name, file)


def test_form(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\0content\r\n")
    form = Form([("name", "é"), ("classifiers", "a"), ("classifiers", "b")], "content", "a-1.whl", file)
    boundary = form.content_type.partition("boundary=")[2]
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    expected = (
        f'{part}name"\r\n\r\né\r\n{part}classifiers"\r\n\r\na\r\n{part}classifiers"\r\n\r\nb\r\n'
        f'{part}content"; filename="a-1.whl"\r\nContent-Type: application/octet-stream\r\n\r\n\0content\r\n'
        f"\r\n--{boundary}--\r\n"
    ).encode()
    assert b"".join(form) == b"".join(form) == expected
    assert len(form) == len(expected)


def test_connections_are_kept_only_where_it_is_wanted(devpi: FakeDevpi) -> None:
    api = client(devpi.url)
    for expected in (1, 2):
        api.get("/")
        assert devpi.connections == expected
    with api.kept_open():
        for _call in range(5):
            api.get("/")
    assert devpi.connections == 3


def test_threads_have_a_connection_each(devpi: FakeDevpi) -> None:
    api = client(devpi.url)
    with api.kept_open(), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(api.get, ["/"] * 40)) == [devpi.users] * 40
    assert 1 <= devpi.connections <= 4


def test_the_serial_is_that_of_the_last_change(devpi: FakeDevpi) -> None:
    api = client(devpi.url)
    # Answers to several threads come in any order.
    for serial in (7, 9, 8):
        devpi.serial = serial
        api.get("/")
    assert api.serial == 9


def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    closed = threading.Semaphore(0)

    def serve_once(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(ANSWER)
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    with listening(serve_once) as url:
        api = client(url)
        with api.kept_open():
            for _call in range(3):
                assert api.get("/") == {}
                closed.acquire()


def test_connection_with_tls_is_kept_open(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout {key} -out {certificate}".split()
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    answered: list[int] = []

    def serve(connection: socket.socket) -> None:
        answered.append(0)
        with context.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(10000):
                tls.sendall(ANSWER)
                answered[-1] += 1

    with listening(serve) as url:
        api = Client(url.replace("http:", "https:"), check_mode=False, timeout=2, ca_path=str(certificate))
        with api.kept_open():
            for _call in range(3):
                assert api.get("/") == {}
    assert answered == [3]


def test_answer_that_comes_before_the_upload_was_read(form: Form) -> None:
    page = b"<html><title>413 Request Entity Too Large</title></html>"

    def refuse(connection: socket.socket) -> None:
        read_head(connection)
        head = f"HTTP/1.1 413 Too Large\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        connection.sendall(head.encode() + page)
        connection.shutdown(socket.SHUT_WR)
        # As nginx does, read on for a moment, lest the client never sees the answer.
        for _part in range(50):
            connection.recv(65536)

    with listening(refuse) as url, pytest.raises(ApiError, match=r"refuses an upload of that size \(413\): raise"):
        client(url).upload("team/dev", form)


def test_connection_that_is_lost_in_the_middle_of_an_upload(form: Form) -> None:
    with listening(read_head) as url, pytest.raises(ApiError, match="closed the connection without a whole answer"):
        client(url).upload("team/dev", form)


def test_server_that_stops_reading(form: Form) -> None:
    free = threading.Event()

    def hang(connection: socket.socket) -> None:
        read_head(connection)
        free.wait()

    with listening(hang) as url:
        api = Client(url, check_mode=False, timeout=1)
        api.timeout = -len(form) / 10_000_000 + 0.5  # The size of the file adds three seconds.
        with pytest.raises(ApiError, match="did not answer within"):
            api.upload("team/dev", form)
        free.set()


def test_file_that_becomes_shorter(form: Form, tmp_path: Path) -> None:
    (tmp_path / "large.whl").write_bytes(b"short")

    def read_all(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    message = r"large\.whl cannot be read on this host \(it became shorter while"
    with listening(read_all) as url, pytest.raises(ApiError, match=message):
        client(url).upload("team/dev", form)


def test_server_that_fails_inside(devpi: FakeDevpi) -> None:
    page = "Internal Server Error\r\n\r\n(generated by waitress)"
    devpi.mischief = [lambda handler: handler.reply(500, page, "text/plain")]
    with pytest.raises(ApiError, match=r"failed inside \(500\): see its journal, and whether its disk is full"):
        client(devpi.url).get("/")


def test_upload_in_check_mode(devpi: FakeDevpi, form: Form) -> None:
    api = Client(devpi.url, check_mode=True)
    with pytest.raises(CheckModeLockError):
        api.upload("team/dev", form)
    with pytest.raises(CheckModeLockError):
        api.push("team/dev", {})
    assert devpi.seen == []


def test_upload_that_something_else_takes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")

    def take(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with listening(take) as url, pytest.raises(ApiError, match="not that of devpi-server"):
        client(url).upload("team/dev", Form([], "content", "file", file))


def test_file_that_is_fetched(devpi: FakeDevpi, tmp_path: Path) -> None:
    content = "x" * 3_000_000
    accepted: list[str | None] = []

    def send(handler: Handler) -> None:
        accepted.append(handler.headers.get("Accept"))
        handler.reply(200, content)

    devpi.mischief = [send, lambda handler: handler.reply(404, '{"message": "no such file"}')]
    with (tmp_path / "copy").open("wb") as file:
        client(devpi.url).fetch("/team/dev/+f/1/2/x.zip", file)
        assert accepted == ["*/*"]
        with pytest.raises(ApiError, match=r"x\.zip failed \(404\): no such file"):
            client(devpi.url).fetch("/team/dev/+f/1/2/x.zip", file)
    assert (tmp_path / "copy").read_text() == content


def test_http_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(ANSWER)

    with listening(serve) as url:
        monkeypatch.setenv("http_proxy", url.replace("//", "//me:secret%21@"))
        monkeypatch.delenv("no_proxy", raising=False)
        assert client("http://devpi.invalid/prefix").get("/+api") == {}
    assert heads[0].startswith(b"GET http://devpi.invalid/prefix/+api HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0IQ==\r\n" in heads[0]


def test_https_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with listening(refuse) as url:
        monkeypatch.setenv("https_proxy", url.removeprefix("http://"))
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(ApiError, match="cannot be reached: Tunnel connection failed: 403 Forbidden"):
            client("https://devpi.invalid").get("/")
    assert heads[0].startswith(b"CONNECT devpi.invalid:443 HTTP/1.")


def test_no_proxy_for_a_host_that_the_environment_excludes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "devpi.test,other.test")
    assert proxy_for(urlsplit("http://devpi.test:3141/")) is None
    found = proxy_for(urlsplit("http://elsewhere.test/"))
    assert found is not None
    assert (found.hostname, found.port) == ("proxy.test", 3128)


@pytest.mark.parametrize("url", ["http://devpi.test:nine", "http://devpi.test:99999"])
def test_port_that_is_none(url: str) -> None:
    with pytest.raises(ApiError, match="is no URL; write one such as https://devpi"):
        client(url)
