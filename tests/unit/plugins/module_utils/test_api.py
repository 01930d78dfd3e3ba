# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a real HTTP server that fails in every way a server can."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import (
    ApiError,
    CheckModeLockError,
    Client,
    NothingListensError,
    version_tuple,
)
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler


def client(url: str, *, check_mode: bool = False, **options: Any) -> Client:
    """Make a client that waits one second at most."""
    return Client(url, check_mode=check_mode, timeout=1, **options)


def failure(devpi: FakeDevpi, *mischief: Any) -> str:
    """Return what GET / raises when the server plays these tricks."""
    devpi.mischief = list(mischief)
    with pytest.raises(ApiError) as error:
        client(devpi.url).get("/")
    return str(error.value)


def test_reads_the_tree(devpi: FakeDevpi) -> None:
    api = client(devpi.url + "/")
    assert api.get("/") == devpi.users
    assert (api.version, api.serial) == ("6.20.3", 0)


def test_connection_refused(free_port: int) -> None:
    with pytest.raises(NothingListensError, match=r"Nothing listens at http://127\.0\.0\.1:\d+ .*start devpi-server"):
        client(f"http://127.0.0.1:{free_port}").get("/")


def test_reset(devpi: FakeDevpi) -> None:
    message = failure(devpi, Handler.reset)
    assert "closed the connection without a whole answer (ConnectionResetError)" in message
    assert "If it speaks TLS there, write https://" in message


def test_half_an_answer(devpi: FakeDevpi) -> None:
    def cut_off(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    assert "broke off in the middle of an answer: devpi-server was stopped, or could not" in failure(devpi, cut_off)


def test_timeout(devpi: FakeDevpi) -> None:
    assert "did not answer within 1 s" in failure(devpi, Handler.hang)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_proxy_without_devpi_behind(devpi: FakeDevpi, status: int) -> None:
    page = "<html><title>Bad Gateway</title></html>"
    message = failure(devpi, lambda handler: handler.reply(status, page, "text/html"))
    assert f"The proxy at {devpi.url} answered {status}" in message
    assert "systemctl status devpi-server" in message


def test_proxy_that_wants_a_login(devpi: FakeDevpi) -> None:
    page = "<html><title>401 Authorization Required</title></html>"
    message = failure(devpi, lambda handler: handler.reply(401, page, "text/html"))
    assert f"{devpi.url} shows this to nobody without a login (401): give login_user" in message


def test_html_where_json_was_due(devpi: FakeDevpi) -> None:
    page = "<html><head><title>Welcome to\n nginx!</title></head></html>"
    message = failure(devpi, lambda handler: handler.reply(200, page, "text/html; charset=utf-8"))
    assert "answered 200 with text/html where JSON was due (the page 'Welcome to nginx!')" in message


def test_invalid_json(devpi: FakeDevpi) -> None:
    message = failure(devpi, lambda handler: handler.reply(200, '{"result": '))
    assert "answered 200 with invalid JSON (it begins with '{\"result\": ')" in message


@pytest.mark.parametrize("text", ["[]", "3"])
def test_json_of_something_else(devpi: FakeDevpi, text: str) -> None:
    assert "not that of devpi-server" in failure(devpi, lambda handler: handler.reply(200, text))


def test_result_that_is_no_object(devpi: FakeDevpi) -> None:
    assert "without the object 'result'" in failure(devpi, lambda handler: handler.reply(200, '{"result": []}'))


def test_plain_http_at_a_tls_port_of_nginx(devpi: FakeDevpi) -> None:
    page = "<html>The plain HTTP request was sent to HTTPS port</html>"
    message = failure(devpi, lambda handler: handler.reply(400, page, "text/html"))
    assert message.endswith(f"speaks TLS: write url: https://{devpi.url[7:]}.")


def test_redirect_to_https(devpi: FakeDevpi) -> None:
    message = failure(devpi, lambda handler: handler.reply(301, "", Location="https://devpi.test/"))
    assert message == f"{devpi.url} redirects to https://devpi.test/: write url: https://devpi.test."
    assert devpi.seen == [("GET", "/")]


def test_https_where_http_answers(devpi: FakeDevpi) -> None:
    with pytest.raises(ApiError, match="does not speak TLS: write url: http://"):
        client(devpi.url.replace("http:", "https:")).get("/")


def test_https_where_devpi_waits_for_the_end_of_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ApiError, match=f"did not answer the TLS handshake .*: write url: http://127.0.0.1:{port}"):
            client(f"https://127.0.0.1:{port}").get("/")


