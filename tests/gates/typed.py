"""Check the types of all Python of the repository, in groups of programs that find each other's modules.

    python tests/gates/typed.py

What no package holds lies beside each other where it runs: each scenario of molecule is a group of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: Where Python finds the collection by its name: a link to the checkout. See tools/setup.
COLLECTION = ".ansible/collections/ansible_collections/wheelhouse/devpi"
#: What the programs of scenarios have beside them, on the host or the controller.
SHARED = ["molecule/shared", "molecule/shared/security", "tests/upstream", "molecule/upgrade"]


@dataclass(frozen=True)
class Group:
    """The programs in some folders and below them, and where else they find modules."""

    folders: Sequence[str]
    #: Folders, in which modules are found beside those of mypy_path in pyproject.toml.
    path: Sequence[str] = ()
    #: Imported by the name of the collection.
    in_collection: bool = False

    def programs(self) -> list[str]:
        """Return the paths of the programs below the checkout."""
        found = (path for folder in self.folders for path in (CHECKOUT / folder).rglob("*.py"))
        names = (path.relative_to(CHECKOUT).as_posix() for path in found)
        # A scenario keeps a copy of the collection in a hidden folder.
        return sorted(name for name in names if "/." not in name)

    def check(self) -> bool:
        """Show what mypy says. Returns whether it has nothing to say against any program."""
        programs = self.programs()
        print(f"{' '.join(self.folders)}: {len(programs)} programs", flush=True)
        if self.in_collection:
            programs = [f"{COLLECTION}/{program}" for program in programs]
        environment = {**os.environ, "MYPYPATH": ":".join(self.path)}
        return subprocess.run(["mypy", *programs], cwd=CHECKOUT, env=environment, check=False).returncode == 0


def groups() -> list[Group]:
    """Return the groups, which together hold each program once."""
    scenarios = sorted(path.parent.name for path in (CHECKOUT / "molecule").glob("*/molecule.yml"))
    server = "roles/devpi_server/files"
    return [
        Group(["plugins", "tests/unit"], in_collection=True),
        Group(["roles"], [server]),
        Group(["tests/plugin"], ["tests/plugin", server]),
        Group(
            ["tools", *(f"tests/{name}" for name in ("bad_input", "consistency", "gates", "integration", "upstream"))]
        ),
        Group(["tests/hosts"]),
        Group(["tests/bench"], ["tests/bench", "tests/bench/front", *SHARED]),
        Group(["molecule/shared"], SHARED),
        *(Group([folder], [folder, *SHARED]) for folder in (f"molecule/{name}" for name in scenarios)),
    ]


if __name__ == "__main__":
    # Each of them, also after one that failed.
    found = [group.check() for group in groups() if group.programs()]
    sys.exit(0 if all(found) else 1)
