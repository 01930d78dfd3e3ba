# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real sockets, of which some are planted: nothing is sent to who may be anybody."""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils import _connections, _peer
from ansible_collections.wheelhouse.devpi.plugins.module_utils._api import ApiError, Client, NothingListensError
from ansible_collections.wheelhouse.devpi.plugins.module_utils._connections import Form
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_info, devpi_user
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Handler, Run

EVE = 4711
"""A user id that is nobody's."""


class UnixServer(ThreadingHTTPServer):
    """A fake devpi-server that listens on a unix socket."""

    address_family = socket.AF_UNIX

    def __init__(self, path: Path, handler: type[BaseHTTPRequestHandler]) -> None:
        self.path = str(path)
        super().__init__(("localhost", 0), handler)

    def server_bind(self) -> None:
        """Bind, without a look-up of a host name."""
        self.socket.bind(self.path)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer. The client of a unix socket has no address."""
        super().finish_request(request, ("localhost", 0))


@contextmanager
def on_socket(handler: type[BaseHTTPRequestHandler], path: Path) -> Iterator[str]:
    """Let a handler answer on a unix socket, and return its URL."""
    server = UnixServer(path, handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(name="url")
def _url(devpi: FakeDevpi, tmp_path: Path) -> Iterator[str]:
    """The URL of the unix socket of a server."""
    (tmp_path / "devpi").mkdir(0o750)
    handler = type("BoundHandler", (Handler,), {"fake": devpi, "disable_nagle_algorithm": False})
    with on_socket(handler, tmp_path / "devpi" / "devpi.sock") as url:
        yield url


@pytest.fixture(name="eve_listens")
def _eve_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever listens on a unix socket be somebody else."""
    monkeypatch.setattr(_peer, "_uid_of_listener", lambda connection: EVE)


def client(url: str) -> Client:
    """Make a client that waits two seconds at most."""
    return Client(url, check_mode=False, timeout=2)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (devpi_info, {}),
        (devpi_user, {"name": "alice", "password": "secret"}),
        (devpi_index, {"name": "root/dev", "type": "stage"}),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_a_module_by_socket(
    devpi: FakeDevpi, run: Run, url: str, module: ModuleType, options: dict[str, Any], check_mode: bool
) -> None:
    result = run(module, check_mode, url=url, **options)
    assert not result.get("failed"), result["msg"]
    assert result.get("changed", False) == bool(options)
    assert bool(devpi.written) == (bool(options) and not check_mode)


def test_no_module_sends_a_password_to_eve(devpi: FakeDevpi, run: Run, url: str, eve_listens: None) -> None:
    for module, options in ((devpi_info, {}), (devpi_user, {"name": "alice"})):
        result = run(module, url=url, **options)
        assert f"devpi.sock is answered by user {EVE}, and its folder belongs to" in result["msg"]
    assert devpi.seen == []


def test_files_by_socket(tmp_path: Path) -> None:
    """What is sent and fetched in blocks comes whole."""
    file = tmp_path / "a-1.tar.gz"
    file.write_bytes(os.urandom(3_000_000))
    form = Form([(":action", "file_upload")], "content", "a-1.tar.gz", file)

    taken: list[bytes] = []

    class Files(BaseHTTPRequestHandler):
        disable_nagle_algorithm = False

        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(b"{}")

        def do_GET(self) -> None:
            self.reply(file.read_bytes())

        def reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("X-Devpi-Server-Version", "6.20.3")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    with on_socket(Files, tmp_path / "files.sock") as url:
        client(url).upload("root/dev", form)
        fetched = io.BytesIO()
        client(url).fetch("/root/dev/a", fetched)
    assert taken == [b"".join(form)]
    assert fetched.getvalue() == file.read_bytes()


