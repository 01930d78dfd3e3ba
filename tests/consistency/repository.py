"""What the consistency tests share. They test the repository itself."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir() if (path / "tasks").is_dir())
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
#: Those that speak to the API of devpi.
API_MODULES = [module for module in MODULES if module.startswith("devpi_")]


def load(path: str) -> Any:
    """Return what a YAML file of the repository says."""
    return yaml.safe_load((CHECKOUT / path).read_text())


def entry_points(role: str) -> dict[str, Any]:
    """Return the argument specs of a role."""
    specs: dict[str, Any] = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return specs


def documentation(module: str) -> dict[str, Any]:
    """Return DOCUMENTATION of a module, without what its fragments add."""
    tree = ast.parse((CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and [name.id for name in node.targets if isinstance(name, ast.Name)] == [
            "DOCUMENTATION"
        ]:
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise AssertionError(f"{module} has no DOCUMENTATION")


def files() -> list[Path]:
    """Return the files that git tracks, and those that it would."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    paths = (CHECKOUT / name for name in listed.stdout.decode().split("\0") if name)
    return sorted(path for path in paths if path.is_file())
