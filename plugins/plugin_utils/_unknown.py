# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that look like one of a role, and are none: misspelled, or of another version.

Ansible ignores them without a word, and what somebody wanted private is open. What begins with the name of a role is
the role's, by the custom of Ansible; what else begins with ``devpi_`` may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from itertools import chain

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import PREFIX, ROLES, key_of, options_of

_WRITTEN = ("roles/*/tasks/*.yml", "roles/*/handlers/*.yml", "roles/*/vars/*.yml", "playbooks/*.yml")
"""Where the collection calls what it finds out something (``register``, ``set_fact``), which is a variable too."""

_CALLED_OTHERWISE = {
    "devpi_backup_server_directory": "devpi_directory",
    "devpi_backup_server_url": "devpi_socket",
    "devpi_nginx_files_directory": "devpi_directory",
    "devpi_server_host": "devpi_server_listen",
    "devpi_server_port": "devpi_server_listen",
}
"""What names are called today that were changed in more than that they lost the name of a role."""


def unknown(role: str, names: Iterable[str]) -> list[str]:
    """Return a sentence for each of these variables that begins with the name of the role and is not its own."""
    begin = f"{role}_"
    own = _own_names()
    strangers = sorted(name for name in names if name.startswith(begin) and name != begin and name not in own)
    return [_sentence(role, name) for name in strangers]


def _sentence(role: str, name: str) -> str:
    meant = _nearest(role, name)
    said = f"is it {meant} that you mean? " if meant else ""
    return (
        f"{name} is unknown: {said}What begins with {role}_ is of the role {role}, whose variables are in "
        f"docs/roles/{role}.md; please call one of your own otherwise."
    )


def _nearest(role: str, name: str) -> str | None:
    """Return the variable that was meant, as far as can be told."""
    if name in _CALLED_OTHERWISE:
        return _CALLED_OTHERWISE[name]
    # Without what all have in common. What two roles read has no role in its name, and had one once.
    for roles in ((role,), _roles()):
        known = {key_of(other, option): option for other in roles for option in options_of(other)}
        nearest = get_close_matches(key_of(role, name), known, n=1, cutoff=0.7)
        if nearest:
            return known[nearest[0]]
    return None


@cache
def _roles() -> tuple[str, ...]:
    """Return the names of the roles."""
    return tuple(sorted(path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml")))


@cache
def _own_names() -> frozenset[str]:
    """Return the variables of all roles and whatever else they, or the playbooks, call so."""
    files = chain.from_iterable(sorted(ROLES.parent.glob(pattern)) for pattern in _WRITTEN)
    found = chain.from_iterable(re.findall(rf"\b{PREFIX}\w+", path.read_text(encoding="utf-8")) for path in files)
    return frozenset(chain(found, *(options_of(role) for role in _roles())))
