"""Modules: action group, integration targets and attributes."""

from __future__ import annotations

import re

import pytest
from repository import API_MODULES, CHECKOUT, MODULES, documentation, load

of_each_module = pytest.mark.parametrize("module", MODULES)


def test_action_group_has_every_module_that_speaks_to_devpi_and_nothing_else() -> None:
    assert load("meta/runtime.yml")["action_groups"] == {"devpi": API_MODULES}


@of_each_module
def test_module_has_an_integration_target(module: str) -> None:
    targets = CHECKOUT / "tests" / "integration" / "targets"
    used = "".join(path.read_text() for path in targets.glob(f"*{module}*/tasks/*.yml"))
    assert f"wheelhouse.devpi.{module}:" in used


@pytest.mark.parametrize("module", API_MODULES)
def test_module_has_integration_tests(module: str) -> None:
    tests = (CHECKOUT / "tests" / "integration").glob("test_*.py")
    called = re.compile(rf"\.(proves|run)\(.*\b{module}\b")
    assert [path for path in tests if called.search(path.read_text())] != []


@of_each_module
def test_module_has_unit_tests(module: str) -> None:
    assert (CHECKOUT / "tests" / "unit" / "plugins" / "modules" / f"test_{module}.py").is_file()


@of_each_module
def test_module_documents_its_attributes(module: str) -> None:
    fragments = documentation(module)["extends_documentation_fragment"]
    assert [name for name in fragments if name.startswith("wheelhouse.devpi.attributes")] != []


@pytest.mark.parametrize("module", API_MODULES)
def test_module_takes_the_connection_options(module: str) -> None:
    assert "wheelhouse.devpi.connection" in documentation(module)["extends_documentation_fragment"]
