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
DEFAULT_PORTS = {"http": 80, "https": 443, "ldap": 389, "ldaps": 636}

Place: t.TypeAlias = "tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]"
"""An address with a port."""


def named(entries: Iterable[str]) -> set[Place]:
    """Return the places of entries such as ``127.0.0.1:8000``. One that is none gives nothing."""
    return {place for entry in entries if re.fullmatch(r"[^/?#@]+", entry) for place in _places(f"//{entry}")}


def proxies(environment: Mapping[str, t.Any]) -> set[Place]:
    """Return the places of the proxies that an environment gives by address."""
    urls = [str(url) for name, url in environment.items() if PROXIES.fullmatch(str(name))]
    return {place for url in urls for place in _places(url if "//" in url else f"http://{url}")}


def ldap_servers(ldap: Mapping[str, t.Any]) -> set[Place]:
    """Return the places of the servers that the plugin ldap is told of by address."""
    pool = [server for server in ldap.get("server_pool") or () if isinstance(server, Mapping)]
    return {place for server in (ldap, *pool) for place in _places(str(server.get("url", "")))}


def by_family(places: Iterable[Place]) -> dict[str, list[str]]:
    """Return the places as nft has them in a set (``127.0.0.1 . 8888``), by ``ipv4`` and ``ipv6``."""
    found: dict[str, list[str]] = {"ipv4": [], "ipv6": []}
    for address, port in places:
        found[f"ipv{address.version}"].append(f"{address} . {port}")
    return {family: sorted(those) for family, those in found.items()}


def _places(url: str) -> list[Place]:
    """Return where a URL leads, where that is an address or this host."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        hosts = ["127.0.0.1", "::1"] if parts.hostname == "localhost" else [parts.hostname or ""]
        return [(ipaddress.ip_address(host), port) for host in hosts] if port else []
    except ValueError:
        return []