def test_connections_to_a_socket_stay_open(devpi: FakeDevpi, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def connect(path: str, timeout: float | None) -> socket.socket:
        made.append(path)
        return _peer.connect_unix(path, timeout)

    monkeypatch.setattr(_connections, "connect_unix", connect)
    server = client(url)
    with server.kept_open():
        for _request in range(3):
            server.get("/")
    assert len(made) == 1


def test_root_and_the_owner_of_the_folder_are_trusted(
    devpi: FakeDevpi, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for uid in (0, os.geteuid()):
        monkeypatch.setattr(_peer, "_uid_of_listener", lambda connection, uid=uid: uid)
        assert client(url).get("/+api")


@contextmanager
def _a_link(folder: Path) -> Iterator[Path]:
    (folder / "link.sock").symlink_to(folder / "devpi.sock")
    yield folder / "link.sock"


@contextmanager
def _a_linked_folder(folder: Path) -> Iterator[Path]:
    (folder.parent / "linked").symlink_to(folder)
    yield folder.parent / "linked" / "devpi.sock"


@contextmanager
def _a_file(folder: Path) -> Iterator[Path]:
    (folder / "file").touch()
    yield folder / "file"


@contextmanager
def _an_open_folder(folder: Path) -> Iterator[Path]:
    folder.chmod(0o777)
    yield folder / "devpi.sock"


@contextmanager
def _an_open_folder_above(folder: Path) -> Iterator[Path]:
    folder.parent.chmod(0o777)
    yield folder / "devpi.sock"


@contextmanager
def _a_folder_above_of_a_group(folder: Path) -> Iterator[Path]:
    folder.parent.chmod(0o770)
    yield folder / "devpi.sock"


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (_a_link, "link.sock is no socket"),
        (_a_linked_folder, "linked is reached by a link: write url with the folder itself, unix:///"),
        (_a_file, "file is no socket"),
        (_an_open_folder, "devpi can be written by everybody"),
        (_an_open_folder_above, "can be written by others than root"),
        (_a_folder_above_of_a_group, "can be written by others than root"),
    ],
)
def test_what_may_be_planted_is_refused(
    devpi: FakeDevpi, url: str, tmp_path: Path, plant: Callable[[Path], Any], reason: str
) -> None:
    with plant(tmp_path / "devpi") as path, pytest.raises(ApiError, match=reason):
        client(f"unix://{path}").log_in("root", "rootpw")
    assert devpi.seen == []


def test_a_folder_that_somebody_made_in_tmp_is_refused(
    devpi: FakeDevpi, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the owner of a folder is who was first."""
    tmp_path.chmod(0o1777)
    assert client(url).get("/+api")
    owners = {str(tmp_path / "devpi"): EVE}
    lstat = Path.lstat

    def seen(path: Path) -> os.stat_result:
        status = lstat(path)
        fields = list(status)
        fields[4] = owners.get(str(path), status.st_uid)
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "lstat", seen)
    with pytest.raises(ApiError, match="can be written by others than root"):
        client(url).get("/+api")


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(NothingListensError, match=r"There is no socket .*/none\.sock on this host: start devpi-server"):
        client(f"unix://{tmp_path}/none.sock").get("/")
    with pytest.raises(NothingListensError, match="There is no socket"):
        client(f"unix://{tmp_path}/no/folder.sock").get("/")


def test_a_socket_that_a_killed_server_left(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    with pytest.raises(NothingListensError, match="Nothing listens at unix:///"):
        client(f"unix://{tmp_path}/left.sock").get("/")


def test_a_socket_of_others(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, timeout: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_connections, "connect_unix", refuse)
    with pytest.raises(ApiError, match=r"may not be opened by user \d+, who runs this task: write become: true"):
        client(url).get("/")


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://host/run/devpi.sock", "unix:///run/devpi.sock?a"])
def test_no_url_of_a_socket(url: str) -> None:
    with pytest.raises(ApiError, match="is no URL; write one such as"):
        client(url)


@pytest.mark.parametrize(("uid", "trusted"), [(0, True), (EVE, False), (998, True), (61184, True), (65534, False)])
def test_who_listens_at_a_port_of_this_host(
    devpi: FakeDevpi, monkeypatch: pytest.MonkeyPatch, uid: int, trusted: bool
) -> None:
    monkeypatch.setattr(_peer, "_listeners", lambda address, port: iter([uid]))
    server = client(devpi.url)
    if trusted:
        server.log_in("root", "rootpw")
        return
    with pytest.raises(
        ApiError, match=r"is a port of this host that user .* who is no system account: nothing was sent"
    ):
        server.log_in("root", "rootpw")
    assert devpi.seen == []


@pytest.mark.parametrize(
    ("family", "bound", "asked"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
    ],
)
def test_a_listener_is_found(family: socket.AddressFamily, bound: str, asked: str) -> None:
    with socket.create_server((bound, 0), family=family, dualstack_ipv6=bound == "::") as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((asked, port)) as connection:
            address = ipaddress.ip_address(connection.getpeername()[0])
            assert list(_peer._listeners(address, port)) == [os.geteuid()]


def test_of_another_host_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(socket.socket):
        def getpeername(self) -> tuple[str, int]:
            return "192.0.2.1", 3141

        def getsockname(self) -> tuple[str, int]:
            return "192.0.2.2", 1234

    monkeypatch.setattr(_peer, "_listeners", lambda address, port: iter([EVE]))
    with Elsewhere() as connection:
        _peer.check_listener(connection)
