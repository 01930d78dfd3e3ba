"""A wrong value stops a run before anything on the host has changed, with a sentence that says what to do.

Which values are wrong, and what is said of them: tests/unit/plugins/plugin_utils. Here are whole runs, on a disposable
host: of variables, of what a host has to have, and of a role without site.yml.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HOSTS = CHECKOUT / "tests/hosts/hosts"
HOST = "bad-input"
SECRET = "s3cret-of-team"
SITE = CHECKOUT / "playbooks/site.yml"


def secrets() -> set[str]:
    """Return the variables of which nothing is ever shown."""
    text = (CHECKOUT / "plugins/plugin_utils/_settings.py").read_text()
    return set(re.findall(r'^        "(\w+)",$', text.partition("SECRETS = ")[2].partition(")")[0], re.MULTILINE))


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


def refused(inventory: Path, *extra_vars: str, playbook: Path = SITE, options: Sequence[str] = ()) -> str:
    """Run a playbook with these variables. Returns the messages that it stopped with."""
    run = subprocess.run(
        [
            CHECKOUT / ".venv/bin/ansible-playbook",
            f"--inventory={inventory}",
            *[f"--extra-vars={given}" for given in extra_vars],
            *options,
            playbook,
        ],
        check=False,
        cwd=CHECKOUT,
        env={
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_GATHERING": "explicit",
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


def test_all_wrong_values_are_named_at_once_and_no_secret(inventory: Path) -> None:
    """As text and as JSON, with a login in a URL, with all that -vvv prints, and a secret wherever one may stand."""
    wrong = {
        "devpi_server_environment": {"HTTPS_PROXY": f"http://me:{SECRET}'@proxy.test:3128"},
        "devpi_server_install_index_url": f"htps://me@corp:{SECRET}@host.test/simple/",
        "devpi_server_ldap": {"url": "ldap.test", "user_search": {"password": [SECRET]}},
        "devpi_server_root_password": f" {SECRET}",
        "devpi_backup_environment": {"AWS_SECRET_ACCESS_KEY": f"top'{SECRET}"},
        "devpi_backup_password": [SECRET],
        "devpi_backup_ssh_key": {"key": SECRET},
        "devpi_client_login": f"team:{SECRET}",
        "devpi_client_repositories": [{"name": "dev", "index": "team/dev", "username": "team", "password": [SECRET]}],
        "devpi_nginx_acme_eab_hmac_key": [SECRET],
    }
    assert secrets() <= wrong.keys()
    texts = ["devpi_directory=/home/devpi-data", "devpi_max_upload_mib=2g", "devpi_server_outgoing_ports=443,70000"]
    texts += ["devpi_nginx_timeout=1", "devpi_backup_repository=backup", "devpi_layout_users=team"]
    texts += ["devpi_client_url=devpi.test", "devpi_client_tools=conda"]
    texts += ["devpi_nginx_private=team", "devpi_server_treads=5", "devpi_of_somebody=5", "devpi_servers_of=somebody"]
    said = refused(inventory, json.dumps(wrong), *texts, options=["-vvv"])
    for sentence in (
        "devpi_server_environment.HTTPS_PROXY has to be one line of text, without single quotes",
        "devpi_server_install_index_url is 'htps://********@host.test/simple/'",
        "devpi_backup_environment.AWS_SECRET_ACCESS_KEY has to be one line of text, without single quotes",
        "devpi_backup_password is a list",
        "devpi_backup_ssh_key is a dictionary",
        "devpi_client_login is not shown here: it has to be a dictionary",
        "devpi_client_repositories[0].password is a list",
        "devpi_nginx_acme_eab_hmac_key is a list",
        "devpi_server_root_password is empty, begins or ends with a blank",
        "devpi_directory is '/home/devpi-data'",
        "devpi_max_upload_mib is '2g': it has to be a whole number",
        "devpi_server_outgoing_ports has 70000",
        "devpi_nginx_timeout is 1: it has to be a whole number from 2",
        "devpi_backup_repository is 'backup'",
        "devpi_layout_users[0] is a text",
        "devpi_client_url is 'devpi.test'",
        "devpi_client_tools[0] is 'conda'",
        "devpi_nginx_private is unknown: is it devpi_private that you mean?",
        "devpi_server_treads is unknown: is it devpi_server_threads that you mean?",
    ):
        assert said.count(sentence) == 1
    assert said.count("is unknown") == 2


def test_what_the_host_does_not_have(inventory: Path) -> None:
    """With text in place of lists, numbers and booleans, which is what is meant."""
    texts = ["devpi_server_plugins=tokens", "devpi_max_upload_mib=2048", "devpi_nginx_page_cache=no"]
    said = refused(inventory, "devpi_server_python=/usr/bin/python3.99", *texts)
    assert "devpi_server_python is '/usr/bin/python3.99'" in said
    assert "3.9 or newer" in said
    said = refused(
        inventory, "devpi_nginx_tls=files", *[f"devpi_nginx_tls_{part}=/nowhere" for part in ("certificate", "key")]
    )
    assert "devpi_nginx_tls_certificate '/nowhere'" in said


def test_role_without_the_playbook(inventory: Path, tmp_path: Path) -> None:
    """By include_role, with variables there, and without facts."""
    playbook = tmp_path / "play.yml"
    include = {
        "ansible.builtin.include_role": {"name": "wheelhouse.devpi.devpi_backup"},
        "vars": {
            "devpi_backup_repository": f"https://me@corp:{SECRET}@host.test/bucket",
            "devpi_directory": "srv/devpi",
        },
    }
    playbook.write_text(json.dumps([{"hosts": HOST, "gather_facts": False, "tasks": [include]}]))
    said = refused(inventory, playbook=playbook)
    assert "devpi_backup_repository is 'https://********@host.test/bucket'" in said
    assert "devpi_directory is 'srv/devpi'" in said


def test_other_distribution_is_refused(inventory: Path) -> None:
    """A host that is not Debian 12 or 13 is named with what it runs."""

    def become(version: str) -> None:
        change = f"sed -i 's/^VERSION_ID=.*/VERSION_ID={version}/' /usr/lib/os-release"
        subprocess.run([HOSTS, "ssh", HOST, f"{change} && echo {version}.0 > /etc/debian_version"], check=True)

    become("11")
    try:
        said = refused(inventory)
    finally:
        become("12")
    assert "runs Debian 11" in said
    assert "Debian 12 (bookworm) and Debian 13 (trixie)" in said
