# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_nginx have to be."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _rules as rules
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings

_CLOSED = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys")
_SOCKET = re.compile(r"unix:/[A-Za-z0-9/._+-]+")
_ACME_DIRECTORY = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9/._~-]*")


def derive(settings: Settings) -> None:
    """Fill in what follows from other settings where it was left empty."""
    settings.derived["files_directory"] = f"{settings.get('devpi_directory')}/+files"
    rules.leave_out_readers(settings)
    path = settings.get("devpi_socket")
    settings.derive("devpi_nginx_upstream", None if path is None else f"unix:{path}")


def check(settings: Settings, _read: Callable[[str], str | None]) -> None:
    """Add what is wrong."""
    rules.domain(settings)
    rules.folder(settings, "devpi_directory")
    rules.unix_socket(settings, "devpi_socket")
    rules.private(settings)
    upstream = settings.get("devpi_nginx_upstream")
    # nginx itself would look a name up, but what runs in it without a request of a client has no resolver.
    if upstream and not _SOCKET.fullmatch(upstream) and not rules.is_place(upstream):
        settings.refuse(
            "devpi_nginx_upstream",
            "it has to be address:port, such as 127.0.0.1:3141, or unix:/path/to/socket, without http:// and with the "
            "address of a host in place of its name.",
        )
    least_ca_days = settings.get("devpi_nginx_certificate_days") or 31
    rules.numbers(
        settings,
        {
            "devpi_nginx_http_port": (1, 65535),
            "devpi_https_port": (1, 65535),
            "devpi_max_upload_mib": (1, 1048576),
            "devpi_nginx_timeout": (2, 86400),
            "devpi_nginx_page_freshness": (1, 3600),
            "devpi_nginx_page_stale": (60, 31536000),
            "devpi_nginx_login_rate": (1, 1000),
            "devpi_nginx_login_grace": (0, 86400),
            "devpi_nginx_connections": (1, 65535),
            "devpi_nginx_certificate_days": (31, 397),
            "devpi_nginx_ca_days": (least_ca_days, 36500),
        },
    )
    _ports(settings)
    _certificate(settings)
    if settings.get("devpi_nginx_tls") == "acme":
        _acme(settings)


def _ports(settings: Settings) -> None:
    http, https = map(settings.get, ("devpi_nginx_http_port", "devpi_https_port"))
    if http is not None and http == https:
        settings.refuse("devpi_nginx_http_port", f"it has to be another port than devpi_https_port ({https}).")


def _certificate(settings: Settings) -> None:
    tls = settings.get("devpi_nginx_tls")
    names = ("devpi_nginx_tls_certificate", "devpi_nginx_tls_key")
    for variable in names:
        if tls == "files":
            _file(settings, variable, "with devpi_nginx_tls: files the absolute path of a PEM file of the host")
        elif tls is not None and settings.get(variable):
            settings.refuse(variable, f"devpi_nginx_tls is {tls}; set that to files, or leave this one empty.")


def _acme(settings: Settings) -> None:
    directory = settings.get("devpi_nginx_acme_directory")
    if directory is not None and not _ACME_DIRECTORY.fullmatch(directory):
        settings.refuse(
            "devpi_nginx_acme_directory",
            "it has to be the URL of the directory of an ACME server, such as "
            "https://acme-staging-v02.api.letsencrypt.org/directory.",
        )
    email = settings.get("devpi_nginx_acme_email")
    if email is not None and not re.fullmatch(r"[^@\s\"'#;,\\]+@[A-Za-z0-9.-]+", email):
        settings.refuse(
            "devpi_nginx_acme_email",
            "with devpi_nginx_tls: acme it has to be the address under which the ACME server reaches you, such as "
            "admin@example.org.",
        )
    if settings.get("devpi_nginx_acme_agree_tos") is False:
        settings.problems.append(
            f"devpi_nginx_acme_agree_tos is false: {directory} gives certificates to those alone who agree to its "
            "terms. "
            "Read them there, and set the variable to true."
        )
    kid, key = settings.get("devpi_nginx_acme_eab_kid"), settings.get("devpi_nginx_acme_eab_hmac_key")
    if kid is not None and key is not None:
        both = bool(kid) == bool(key)
        if not both or not re.fullmatch(r"[^\s#;]*", kid) or not re.fullmatch(r"[A-Za-z0-9_-]*=*", key):
            settings.refuse(
                "devpi_nginx_acme_eab_kid",
                f"and devpi_nginx_acme_eab_hmac_key is {'given' if key else 'empty'}. Please give both as the ACME "
                "server shows "
                "them (the key has letters, digits, - and _ only), or neither.",
            )
    for variable, what in {
        "devpi_nginx_acme_ca_file": "the absolute path of a PEM file of the host",
        "devpi_nginx_acme_dns_hook": "the absolute path of an executable of the host",
    }.items():
        if settings.get(variable):
            _file(settings, variable, what)


def _file(settings: Settings, variable: str, what: str) -> None:
    """Require a file that nginx and what renews certificates can reach: in a home, but not in their own /tmp."""
    if rules.path(settings, variable, what):
        rules.reachable(settings, variable, _CLOSED, "one in /etc/ssl")
