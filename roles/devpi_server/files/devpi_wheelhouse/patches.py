"""The patches of devpi and its plugins: what each was tested with, and whether it is put in."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devpi_server.log import threadlog

from devpi_wheelhouse import ldap, queue

#: What a module has that was changed, with the name of the patch.
MARK = "devpi_wheelhouse_patch"


@dataclass(frozen=True)
class Patch:
    """A change of a module that is not ours."""

    #: As the role's variable devpi_server_patches calls it.
    name: str
    #: The module. Where devpi has not loaded it, there is nothing to change.
    module: str
    distribution: str
    #: The versions of the distribution that it was tested with.
    tested: frozenset[str]
    apply: Callable[[Any], None]


def _queue(module: Any) -> None:
    queue.write_in_turn(module.Storage, module.Connection)


#: The storage of PostgreSQL waits in PostgreSQL, which has a queue.
PATCHES = (
    Patch("writer_queue", "devpi_server.keyfs_sqlite_fs", "devpi-server", frozenset({"6.20.3", "7.0.0b4"}), _queue),
    Patch("writer_queue", "devpi_server.keyfs_sqla_lite", "devpi-server", frozenset({"7.0.0b4"}), _queue),
    Patch("ldap_timeout", "devpi_ldap.main", "devpi-ldap", frozenset({"2.2.0"}), ldap.give_up),
)


def apply(without: Sequence[str], patches: tuple[Patch, ...] = PATCHES) -> list[str]:
    """Put the patches in that were tested with what is installed. Returns the modules that were changed.

    `without` names those that are switched off. One that was not tested is left out, with a line in the journal: devpi
    starts in any case.
    """
    changed = []
    for patch in patches:
        module = sys.modules.get(patch.module)
        if module is None or getattr(module, MARK, None):
            continue
        if patch.name in without:
            threadlog.info("patch %s of %s is switched off", patch.name, patch.module)
            continue
        version = importlib.metadata.version(patch.distribution)
        if version not in patch.tested:
            tested = " and ".join(sorted(patch.tested))
            threadlog.warn(
                "patch %s of %s is left out: it was tested with %s %s, and this is %s",
                *(patch.name, patch.module, patch.distribution, tested, version),
            )
            continue
        try:
            patch.apply(module)
        except Exception as problem:
            threadlog.warn("patch %s of %s failed, and is left out: %r", patch.name, patch.module, problem)
            continue
        setattr(module, MARK, patch.name)
        changed.append(patch.module)
    return changed
