# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What devpi may reach on its own host: an upstream that it is sent on by must not make it read what is there."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

PROXIES = re.compile(r"(https?|all)_proxy", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443, "ldap": 389, "ldaps": 636, "ldapi": None}

Places: t.TypeAlias = "dict[str, list[str]]"
"""Addresses with a port as nft has them in a set (``127.0.0.1 . 8888``), by ``ipv4`` and ``ipv6``."""


def places(named: Iterable[str], environment: Mapping[str, t.Any], ldap: Mapping[str, t.Any]) -> Places:
    """Return what the inventory names: by itself, as a proxy or as the server of LDAP. What is no address is left out.

    Raises ValueError with an entry of ``named`` that is none such as ``127.0.0.1:8000``.
    """
    found: Places = {"ipv4": [], "ipv6": []}
    for entry in named:
        added = _added(found, f"//{entry}")
        if not added:
            raise ValueError(entry)
    for name, value in environment.items():
        if PROXIES.fullmatch(str(name)) and isinstance(value, str):
            _added(found, value if "//" in value else f"http://{value}")
    servers = [ldap, *(server for server in ldap.get("server_pool") or () if isinstance(server, Mapping))]
    for server in servers:
        _added(found, str(server.get("url", "")))
    return {kind: sorted(set(those)) for kind, those in found.items()}


def _added(found: Places, url: str) -> bool:
    """Add the address and the port of a URL. Returns whether it has both."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
        addresses = ["127.0.0.1", "::1"] if host == "localhost" else [host]
        known = [ipaddress.ip_address(address) for address in addresses]
    except ValueError:
        return False
    if not port or (parts.path not in ("", "/") and not parts.scheme):
        return False
    for address in known:
        found[f"ipv{address.version}"].append(f"{address} . {port}")
    return True
