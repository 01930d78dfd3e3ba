# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_server have to be."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _rules as rules
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._outgoing import by_family, ldap_servers, named, proxies
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings

LDAP_KEYS = (
    "url",
    "server_pool",
    "user_template",
    "user_search",
    "group_search",
    "referrals",
    "reject_as_unknown",
    "tls",
)
"""What devpi-ldap 2.2.0 knows; with another key devpi does not start. ``timeout`` is in its documentation alone."""


def derive(settings: Settings) -> None:
    """Fill in what follows from other settings where it was left empty."""
    rules.leave_out_readers(settings)
    settings.derive("devpi_server_outside_url", rules.authority_url(settings))
    settings.derived["named_here"] = by_family(
        {
            *named(rules.items(settings.get("devpi_server_local_upstreams"))),
            *proxies(settings.get("devpi_server_environment") or {}),
            *ldap_servers(settings.get("devpi_server_ldap") or {}),
        }
    )


def check(settings: Settings, read: Callable[[str], str | None]) -> None:
    """Add what is wrong. ``read`` returns what is in a file of the controller, or None."""
    rules.domain(settings)
    rules.url(settings, "devpi_server_outside_url")
    rules.url(settings, "devpi_server_install_index_url", may_be_empty=True)
    rules.folder(settings, "devpi_directory")
    rules.folder(settings, "devpi_install_directory")
    rules.unix_socket(settings, "devpi_socket")
    rules.place(settings, "devpi_server_listen")
    for entry in rules.items(settings.get("devpi_server_local_upstreams")):
        if not named([entry]):
            settings.problems.append(
                f"devpi_server_local_upstreams has '{entry}': it has to be an address of this host with a port, such "
                "as 127.0.0.1:8000 or [::1]:8000."
            )
    rules.apart(settings, ["devpi_directory", "devpi_install_directory"])
    rules.private(settings)
    _numbers(settings)
    for variable, what in {
        "devpi_server_restrict_modify": "a comma-separated list of users and :groups such as root",
        "devpi_server_indexer_backend": "null, whoosh or the name that a plugin gives",
    }.items():
        value = settings.get(variable)
        if value is not None and not re.fullmatch(r"[^\s'\"\\#]+", value):
            settings.refuse(variable, f"it has to be {what}, without blanks and quotes.")
    if not re.fullmatch(r"/[A-Za-z0-9/._+@-]+|[A-Za-z0-9._+-]+", settings.get("devpi_server_python") or "python3"):
        settings.refuse(
            "devpi_server_python",
            "it has to be the name of a Python on the path, such as python3, or an absolute path.",
        )
    elif (settings.get("devpi_server_python") or "").startswith("/"):
        rules.reachable(settings, "devpi_server_python", rules.CLOSED, "/usr/bin/python3")
    rules.one_line(settings, "devpi_server_root_password", "and one is generated on the host")
    rules.environment(settings, "devpi_server_environment")
    _ldap(settings)
    _files(settings, read)


def _numbers(settings: Settings) -> None:
    memory = max(1024, settings.get("devpi_server_memory_max_mib") or 2048)
    rules.numbers(
        settings,
        {
            "devpi_https_port": (1, 65535),
            "devpi_server_threads": (1, 1000),
            "devpi_server_request_timeout": (1, 3600),
            "devpi_server_mirror_cache_expiry": (1, 31536000),
            "devpi_max_upload_mib": (1, 1048576),
            "devpi_server_documentation_max_mib": (1, memory // 2),
            "devpi_server_start_timeout": (1, 3600),
            "devpi_server_switch_limit": (1, 86400),
            "devpi_server_releases_kept": (2, 100),
            "devpi_server_memory_max_mib": (1024, 1048576),
            "devpi_server_migrate_limit": (1, 604800),
            "devpi_server_health_timeout": (0, 3600),
        },
    )
    for port in rules.items(settings.get("devpi_server_outgoing_ports")):
        if not 1 <= port <= 65535:
            settings.problems.append(
                f"devpi_server_outgoing_ports has {port}: a port is a whole number from 1 to 65535, such as 443."
            )


def _ldap(settings: Settings) -> None:
    """Check whom the plugin ldap asks. Its values are never shown: a password may be there."""
    ldap, plugins = settings.get("devpi_server_ldap"), settings.get("devpi_server_plugins")
    if ldap is None or plugins is None:
        return
    if ("ldap" in plugins) != bool(ldap):
        settings.problems.append(
            f"devpi_server_ldap is {'set' if ldap else 'empty'} and devpi_server_plugins has "
            f"{', '.join(plugins) or 'nothing'}"
            ": give both, the plugin ldap and the server that it asks, or neither."
        )
        return
    if not ldap:
        return
    searches = [ldap[key] for key in ("user_search", "group_search") if key in ldap]
    if not (
        all(key in LDAP_KEYS for key in ldap)
        and ("url" in ldap) != ("server_pool" in ldap)
        and ("user_template" in ldap) != ("user_search" in ldap)
        and ("url" not in ldap or re.match(r"ldap[si]?://", str(ldap["url"])))
        and all(
            isinstance(search, dict) and {"base", "filter", "attribute_name"} <= search.keys() for search in searches
        )
    ):
        settings.problems.append(
            f"devpi_server_ldap has the keys {', '.join(map(str, ldap))}: it has to have either url (ldap:// or "
            "ldaps://) or "
            "server_pool, and either user_template or user_search, and may have group_search, referrals, "
            "reject_as_unknown and tls. Each search has base, filter and attribute_name."
        )


def _files(settings: Settings, read: Callable[[str], str | None]) -> None:
    """Check the files of the controller that are named."""
    for path in rules.items(settings.get("devpi_server_ca_certificates")):
        if not path.endswith(".crt") or "-----BEGIN CERTIFICATE-----" not in (read(path) or ""):
            settings.problems.append(
                f"devpi_server_ca_certificates names '{path}': it has to be a PEM file on the controller with the "
                "ending .crt."
            )
    lock = settings.get("devpi_server_lock")
    if lock is None:
        return
    text = read(lock) or ""
    if not re.search(r"(?m)^devpi-server==", text) or "--hash=sha256:" not in text:
        settings.refuse(
            "devpi_server_lock",
            "it has to be a requirements file on the controller that pins devpi-server and gives hashes (uv pip "
            "compile "
            "--universal --generate-hashes).",
        )
