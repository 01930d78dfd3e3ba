# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong value is refused in a sentence that names the variable, the value and what is allowed, and shows no secret.

The roles stop at these before anything has changed; tests/bad_input shows that in whole runs.
"""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._checks import checked
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import options_of

SECRET = "s3cret-of-team"
ROLES = ("devpi_server", "devpi_nginx", "devpi_layout", "devpi_backup")


def problems(roles: tuple[str, ...] = ROLES, **variables: Any) -> list[str]:
    """Return what the roles say of these variables: those that read one, each sentence once."""
    written = {"devpi_domain": "devpi.test", "devpi_backup_repository": "/mnt/backup/devpi", **variables}
    said: dict[str, None] = {}
    for role in roles:
        known = {name: value for name, value in written.items() if name in options_of(role)}
        said.update(dict.fromkeys(checked(role, known, read).problems))
    assert SECRET not in str(list(said))
    return list(said)


def read(name: str) -> str | None:
    """Return what is in a file of the controller."""
    texts = {
        "devpi-server.txt": "devpi-server==6.20.3 --hash=sha256:1234",
        "loose.txt": "devpi-server==6.20.3",
        "company.crt": "-----BEGIN CERTIFICATE-----",
        "words.crt": "no certificate",
    }
    return texts.get(name)


UPSTREAM_RULE = ["address:port", "unix:/path/to/socket", "in place of its name"]

ACME = {
    "devpi_nginx_tls": "acme",
    "devpi_nginx_acme_email": "admin@devpi.test",
    "devpi_nginx_acme_agree_tos": True,
}

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "empty domain": ({"devpi_domain": ""}, ["devpi_domain is ''", "devpi.example.org"]),
    "domain with scheme": (
        {"devpi_domain": "https://devpi.test"},
        ["devpi_domain is 'https://devpi.test'", "without a scheme"],
    ),
    "domain with blank": ({"devpi_domain": "my devpi"}, ["devpi_domain is 'my devpi'", "host name"]),
    "domain that is an address": ({"devpi_domain": "192.0.2.1"}, ["devpi_domain is '192.0.2.1'", "no address"]),
    "outside URL without scheme": (
        {"devpi_server_outside_url": "devpi.test"},
        ["devpi_server_outside_url is 'devpi.test'", "https://"],
    ),
    "scheme with a slip": (
        {"devpi_server_install_index_url": f"htps://me@corp:{SECRET}@host/simple/"},
        ["devpi_server_install_index_url is 'htps://********@host/simple/'", "https://"],
    ),
    "less memory than a start takes": (
        {"devpi_server_memory_max_mib": 512},
        ["devpi_server_memory_max_mib is 512", "from 1024 to"],
    ),
    "empty root password": ({"devpi_server_root_password": ""}, ["devpi_server_root_password is empty", "generated"]),
    "unknown installer": ({"devpi_server_installer": "conda"}, ["devpi_server_installer is 'conda'", "uv, pip"]),
    "unknown plugin": (
        {"devpi_server_plugins": ["token"]},
        ["devpi_server_plugins[0] is 'token'", "ldap, tokens"],
    ),
    "plugin without its server": ({"devpi_server_plugins": ["ldap"]}, ["devpi_server_ldap is empty", "give both"]),
    "server without its plugin": (
        {"devpi_server_ldap": {"url": "ldap://ldap.test"}},
        ["devpi_server_ldap is set and devpi_server_plugins has nothing"],
    ),
    "LDAP without a way to a user": (
        {
            "devpi_server_plugins": ["ldap"],
            "devpi_server_ldap": {"url": "ldaps://ldap.example.org", "group_search": {"password": SECRET}},
        },
        ["devpi_server_ldap has the keys url, group_search", "either user_template or user_search"],
    ),
    "documentation that fills the memory": (
        {"devpi_server_documentation_max_mib": 4096},
        ["devpi_server_documentation_max_mib is 4096", "from 1 to 1024"],
    ),
    "port out of range": ({"devpi_https_port": 70000}, ["devpi_https_port is 70000", "from 1 to 65535"]),
    "socket outside of /run": ({"devpi_socket": "/tmp/x/s"}, ["devpi_socket is '/tmp/x/s'", "below /run, such as"]),
    "socket in no folder of its own": ({"devpi_socket": "/run/devpi.sock"}, ["devpi_socket is '/run/devpi.sock'"]),
    "socket beside those of others": ({"devpi_socket": "/run/systemd/s"}, ["devpi_socket is '/run/systemd/s'"]),
    "socket above its folder": ({"devpi_socket": "/run/../devpi.sock"}, ["devpi_socket is '/run/../devpi.sock'"]),
    "socket with a long name": ({"devpi_socket": "/run/devpi/" + "s" * 97}, ["devpi_socket is '/run/devpi/sss"]),
    "listening without an address": (
        {"devpi_server_listen": "3141"},
        ["devpi_server_listen is '3141'", "127.0.0.1:3141"],
    ),
    "listening on a path": ({"devpi_server_listen": "127.0.0.1:3141/x"}, ["devpi_server_listen is '127.0.0.1:3141/x'"]),
    **{
        f"upstream {wrong}": ({"devpi_nginx_upstream": wrong}, [f"devpi_nginx_upstream is '{wrong}'", *UPSTREAM_RULE])
        for wrong in (
            "devpi.example.org:3141",
            "localhost:3141",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:70000",
            "1.2.3:80",
            "::1:3141",
            "[::1]",
            "[1.2.3.4]:80",
            "http://127.0.0.1:3141",
            "unix:devpi.sock",
        )
    },
    "listen with a login": ({"devpi_server_listen": "me@127.0.0.1:3141"}, ["devpi_server_listen is", "127.0.0.1:3141"]),
    "upstream here without a port": (
        {"devpi_server_local_upstreams": ["127.0.0.1"]},
        ["devpi_server_local_upstreams has '127.0.0.1'", "127.0.0.1:8000"],
    ),
    "outgoing port out of range": ({"devpi_server_outgoing_ports": [443, 0]}, ["devpi_server_outgoing_ports has 0"]),
    "Python with arguments": ({"devpi_server_python": "python3 -I"}, ["devpi_server_python is 'python3 -I'"]),
    "index with a blank": (
        {"devpi_server_restrict_modify": "root, me"},
        ["devpi_server_restrict_modify", "such as root"],
    ),
    "environment with a quote": (
        {"devpi_server_environment": {"HTTPS_PROXY": f"http://me:{SECRET}'@proxy.test"}},
        ["devpi_server_environment.HTTPS_PROXY has to be one line of text, without single quotes"],
    ),
    "environment with several lines": (
        {"devpi_server_environment": {"TOKEN": f"{SECRET}\nLD_PRELOAD=/tmp/x.so"}},
        ["devpi_server_environment.TOKEN has to be one line of text"],
    ),
    "environment with a number": (
        {"devpi_server_environment": {"UV_CONCURRENT_DOWNLOADS": 4}},
        ["devpi_server_environment.UV_CONCURRENT_DOWNLOADS has to be a text; put it in quotes"],
    ),
    "environment with a name that is none": (
        {"devpi_backup_environment": {"my name": SECRET}},
        ["devpi_backup_environment has an entry 'my name' that cannot be written"],
    ),
    "lock without hashes": ({"devpi_server_lock": "loose.txt"}, ["devpi_server_lock is 'loose.txt'", "gives hashes"]),
    "lock that is missing": ({"devpi_server_lock": "mine.txt"}, ["devpi_server_lock is 'mine.txt'", "gives hashes"]),
    "CA that is none": (
        {"devpi_server_ca_certificates": "words.crt"},
        ["devpi_server_ca_certificates names 'words.crt'"],
    ),
    "CA that is missing": ({"devpi_server_ca_certificates": ["x.crt"]}, ["devpi_server_ca_certificates names 'x.crt'"]),
    "data in a home": ({"devpi_directory": "/home/devpi-data"}, ["devpi_directory is '/home/devpi-data'", "/home"]),
    "data of root": ({"devpi_directory": "/root/x"}, ["devpi_directory is '/root/x'", "/var/lib/devpi"]),
    "data that a boot empties": ({"devpi_directory": "/tmp/x"}, ["devpi_directory is '/tmp/x'", "a boot empties it"]),
    "data in a relative folder": ({"devpi_directory": "devpi"}, ["devpi_directory is 'devpi'", "absolute path"]),
    "data in a folder with a blank": ({"devpi_directory": "/srv/my data"}, ["devpi_directory is '/srv/my data'"]),
    "data on the way up": ({"devpi_directory": "/srv/../home/x"}, ["devpi_directory is '/srv/../home/x'", "'..'"]),
    "data in a folder of the system": (
        {"devpi_directory": "/var/lib/"},
        ["devpi_directory is '/var/lib'", "the system"],
    ),
    "data among the releases": (
        {"devpi_directory": "/opt/devpi/data"},
        ["devpi_directory is '/opt/devpi/data'", "it lies in devpi_install_directory (/opt/devpi)"],
    ),
    "releases in a home": (
        {"devpi_install_directory": "/home/devpi/releases"},
        ["devpi_install_directory is '/home/devpi/releases'", "/opt/devpi"],
    ),
    "certificate with a relative path": (
        {
            "devpi_nginx_tls": "files",
            "devpi_nginx_tls_certificate": "server.crt",
            "devpi_nginx_tls_key": "/etc/server.key",
        },
        ["devpi_nginx_tls_certificate is 'server.crt'", "absolute path"],
    ),
    "certificate where there is a CA": (
        {"devpi_nginx_tls_certificate": "/etc/server.crt"},
        ["devpi_nginx_tls_certificate is '/etc/server.crt'", "devpi_nginx_tls is own-ca"],
    ),
    "certificate in a folder that nginx has for itself": (
        {"devpi_nginx_tls": "files", "devpi_nginx_tls_certificate": "/tmp/a.crt", "devpi_nginx_tls_key": "/root/a.key"},
        ["devpi_nginx_tls_certificate is '/tmp/a.crt'", "/etc/ssl"],
    ),
    "Python in a home": (
        {"devpi_server_python": "/home/me/.local/bin/python3"},
        ["devpi_server_python is '/home/me/.local/bin/python3'", "/usr/bin/python3"],
    ),
    "ACME without an address": (
        {"devpi_nginx_tls": "acme", "devpi_nginx_acme_agree_tos": True},
        ["devpi_nginx_acme_email is ''", "admin@example.org"],
    ),
    "ACME without the terms": ({**ACME, "devpi_nginx_acme_agree_tos": "no"}, ["devpi_nginx_acme_agree_tos is false"]),
    "ACME server without its path": (
        {**ACME, "devpi_nginx_acme_directory": "https://acme.test"},
        ["devpi_nginx_acme_directory is 'https://acme.test'", "/directory"],
    ),
    "external account binding without its identifier": (
        {**ACME, "devpi_nginx_acme_eab_hmac_key": SECRET},
        ["devpi_nginx_acme_eab_kid is ''", "give both"],
    ),
    "hook for the DNS without its folder": (
        {**ACME, "devpi_nginx_acme_dns_hook": "hook"},
        ["devpi_nginx_acme_dns_hook is 'hook'", "an executable"],
    ),
    "freshness of a page out of range": (
        {"devpi_nginx_page_freshness": 0},
        ["devpi_nginx_page_freshness is 0", "from 1 to 3600"],
    ),
    "one port for both": ({"devpi_nginx_http_port": 443}, ["devpi_nginx_http_port is 443", "devpi_https_port (443)"]),
    "CA that ends before its certificates": ({"devpi_nginx_ca_days": 31}, ["devpi_nginx_ca_days is 31", "from 90 to"]),
    "private number": ({"devpi_private": [{"name": 2024}]}, ["devpi_private[0].name is 2024", "put it in quotes"]),
    "private name that is none": (
        {"devpi_private": [{"name": "team/dev/+simple"}]},
        ["devpi_private[0].name is 'team/dev/+simple'", "such as team/dev"],
    ),
    "private without a name": ({"devpi_private": [{"readers": ["me"]}]}, ["devpi_private[0].name is missing"]),
    "private with a slip": (
        {"devpi_private": [{"name": "team", "reader": ["me"]}]},
        ["devpi_private[0].reader is unknown", "name, readers"],
    ),
    "private twice": (
        {"devpi_private": [{"name": "team"}, {"name": "team"}]},
        ["devpi_private[1].name is 'team' once more"],
    ),
    "reader that is none": (
        {"devpi_private": [{"name": "team", "readers": ["a/b"]}]},
        ["devpi_private[0].readers has 'a/b'", ":GROUP"],
    ),
    "repository without its scheme": (
        {"devpi_backup_repository": f"https://me@corp:{SECRET}@host/bucket"},
        ["devpi_backup_repository is 'https://********@host/bucket'", "s3:https://host/bucket"],
    ),
    "repository in the data": (
        {"devpi_backup_repository": "/var/lib/devpi/backup"},
        ["devpi_backup_repository is '/var/lib/devpi/backup'", "it lies in devpi_directory"],
    ),
    "password of the backup with two lines": (
        {"devpi_backup_password": f"{SECRET}\n"},
        ["devpi_backup_password is empty, begins or ends with a blank, or has several lines"],
    ),
    "nothing that is kept": ({"devpi_backup_keep": {}}, ["devpi_backup_keep has nothing", "daily"]),
    "period that is unknown": ({"devpi_backup_keep": {"day": 7}}, ["devpi_backup_keep has day", "daily"]),
    "snapshot that is none": (
        {"devpi_backup_restore_snapshot": "newest"},
        ["devpi_backup_restore_snapshot is 'newest'"],
    ),
    "key for SSH that is none": (
        {"devpi_backup_ssh_key": SECRET},
        ["devpi_backup_ssh_key has to be the text of a private key"],
    ),
    "layout as words": ({"devpi_layout_users": f"team {SECRET}"}, ["devpi_layout_users", "it has to be a"]),
    "layout URL without its scheme": (
        {"devpi_layout_url": "devpi.test"},
        ["devpi_layout_url is 'devpi.test'", "https://"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_wrong_value_is_refused_once(name: str) -> None:
    variables, parts = CASES[name]
    (sentence,) = problems(**variables)
    for part in parts:
        assert part in sentence


def test_right_values_are_taken() -> None:
    assert (
        problems(
            devpi_directory="/srv/devpi/",
            devpi_install_directory="/srv/opt/devpi",
            devpi_server_install_index_url="https://me%40corp:password@mirrors.example.org/simple/",
            devpi_server_environment={"HTTPS_PROXY": "http://me:pass word@proxy.test:3128"},
            devpi_server_ca_certificates="company.crt",
            devpi_server_python="/usr/bin/python3.11",
            devpi_private=[
                {"name": "*"},
                {"name": "ünï.code-1@host_x"},
                {"name": "Team/dev", "readers": ["a@b", ":dev ops"]},
            ],
            devpi_backup_repository="s3:https://host/bucket",
            devpi_backup_keep="daily=7,weekly=5",
            devpi_nginx_upstream="unix:/run/devpi/devpi.sock",
        )
        == []
    )


@pytest.mark.parametrize("place", ["127.0.0.1:3141", "192.0.2.1:65535", "[::1]:3141", "[2001:db8::7]:80"])
def test_right_places(place: str) -> None:
    assert problems(devpi_nginx_upstream=place, devpi_server_listen=place) == []


def test_what_follows_from_others() -> None:
    server = checked("devpi_server", {"devpi_domain": "devpi.test", "devpi_https_port": "8443"}, read)
    assert server.get("devpi_server_outside_url") == "https://devpi.test:8443"
    assert checked("devpi_layout", {"devpi_socket": "/run/x/s"}, read).get("devpi_layout_url") == "unix:///run/x/s"
    nginx = checked("devpi_nginx", {"devpi_domain": "devpi.test", "devpi_directory": "/srv/devpi/"}, read)
    assert nginx.keyed()["files_directory"] == "/srv/devpi/+files"
    backup = checked("devpi_backup", {"devpi_domain": "devpi.test", "devpi_backup_repository": "/mnt/backup"}, read)
    assert backup.keyed()["keep"] == {"daily": 7, "weekly": 5, "monthly": 12}


def test_no_readers_are_not_nobody() -> None:
    written = [
        {"name": "team"},
        {"name": "lab", "readers": []},
        {"name": "dev", "readers": None},
        {"name": "a", "readers": "b"},
    ]
    for role in ("devpi_server", "devpi_nginx"):
        rules = checked(role, {"devpi_domain": "devpi.test", "devpi_private": written}, read).get("devpi_private")
        assert rules == [
            {"name": "team"},
            {"name": "lab", "readers": []},
            {"name": "dev"},
            {"name": "a", "readers": ["b"]},
        ]
