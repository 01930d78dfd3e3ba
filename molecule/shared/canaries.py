"""Run the playbook with a canary in all variables that may hold a secret, and search what Ansible prints for it.

canaries.py VARIABLES OPTION...: the options are those of ansible-playbook. Runs it with wrong values, which it has to
refuse, in check mode and for good, each time with all that -vvv and --diff print.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
#: Stands in each secret, and nowhere else. verify.yml searches the hosts for it.
MARK = "canary4sunray8"


def canary(name: str) -> str:
    """Return a secret."""
    return f"{MARK}.{name}"


def login(name: str) -> str:
    """Return a user and a secret, as a URL has them."""
    return f"{name}:{canary(name)}@"


def right(variables: dict[str, Any]) -> dict[str, Any]:
    """Return variables that the roles take. ``variables`` are those of the inventory that are to go on."""
    return {
        "devpi_server_environment": {
            **variables["devpi_server_environment"],
            "ALL_PROXY": f"http://{login('proxy')}127.0.0.1:8888",
        },
        "devpi_server_install_index_url": f"https://{login('index')}mirror.test/simple/",
        "devpi_server_root_password": canary("root"),
        "devpi_server_ldap": {
            "url": "ldap://127.0.0.1",
            "user_search": {
                "base": "ou=people",
                "filter": "(uid={username})",
                "attribute_name": "entryDN",
                "userdn": "cn=admin",
                "password": canary("ldap"),
            },
        },
        "devpi_layout_users": [
            {"name": "root", "indexes": [{"name": "pypi", "mirror_no_project_list": True}]},
            {
                "name": "team",
                "password": canary("team"),
                "indexes": [
                    {"name": "far", "type": "mirror", "mirror_url": f"http://{login('mirror')}127.0.0.1:9/simple/"}
                ],
            },
        ],
        "devpi_backup_repository": "/srv/canary",
        "devpi_backup_password": canary("backup"),
        "devpi_backup_environment": {"AWS_SECRET_ACCESS_KEY": canary("environment")},
        "devpi_client_login": {"username": "team", "password": canary("team")},
        "devpi_client_repositories": [
            {"name": "far", "index": "team/far", "username": "team", "password": canary("repository")}
        ],
    }


def wrong() -> dict[str, Any]:
    """Return variables each of which has to be refused, in ways that secrets are wrong."""
    return {
        "devpi_server_environment": {
            "HTTPS_PROXY": f"http://{login('proxy')}h'",
            "A-B": canary("name"),
            "C": [canary("list")],
        },
        "devpi_server_install_index_url": f"htps://{login('index')}mirror.test/simple/",
        "devpi_server_root_password": f"{canary('root')}\n",
        "devpi_server_ldap": {"uri": f"ldap://{login('ldap')}h", "user_search": {"password": canary("ldap")}},
        "devpi_layout_users": [
            {
                "name": "team",
                "password": [canary("team")],
                "indexes": [{"name": "far", "mirror_url": f"htp://{login('mirror')}h"}],
            },
            {"name": "second", "pasword": canary("misspelt")},
        ],
        "devpi_backup_repository": f"s4:https://{login('repository')}h/b",
        "devpi_backup_password": f" {canary('backup')}",
        "devpi_backup_environment": {"AWS_SECRET_ACCESS_KEY": f"{canary('environment')}'", "X": {"y": canary("deep")}},
        "devpi_client_login": {"username": "team", "pasword": canary("client")},
        "devpi_client_repositories": [{"name": "far", "index": "team/far", "password": canary("alone")}],
    }


def forms() -> list[bytes]:
    """Return how the mark may stand in a text: as it is, and in base64, whatever is before it."""
    found = [MARK.encode()]
    for before in range(3):
        # What stands before and after changes the first and the last letters.
        found.append(base64.b64encode(b"x" * before + MARK.encode())[4 if before else 0 : -4])
    return found


def run(name: str, variables: dict[str, Any], options: tuple[str, ...]) -> int:
    """Run the playbook, and return its status. Exits where it prints a canary."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(variables, file)
        file.flush()
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-vvv",
            "--diff",
            f"--extra-vars=@{file.name}",
        ]
        done = subprocess.run(
            [*command, *options, "playbooks/site.yml"],
            check=False,
            cwd=CHECKOUT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    said = done.stdout + done.stderr
    leaks = [line for line in said.splitlines() if any(form in line for form in forms())]
    if leaks:
        (CHECKOUT / ".cache").mkdir(exist_ok=True)
        kept = CHECKOUT / ".cache" / "canaries.log"
        kept.write_bytes(said)
        print(f"{name}: {len(leaks)} lines with a secret, kept in {kept}:")
        print(b"\n".join(line[:300] for line in leaks[:20]).decode(errors="replace"))
        raise SystemExit(1)
    if b"TASK [" not in said:
        raise SystemExit(f"{name}: nothing ran: {said[-2000:].decode(errors='replace')}")
    print(f"{name}: status {done.returncode}, {len(said)} bytes, no secret", flush=True)
    return done.returncode


def main(variables: str, *options: str) -> int:
    """Returns the exit status."""
    given = right(json.loads(variables))
    if run("wrong values", wrong(), (*options, "--check")) == 0:
        raise SystemExit("Wrong values were taken.")
    checked = run("check mode", given, (*options, "--check"))
    return checked or run("a run", given, options)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
