"""devpi_info against a live devpi-server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_info
from live import Devpi


def test_all_is_told_and_no_secret(devpi: Devpi) -> None:
    closed = "https://reader:hidden-word@mirrors.aliyun.com/pypi/simple/"
    devpi.run(devpi_index, name="root/closed", type="mirror", mirror_url=closed)
    info = devpi.info()
    assert not info["changed"]
    assert info["server_version"] == devpi.version
    assert info["serial"] == 1
    assert "server-keyvalue-parsing" in info["features"]
    assert list(info["users"]) == ["root"]
    assert list(info["users"]["root"]) == ["created"]
    assert sorted(info["indexes"]) == ["root/closed", "root/pypi"]
    assert info["indexes"]["root/pypi"]["type"] == devpi.words["mirror"]
    shown = info["indexes"]["root/closed"][devpi.words["mirror_url"]]
    assert shown == "https://********@mirrors.aliyun.com/pypi/simple/"
    assert "hidden-word" not in str(info)

    anonymous = devpi.run(devpi_info, True, login_password=None)
    for what in ("serial", "indexes", "users"):
        assert anonymous[what] == info[what]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"login_password": "wrong"}, "{url} refuses the password of user 'root'"),
        ({"login_user": "nobody"}, "{url} refuses the password of user 'nobody'"),
        ({"login_password": ""}, "The password of user 'root' is empty"),
        ({"url": "http://127.0.0.1:{closed}"}, "Nothing listens at http://127.0.0.1:{closed} (connection refused)"),
        (
            {"url": "https://127.0.0.1:{port}", "timeout": 2},
            "did not answer the TLS handshake within 2 s, so it hardly speaks TLS: write url: {url}.",
        ),
        # devpi-web, which is installed with devpi 6 here, answers with a page, devpi 7 alone with JSON.
        ({"url": "{url}/+nowhere"}, "failed (404): "),
        ({"url": "localhost"}, "url: 'localhost' is no URL"),
    ],
)
def test_every_failure_is_told(devpi: Devpi, options: dict[str, Any], message: str) -> None:
    wanted = {name: devpi.said(value) if name == "url" else value for name, value in options.items()}
    devpi.refuses(message, devpi_info, **wanted)
