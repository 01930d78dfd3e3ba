"""Tasks and templates read the settings of their role, and no variable as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes
from repository import CHECKOUT, ROLES, entry_points

#: All variables of all roles: what is written may have any type, and another role's may not be there at all.
VARIABLES = set().union(*(entry_points(role)["main"]["options"] for role in ROLES))
#: Keys of tasks whose text is an expression, without braces.
EXPRESSIONS = {"when", "that", "until", "failed_when", "changed_when"}
JINJA = Environment(autoescape=True)


def reads(text: str) -> set[str]:
    """Return the variables that a template reads."""
    return {name.name for name in JINJA.parse(text).find_all(nodes.Name)}


def texts(value: Any, key: str = "") -> Iterator[str]:
    """Yield the templates in tasks or variables. An expression is made one."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from texts(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from texts(part, key)
    elif isinstance(value, str):
        yield f"{{{{ {value} }}}}" if key in EXPRESSIONS and "{{" not in value else value


def files(role: str) -> list[Path]:
    """Return the files of a role that Ansible renders."""
    folder = CHECKOUT / "roles" / role
    return [
        path for part in ("tasks", "handlers", "vars", "templates") for path in sorted((folder / part).rglob("*.*"))
    ]


@pytest.mark.parametrize("role", ROLES)
def test_no_variable_is_read_as_it_was_written(role: str) -> None:
    wrong = []
    for path in files(role):
        content = path.read_text()
        parts = [content] if path.suffix == ".j2" else list(texts(yaml.safe_load(content)))
        wrong += [f"{path.relative_to(CHECKOUT)}: {name}" for part in parts for name in sorted(reads(part) & VARIABLES)]
    assert wrong == []


def test_a_variable_would_be_found() -> None:
    tasks = [{"when": "devpi_socket > 1", "block": [{"debug": {"msg": "{{ devpi_domain }} of devpi_private"}}]}]
    assert set().union(*map(reads, texts(tasks))) & VARIABLES == {"devpi_socket", "devpi_domain"}
