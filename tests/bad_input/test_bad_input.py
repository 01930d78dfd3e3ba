"""A wrong value stops playbooks/site.yml before anything on the host has changed, with a sentence that says what to do.

Each case runs the playbook for real, on a disposable host.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HOSTS = CHECKOUT / "tests/hosts/hosts"
HOST = "bad-input"
SECRET = "s3cret-of-team"


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An inventory with one bare host as server and client."""
    subprocess.run([HOSTS, "up", HOST, "bookworm"], check=True, timeout=300)
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    groups = {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_ssh_args": f"-F {CHECKOUT}/.hosts/ssh_config",
                "devpi_domain": "devpi.test",
            }
        },
        "devpi_servers": {"hosts": {HOST: {}}},
        "devpi_clients": {"hosts": {HOST: {}}},
    }
    path.write_text(json.dumps(groups))
    yield path
    subprocess.run([HOSTS, "down", HOST], check=True, timeout=60)


def refused(inventory: Path, variables: object) -> str:
    """Run the playbook with these variables. Returns the messages that it stopped with."""
    run = subprocess.run(
        [
            CHECKOUT / ".venv/bin/ansible-playbook",
            f"--inventory={inventory}",
            f"--extra-vars={json.dumps(variables)}",
            CHECKOUT / "playbooks/site.yml",
        ],
        check=False,
        cwd=CHECKOUT,
        env={
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "PATH": f"{CHECKOUT}/.venv/bin:/usr/bin:/bin",
            "HOME": str(Path.home()),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = run.stdout + run.stderr
    recap = re.search(rf"{HOST}\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=(\d+)", said)
    assert recap is not None, said
    assert run.returncode != 0, f"the playbook accepted it:\n{said}"
    assert recap.group(1) == "0", f"something was changed before it stopped:\n{said}"
    assert "Traceback" not in said, said
    assert SECRET not in said, said
    messages = re.findall(r'"msg": ("(?:[^"\\]|\\.)*")', said)
    return "\n".join(json.loads(message) for message in messages)


def users(*indexes: dict[str, object], **user: object) -> dict[str, object]:
    """Variables that declare one user, with these indexes."""
    return {"devpi_layout_users": [{"name": "team", "password": SECRET, **user, "indexes": list(indexes)}]}


ACME = {
    "devpi_nginx_tls": "acme",
    "devpi_nginx_acme_email": "admin@devpi.test",
    "devpi_nginx_acme_agree_tos": True,
}

CASES = {
    "empty domain": ({"devpi_domain": ""}, ["devpi_domain is ''", "devpi.example.org"]),
    "domain with scheme": (
        {"devpi_domain": "https://devpi.test"},
        ["devpi_domain is 'https://devpi.test'", "without a scheme"],
    ),
    "domain with blank": ({"devpi_domain": "my devpi"}, ["devpi_domain is 'my devpi'", "host name"]),
    "outside URL without scheme": (
        {"devpi_server_outside_url": "devpi.test"},
        ["devpi_server_outside_url is 'devpi.test'", "https://"],
    ),
    "less memory than a start takes": (
        {"devpi_server_memory_max_mib": 512},
        ["devpi_server_memory_max_mib is 512", "from 1024 to"],
    ),
    "mirror URL without scheme": (
        users({"name": "near", "type": "mirror", "mirror_url": "mirrors.aliyun.com/pypi/simple/"}),
        ["devpi_layout_users[0].indexes[0].mirror_url", "'mirrors.aliyun.com/pypi/simple/'", "https://"],
    ),
    "client URL without scheme": (
        {"devpi_client_url": "devpi.test"},
        ["devpi_client_url is 'devpi.test'", "https://devpi.example.org"],
    ),
    "unknown index type": (
        users({"name": "dev", "type": "cache"}),
        ["devpi_layout_users[0].indexes[0].type", "'cache'", "mirror", "stage"],
    ),
    "base that is nowhere": (
        users({"name": "dev", "type": "stage", "bases": ["team/missing"]}),
        ["devpi_layout_users[0].indexes[0].bases", "'team/missing'", "declare"],
    ),
    "base without its user": (
        users({"name": "dev", "type": "stage", "bases": ["pypi"]}),
        ["devpi_layout_users[0].indexes[0].bases", "'pypi'", "root/pypi"],
    ),
    "circle of bases": (
        users(
            {"name": "a", "type": "stage", "bases": ["team/b"]},
            {"name": "b", "type": "stage", "bases": ["team/a"]},
        ),
        ["devpi_layout_users", "team/a", "team/b", "circle"],
    ),
    "mirror key on a stage": (
        users({"name": "dev", "type": "stage", "mirror_url": "https://mirrors.aliyun.com/pypi/simple/"}),
        ["devpi_layout_users[0].indexes[0].mirror_url", "mirror"],
    ),
    "empty password of a user": (users(password=""), ["devpi_layout_users[0].password", "empty"]),
    "empty root password": ({"devpi_server_root_password": ""}, ["devpi_server_root_password is empty", "generated"]),
    "unknown installer": ({"devpi_server_installer": "conda"}, ["devpi_server_installer", "conda", "uv, pip"]),
    "unknown plugin": (
        {"devpi_server_plugins": ["token"]},
        ["devpi_server_plugins", "Got no match for: token", "tokens"],
    ),
    "plugin without its server": (
        {"devpi_server_plugins": ["ldap"]},
        ["devpi_server_ldap is empty", "give both"],
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
    "port out of range": ({"devpi_port": 70000}, ["devpi_port is 70000", "from 1 to 65535"]),
    "Python that is missing": (
        {"devpi_server_python": "/usr/bin/python3.99"},
        ["devpi_server_python is '/usr/bin/python3.99'", "3.9 or newer"],
    ),
    "client index without its user": (
        {"devpi_client_index": "pypi"},
        ["devpi_client_index is 'pypi'", "root/pypi"],
    ),
    "client login that .netrc cannot hold": (
        {"devpi_client_user": "root", "devpi_client_login": {"username": "alice", "password": "two words"}},
        ["devpi_client_login has the user name 'alice'", ".netrc"],
    ),
    "client login without a password": (
        {"devpi_client_user": "root", "devpi_client_login": {"username": "alice"}},
        ["devpi_client_login has the user name 'alice' and no password"],
    ),
    "certificate that is missing": (
        {
            "devpi_nginx_tls": "files",
            "devpi_nginx_tls_certificate": "/nowhere/server.crt",
            "devpi_nginx_tls_key": "/nowhere/server.key",
        },
        ["devpi_nginx_tls_certificate", "/nowhere/server.crt"],
    ),
    "ACME without an address": (
        {"devpi_nginx_tls": "acme", "devpi_nginx_acme_agree_tos": True},
        ["devpi_nginx_acme_email is ''", "admin@example.org"],
    ),
    "ACME without the terms": ({**ACME, "devpi_nginx_acme_agree_tos": False}, ["devpi_nginx_acme_agree_tos is false"]),
    "ACME server without its path": (
        {**ACME, "devpi_nginx_acme_directory": "https://acme.test"},
        ["devpi_nginx_acme_directory is 'https://acme.test'", "/directory"],
    ),
    "external account binding without its identifier": (
        {**ACME, "devpi_nginx_acme_eab_hmac_key": SECRET},
        ["devpi_nginx_acme_eab_kid is ''", "give both"],
    ),
    "hook for the DNS that is missing": (
        {**ACME, "devpi_nginx_acme_dns_hook": "/nowhere/hook"},
        ["devpi_nginx_acme_dns_hook is '/nowhere/hook'", "an executable"],
    ),
    "freshness of a page out of range": (
        {"devpi_nginx_page_freshness": 0},
        ["devpi_nginx_page_freshness is 0", "from 1 to 3600"],
    ),
    "internal port of nginx that devpi has": (
        {"devpi_nginx_internal_port": 3141},
        ["devpi_nginx_internal_port is 3141", "devpi_nginx_upstream (127.0.0.1:3141)"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_wrong_value_is_refused(inventory: Path, name: str) -> None:
    """The sentence names the variable, the value and what is allowed, and no secret."""
    variables, sentences = CASES[name]
    said = refused(inventory, variables)
    for sentence in sentences:
        assert sentence in said


def test_other_distribution_is_refused(inventory: Path) -> None:
    """A host that is not Debian 12 or 13 is named with what it runs."""

    def become(version: str) -> None:
        change = f"sed -i 's/^VERSION_ID=.*/VERSION_ID={version}/' /usr/lib/os-release"
        subprocess.run([HOSTS, "ssh", HOST, f"{change} && echo {version}.0 > /etc/debian_version"], check=True)

    become("11")
    try:
        said = refused(inventory, {})
    finally:
        become("12")
    assert "runs Debian 11" in said
    assert "Debian 12 (bookworm) and Debian 13 (trixie)" in said
