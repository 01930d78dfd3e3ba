# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of devpi_client hold what its settings say."""

from __future__ import annotations

import configparser
import netrc
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._names import is_name
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._checks import checked

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
LOGIN = {"username": "alice", "password": "S3CRET%(x)s;$HOME"}


def files(**written: Any) -> dict[str, dict[str, Any]]:
    """Return the files that these variables come to, by their path."""
    settings = checked("devpi_client", {"devpi_domain": "devpi.test", **_variables(written)}, lambda _name: None)
    assert settings.problems == []
    return {file["path"]: file for file in settings.keyed()["files"]}


def problems(**written: Any) -> list[str]:
    """Return what is wrong with these variables."""
    found = checked("devpi_client", {"devpi_domain": "devpi.test", **_variables(written)}, lambda _name: None).problems
    assert "S3CRET" not in str(found)
    return found


def _variables(written: dict[str, Any]) -> dict[str, Any]:
    return {name if name.startswith("devpi_") else f"devpi_client_{name}": value for name, value in written.items()}


def ini(file: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what is in an INI file, as pip and twine read it."""
    parser = configparser.RawConfigParser()
    parser.read_string(file.get("content") or file["secret"])
    return {name: dict(parser[name]) for name in parser.sections()}


def test_one_index() -> None:
    found = files()
    assert ini(found["/etc/pip.conf"]) == {"global": {"index-url": "https://devpi.test/root/pypi/+simple/"}}
    assert tomllib.loads(found["/etc/uv/uv.toml"]["content"]) == {
        "index": [{"name": "root-pypi", "url": "https://devpi.test/root/pypi/+simple/", "default": True}]
    }
    assert len(found) == 2


def test_further_indexes() -> None:
    further = ["team/dev", "https://mirrors.example.org/simple/", "root/pypi", "team-dev/x", "team/dev-x", "team/dev"]
    found = files(extra_indexes=further, devpi_https_port=8443)
    server = "https://devpi.test:8443"
    assert ini(found["/etc/pip.conf"])["global"]["extra-index-url"].split() == [
        f"{server}/team/dev/+simple/",
        "https://mirrors.example.org/simple/",
        f"{server}/team-dev/x/+simple/",
        f"{server}/team/dev-x/+simple/",
    ]
    assert tomllib.loads(found["/etc/uv/uv.toml"]["content"])["index"] == [
        {"name": "team-dev", "url": f"{server}/team/dev/+simple/"},
        {"url": "https://mirrors.example.org/simple/"},
        {"name": "team-dev-x", "url": f"{server}/team-dev/x/+simple/"},
        {"url": f"{server}/team/dev-x/+simple/"},
        {"name": "root-pypi", "url": f"{server}/root/pypi/+simple/", "default": True},
    ]


@pytest.mark.parametrize("name", ["a.b_c-d", "me@example.org", "größe", "中文", "~x", "2024"])
def test_names_that_devpi_takes(name: str) -> None:
    if not is_name(name):
        assert problems(index=f"{name}/{name}") != []
        return
    found = files(
        index=f"{name}/{name}", user="ci", repositories=[{"name": "r", "index": f"{name}/x", "username": name}]
    )
    url = ini(found["/etc/pip.conf"])["global"]["index-url"]
    assert url.isascii()
    (index,) = tomllib.loads(found["/etc/uv/uv.toml"]["content"])["index"]
    assert index["url"] == url
    assert ini(found["~/.pypirc"])["r"]["username"] == name


def test_options() -> None:
    found = files(
        pip_options={"no-binary": ["psycopg2", "lxml"], "install": {"user": True}},
        uv_options={"pip": {"index-strategy": "unsafe-best-match"}, "offline": False},
    )
    assert ini(found["/etc/pip.conf"]) == {
        "global": {"index-url": "https://devpi.test/root/pypi/+simple/", "no-binary": "psycopg2,lxml"},
        "install": {"user": "true"},
    }
    uv = tomllib.loads(found["/etc/uv/uv.toml"]["content"])
    assert uv["pip"] == {"index-strategy": "unsafe-best-match"}
    assert uv["offline"] is False
    assert len(uv["index"]) == 1


def test_logins_are_secret_and_come_back(tmp_path: Path) -> None:
    repositories = [
        {"name": "prod", "index": "team/dev", **LOGIN},
        {"name": "ask", "index": "team/dev", "username": "a"},
    ]
    found = files(user="ci", login=LOGIN, repositories=repositories)
    for path in ("~/.netrc", "~/.pypirc"):
        assert found[path]["user"] == "ci"
        assert found[path]["mode"] == "0600"
        assert "content" not in found[path]
    assert ini(found["~/.pypirc"]) == {
        "distutils": {"index-servers": "\nprod\nask"},
        "prod": {"repository": "https://devpi.test/team/dev/", **LOGIN},
        "ask": {"repository": "https://devpi.test/team/dev/", "username": "a"},
    }
    (tmp_path / "netrc").write_text(found["~/.netrc"]["secret"])
    assert netrc.netrc(tmp_path / "netrc").authenticators("devpi.test") == (LOGIN["username"], "", LOGIN["password"])


@pytest.mark.parametrize(
    ("scope", "ca_path", "bundle"),
    [
        ("host", "/usr/local/share/ca-certificates/devpi-devpi.test.crt", "/etc/ssl/certs/ca-certificates.crt"),
        ("tools", "/etc/devpi-client/ca.crt", "/etc/devpi-client/bundle.crt"),
    ],
)
def test_who_trusts_the_ca(scope: str, ca_path: str, bundle: str) -> None:
    repositories = [{"name": "prod", "index": "team/dev", "username": "a"}]
    given = {"ca_certificate": CERTIFICATE, "ca_scope": scope, "user": "ci", "repositories": repositories}
    found = files(**given)
    assert found[ca_path]["content"] == CERTIFICATE
    assert ini(found["/etc/pip.conf"])["global"]["cert"] == bundle
    assert ini(found["~/.pypirc"])["prod"]["ca_cert"] == bundle
    assert found["/etc/environment"]["content"] == f"REQUESTS_CA_BUNDLE={bundle}\nSSL_CERT_FILE={bundle}\n"
    assert found["/etc/environment"]["block"]
    assert ("system-certs" in tomllib.loads(found["/etc/uv/uv.toml"]["content"])) is (scope == "host")
    without = files(**given, ca_environment=False)
    assert found.keys() - without.keys() == {
        "/etc/environment",
        "/etc/profile.d/devpi-client.sh",
        "/etc/systemd/system.conf.d/50-devpi-client.conf",
    }


def test_scopes() -> None:
    assert set(files(scope="user", user="ci")) == {"~/.config/pip/pip.conf", "~/.config/uv/uv.toml"}
    in_environment = files(scope="virtualenv", virtualenv="/srv/venv", tools=["pip"])
    assert set(in_environment) == {"/srv/venv/pip.conf"}
    assert "user" not in in_environment["/srv/venv/pip.conf"]


def test_plain_http_where_it_is_allowed() -> None:
    found = files(url="http://devpi.test:8080", extra_indexes=["http://other.test/simple/"], allow_http=True)
    assert ini(found["/etc/pip.conf"])["global"]["trusted-host"].split() == ["devpi.test:8080", "other.test"]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"url": "devpi.test"}, "devpi_client_url is 'devpi.test': it has to be the URL of the server"),
        ({"url": "https://me:S3CRET@devpi.test"}, "without user, password"),
        ({"url": "https://devpi.test/root/pypi/+simple/"}, "without user, password, index or +simple"),
        ({"url": "http://devpi.test"}, "devpi_client_url is 'http://devpi.test': use https://"),
        ({"devpi_domain": ""}, "devpi_domain is ''"),
        ({"devpi_domain": None}, "devpi_domain is missing"),
        ({"index": "pypi"}, "devpi_client_index is 'pypi': it has to be user/index"),
        ({"extra_indexes": ["team/dev", "pypi"]}, "devpi_client_extra_indexes[1] is 'pypi'"),
        (
            {"extra_indexes": ["https://me:S3CRET@x.test/"]},
            "devpi_client_extra_indexes[0] is 'https://********@x.test/'",
        ),
        ({"extra_indexes": ["http://x.test/"]}, "devpi_client_extra_indexes[0] is 'http://x.test/': use https://"),
        ({"tools": ["conda"]}, "devpi_client_tools[0] is 'conda'"),
        ({"scope": "user"}, "devpi_client_user is ''"),
        ({"login": LOGIN}, "devpi_client_user is '': it has to be a user of the host, for devpi_client_login"),
        ({"user": "a/b"}, "devpi_client_user is 'a/b'"),
        ({"scope": "virtualenv", "tools": ["pip"]}, "devpi_client_virtualenv is ''"),
        ({"scope": "virtualenv", "virtualenv": "/srv/venv"}, "devpi_client_tools has uv"),
        ({"pip_options": {"Index_URL": "x"}}, "devpi_client_pip_options has index-url"),
        ({"pip_options": {"install": {"cert": "x"}}}, "devpi_client_pip_options has cert"),
        ({"pip_options": {"timeout": None}}, "devpi_client_pip_options.timeout is empty"),
        ({"uv_options": {"pip": {"extra-index-url": ["x"]}}}, "devpi_client_uv_options has extra-index-url"),
        ({"uv_options": {"a": None}}, "devpi_client_uv_options.a is empty"),
        (
            {"user": "ci", "login": {"username": "alice", "password": "S3CRET word"}},
            "devpi_client_login.password is not",
        ),
        ({"user": "ci", "login": {"username": "alice"}}, "devpi_client_login.password is missing"),
        ({"ca_certificate": "ca.crt"}, "devpi_client_ca_certificate is 'ca.crt'"),
    ],
)
def test_what_is_refused(written: dict[str, Any], sentence: str) -> None:
    (found,) = problems(**written)
    assert sentence in found


@pytest.mark.parametrize(
    ("repository", "sentence"),
    [
        ({"name": "a b"}, "devpi_client_repositories[0].name is 'a b'"),
        ({"name": "distutils"}, "devpi_client_repositories[0].name is 'distutils'"),
        ({"index": "team"}, "devpi_client_repositories[0].index is 'team'"),
        ({"username": ""}, "devpi_client_repositories[0].username is empty"),
        ({"password": " S3CRET"}, "devpi_client_repositories[0].password is empty"),
        ({"password": "S3CRET\n[x]"}, "devpi_client_repositories[0].password is empty"),
    ],
)
def test_repositories_that_are_refused(repository: dict[str, Any], sentence: str) -> None:
    given = {"name": "prod", "index": "team/dev", "username": "a", **repository}
    (found,) = problems(user="ci", repositories=[given])
    assert sentence in found


def test_repositories_with_one_name_are_refused() -> None:
    one = {"name": "prod", "index": "team/dev", "username": "a"}
    (found,) = problems(user="ci", repositories=[one, {**one, "name": "PROD"}])
    assert "devpi_client_repositories[1].name is 'PROD' once more" in found