@pytest.fixture(name="tls_port")
def _tls_port(tmp_path: Path) -> Iterator[int]:
    """A port that speaks TLS, with a certificate that nobody trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_http_where_https_answers(tls_port: int) -> None:
    with pytest.raises(ApiError, match=r"closed the connection .* If it speaks TLS there, write https:// in url"):
        client(f"http://127.0.0.1:{tls_port}").get("/")


def test_certificate_that_is_not_trusted(tls_port: int) -> None:
    with pytest.raises(ApiError, match=r"is not trusted .*: write ca_path"):
        client(f"https://127.0.0.1:{tls_port}").get("/")


def test_host_without_address() -> None:
    with pytest.raises(ApiError, match=r"has no address|cannot be reached"):
        client("http://devpi.invalid").get("/")


@pytest.mark.parametrize("version", ["6.20.1", "5.5.1", "6.9.2"])
def test_old_server_is_refused(devpi: FakeDevpi, version: str) -> None:
    devpi.version = version
    message = failure(devpi)
    assert f"is devpi-server {version}: this collection needs 6.20.2 or newer" in message


@pytest.mark.parametrize(
    ("version", "expected"),
    [("6.20.2", (6, 20, 2)), ("7.0.0b4", (7, 0, 0)), ("7.1", (7, 1, 0)), ("7.1.dev2", (7, 1, 0))],
)
def test_version(version: str, expected: tuple[int, int, int]) -> None:
    assert version_tuple(version) == expected


def test_version_that_is_none() -> None:
    with pytest.raises(ApiError, match="'unknown', which is no version"):
        version_tuple("unknown")


@pytest.mark.parametrize("url", ["devpi.test", "ftp://devpi.test", "http://", ""])
def test_url_without_scheme_or_host(url: str) -> None:
    with pytest.raises(ApiError, match="is no URL; write one such as https://devpi"):
        client(url)


def test_credentials_in_the_url_are_refused_and_not_shown() -> None:
    with pytest.raises(ApiError, match="leave user and password out") as error:
        client("https://root:hidden@devpi.test")
    assert "hidden" not in str(error.value)


def test_wrong_password(devpi: FakeDevpi) -> None:
    with pytest.raises(ApiError, match=r"refuses the password of user 'root'.*check login_user and login_password"):
        client(devpi.url).log_in("root", "wrong")


def test_empty_password_is_never_sent(devpi: FakeDevpi) -> None:
    with pytest.raises(ApiError, match="The password of user 'root' is empty"):
        client(devpi.url).log_in("root", "")
    assert devpi.seen == []


def test_login_without_a_token(devpi: FakeDevpi) -> None:
    devpi.mischief = [lambda handler: handler.reply(200, '{"result": {}}')]
    with pytest.raises(ApiError, match="answered without a token"):
        client(devpi.url).log_in("root", "rootpw")


def test_login_that_fails_otherwise(devpi: FakeDevpi) -> None:
    devpi.mischief = [lambda handler: handler.reply(500, '{"message": "database\\n is locked"}')]
    with pytest.raises(ApiError, match=r"login of user 'root' .* failed \(500\): database is locked\. Check that url"):
        client(devpi.url).log_in("root", "rootpw")


def test_trying_a_password_does_not_change_who_is_logged_in(devpi: FakeDevpi) -> None:
    devpi.passwords["alice"] = "secret"
    api = client(devpi.url)
    api.log_in("root", "rootpw")
    assert api.accepts("alice", "secret")
    assert not api.accepts("alice", "other")
    api.write("PUT", "/bob", {"password": "x"})
    assert "bob" in devpi.users


def test_expired_login_is_renewed_once(devpi: FakeDevpi) -> None:
    api = client(devpi.url)
    api.log_in("root", "rootpw")
    devpi.expire_logins()
    api.write("PUT", "/alice", {"password": "x"})
    assert "alice" in devpi.users
    assert devpi.seen.count(("POST", "/+login")) == 2


def test_login_that_expires_at_once_does_not_loop(devpi: FakeDevpi) -> None:
    def expire(handler: Handler) -> None:
        handler.fake.expire_logins()
        handler.reply(403, '{"message": "no permission to do this"}')

    api = client(devpi.url)
    api.log_in("root", "rootpw")
    devpi.mischief = [expire, None, None, expire]
    with pytest.raises(ApiError, match="User 'root' may not do this"):
        api.write("PUT", "/alice", {"password": "x"})
    assert devpi.seen.count(("POST", "/+login")) == 2


def test_not_allowed(devpi: FakeDevpi) -> None:
    devpi.passwords["alice"] = "secret"
    api = client(devpi.url)
    api.log_in("alice", "secret")
    with pytest.raises(ApiError, match=r"User 'alice' may not do this \(PUT .*/bob\)\. .*--restrict-modify"):
        api.write("PUT", "/bob", {"password": "x"})
    assert devpi.seen.count(("POST", "/+login")) == 1


def test_not_logged_in(devpi: FakeDevpi) -> None:
    with pytest.raises(ApiError, match="Nobody is logged in, and an anonymous user may not do this"):
        client(devpi.url).write("PUT", "/bob", {"password": "x"})


def test_other_failure_keeps_the_words_of_the_server(devpi: FakeDevpi) -> None:
    devpi.mischief = [lambda handler: handler.reply(403, '{"message": "index a/b non-volatile, cannot delete"}')]
    with pytest.raises(ApiError, match=r"DELETE .*/a/b failed \(403\): index a/b non-volatile, cannot delete"):
        client(devpi.url).write("DELETE", "/a/b")


def test_setting_of_a_plugin_that_is_not_installed(devpi: FakeDevpi) -> None:
    reply = '{"message": "indexconfig got unexpected keyword arguments: jenkins=http://u:hidden@x"}'
    devpi.mischief = [lambda handler: handler.reply(400, reply)]
    with pytest.raises(ApiError, match=r"devpi-server 6\.20\.3 does not know the setting jenkins: install the plugin"):
        client(devpi.url).write("PATCH", "/a/b", {})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_check_mode_cannot_write(devpi: FakeDevpi, method: str) -> None:
    api = client(devpi.url, check_mode=True)
    api.log_in("root", "rootpw")
    with pytest.raises(CheckModeLockError):
        api.write(method, "/alice", {"password": "x"})
    with pytest.raises(CheckModeLockError):
        api.create("/alice/+token-create", {})
    assert devpi.written == []


def test_no_proxy_on_loopback(devpi: FakeDevpi, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert client(devpi.url).get("/") == devpi.users
    with pytest.raises(NothingListensError):
        client("http://devpi.invalid").get("/")


def test_no_credentials_from_netrc(devpi: FakeDevpi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password hidden\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    headers: list[str | None] = []

    def note(handler: Handler) -> None:
        headers.append(handler.headers.get("Authorization"))
        handler.reply(200, '{"result": {}}')

    devpi.mischief = [note]
    client(devpi.url).get("/")
    assert headers == [None]


def test_ca_path_without_certificates(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match=r"ca_path: /nonexistent holds no certificates .*\(No such file"):
        client("https://devpi.test", ca_path="/nonexistent")
    empty = tmp_path / "empty.pem"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(ApiError, match=r"ca_path: .*/empty\.pem holds no certificates"):
        client("https://devpi.test", ca_path=str(empty))
