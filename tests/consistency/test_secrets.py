"""No variable that may hold a secret stays out of the scenarios that search what Ansible prints."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from repository import CHECKOUT, load

OUTPUT = CHECKOUT / "molecule/shared/search_output.py"
SCENARIOS = CHECKOUT.glob("molecule/*/verify.yml")
SEARCHED = sorted(path.parent.name for path in SCENARIOS if OUTPUT.name in path.read_text())
#: A private key has no word in it: search_output.py gets the file.
KEYS = {"devpi_backup_ssh_key"}
#: The keys of users, indexes and repositories that may hold one.
PARTS = ["password", "mirror_url"]


def secrets() -> set[str]:
    """Return the variables of which nothing is ever shown."""
    text = (CHECKOUT / "plugins/plugin_utils/_settings.py").read_text()
    found = re.search(r"^SECRETS = frozenset\((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    names: set[str] = ast.literal_eval(found.group(1).strip())
    return names


@pytest.fixture(name="search")
def _search() -> ModuleType:
    """The program that searches."""
    spec = importlib.util.spec_from_file_location("search_output", OUTPUT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given(scenario: str) -> list[tuple[str, Any]]:
    """Return each key of an inventory and what it holds, with variables of the inventory put in."""
    found: list[tuple[str, Any]] = []

    def walk(value: Any) -> None:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            found.append((str(key), part))
            if isinstance(part, (dict, list)):
                walk(part)

    walk(load(f"molecule/{scenario}/inventory.yml"))
    texts = {key: part for key, part in found if isinstance(part, str)}
    return [
        (key, re.sub(r"\{\{.*?(\w+) \}\}", lambda name: texts.get(name.group(1), name.group(0)), str(part)))
        for key, part in found
    ]


@pytest.mark.parametrize("variable", [*sorted(secrets() - KEYS), *PARTS])
def test_the_variable_has_a_secret_that_is_searched_for(variable: str, search: ModuleType) -> None:
    values = [value for scenario in SEARCHED for key, value in given(scenario) if key == variable]
    assert [value for value in values if search.MARK in value], values


@pytest.mark.parametrize("scenario", SEARCHED)
def test_the_scenario_prints_all(scenario: str) -> None:
    environment = load(f"molecule/{scenario}/molecule.yml")["ansible"]["env"]
    assert environment["ANSIBLE_VERBOSITY"] == 3
    assert environment["ANSIBLE_DIFF_ALWAYS"] is True
    assert environment["ANSIBLE_LOG_PATH"].endswith("/output.log")


ROLE = "task path: /x/roles/devpi_server/tasks/main.yml:1"
VERIFY = "task path: /x/molecule/tls/verify.yml:1"


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        (["TASK [Write]", ROLE, "+password: c4nary of root"], True),
        (["TASK [Write]", ROLE, "content: cGFzc3dvcmQ6IGM0bmFyeQo="], True),
        (["TASK [Write]", ROLE, "ok"], False),
        (["TASK [Verify]", VERIFY, "argv: c4nary"], False),
        (["TASK [Verify]", VERIFY, "TASK [Write]", ROLE, "c4nary"], True),
        (["PLAY [Verify]", "<host> SSH: EXEC c4nary", "TASK [Verify]", VERIFY], False),
        (["PLAY [Write]", "<host> SSH: EXEC c4nary", "TASK [Write]", ROLE], True),
        (["TASK [Verify]", VERIFY, "ok", "PLAY RECAP *", "c4nary in a message after all tasks"], True),
        (["c4nary in a message before all tasks"], True),
    ],
)
def test_what_is_a_leak(lines: list[str], is_found: bool, search: ModuleType) -> None:
    assert bool(search.leaks("\n".join(lines), search.forms(search.MARK))) is is_found


def test_output_that_says_less_proves_nothing(search: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("TASK [Write] ****\nok: [host]\n")
    assert search.main(str(log)) == 1
    log.write_text(f"TASK [Write] ****\n{ROLE}\ninvocation:\n  module_args:\n    _raw_params: ls\n")
    assert search.main(str(log)) == 0
    log.write_text(log.read_text() + "    password: c4nary\n")
    assert search.main(str(log)) == 1
