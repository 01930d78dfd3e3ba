# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that begins with the name of a role and is none of its own is named, with what was meant."""

from __future__ import annotations

import re

import pytest
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import ROLES, options_of
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._unknown import unknown

ALL_ROLES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())

MEANT = {
    # Misspelled.
    "devpi_server_thread": "devpi_server_threads",
    "devpi_server_treads": "devpi_server_threads",
    "devpi_nginx_privat": "devpi_private",
    "devpi_client_extra_index": "devpi_client_extra_indexes",
    "devpi_layout_user": "devpi_layout_users",
    "devpi_backup_repositories": "devpi_backup_repository",
    # Of another role.
    "devpi_nginx_threads": "devpi_server_threads",
    "devpi_client_domain": "devpi_domain",
    # Called so once.
    "devpi_nginx_private": "devpi_private",
    "devpi_nginx_login_page": "devpi_login_page",
    "devpi_nginx_https_port": "devpi_https_port",
    "devpi_nginx_max_upload_mib": "devpi_max_upload_mib",
    "devpi_server_max_upload_mib": "devpi_max_upload_mib",
    "devpi_server_directory": "devpi_directory",
    "devpi_server_install_directory": "devpi_install_directory",
    "devpi_server_port": "devpi_server_listen",
    "devpi_backup_server_directory": "devpi_directory",
    "devpi_backup_server_url": "devpi_socket",
}


def role_of(name: str) -> str:
    """Return the role whose name a variable begins with."""
    return "_".join(name.split("_")[:2])


@pytest.mark.parametrize("name", MEANT)
def test_what_was_meant(name: str) -> None:
    (sentence,) = unknown(role_of(name), [name])
    assert sentence.startswith(f"{name} is unknown: is it {MEANT[name]} that you mean? ")
    assert MEANT[name] in {option for role in ALL_ROLES for option in options_of(role)}


@pytest.mark.parametrize("name", ["devpi_server_trial_port", "devpi_nginx_internal_port", "devpi_client_zzz"])
def test_nothing_is_proposed_where_nothing_is_near(name: str) -> None:
    (sentence,) = unknown(role_of(name), [name])
    assert sentence.startswith(f"{name} is unknown: What")


@pytest.mark.parametrize("role", ALL_ROLES)
def test_nobody_elses_variable_is_refused(role: str) -> None:
    """Those of all roles, of another role's prefix, and whatever else begins with devpi."""
    others = ["devpi_servers", "devpi_clients", "devpi_domains", "devpi_serverless", "devpi", "devpi_", "ansible_host"]
    assert unknown(role, [*(name for other in ALL_ROLES for name in options_of(other)), *others]) == []
    assert unknown(role, [f"{other}_zzz" for other in ALL_ROLES if other != role]) == []


@pytest.mark.parametrize("role", ALL_ROLES)
def test_what_the_roles_find_out_is_their_own(role: str) -> None:
    """Facts and results of a play before, or of the role itself, are variables like any other."""
    texts = [path.read_text("utf-8") for path in (ROLES / role / "tasks").glob("*.yml")]
    results = {name for text in texts for name in re.findall(r"^\s*register: (\w+)", text, re.MULTILINE)}
    facts = {name for text in texts for name in re.findall(r"^    (devpi_\w+_checked):", text, re.MULTILINE)}
    assert results
    assert facts or role == "devpi_client"
    assert unknown(role, results | facts | {f"{role}_settings", f"{role}_problems"}) == []
