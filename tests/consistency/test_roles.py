"""Roles: defaults, argument specs, the playbook and the examples agree."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from repository import CHECKOUT, ROLES, entry_points, load

#: The variables that several roles read. They have a neutral name, and are the same everywhere.
SHARED = {
    "devpi_directory",
    "devpi_domain",
    "devpi_https_port",
    "devpi_install_directory",
    "devpi_login_page",
    "devpi_max_upload_mib",
    "devpi_private",
    "devpi_socket",
}

of_each_role = pytest.mark.parametrize("role", ROLES)


def all_options(options: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return options and their suboptions, by their full name."""
    found = {}
    for name, option in options.items():
        found[prefix + name] = option
        found.update(all_options(option.get("options", {}), f"{prefix}{name}."))
    return found


@of_each_role
def test_defaults_are_those_of_the_specs(role: str) -> None:
    options = entry_points(role)["main"]["options"]
    # What several roles read has its default in the specs alone, so that it is no role's.
    in_specs = {
        name: option["default"] for name, option in options.items() if "default" in option and name not in SHARED
    }
    assert load(f"roles/{role}/defaults/main.yml") == in_specs


@of_each_role
def test_role_has_its_checks(role: str) -> None:
    """Of the file with the checks there are no specs: what Ansible would say by them, it says in words of its own."""
    assert entry_points(role).keys() == {"main"}
    assert (CHECKOUT / "roles" / role / "tasks" / "preflight.yml").is_file()
    assert load(f"roles/{role}/tasks/main.yml")[0]["ansible.builtin.import_tasks"] == "preflight.yml"


@pytest.mark.parametrize("variable", sorted(SHARED))
def test_shared_variables_are_the_same_everywhere(variable: str) -> None:
    specs = [options[variable] for role in ROLES if variable in (options := entry_points(role)["main"]["options"])]
    assert len(specs) > 1
    for kind in ("type", "elements", "choices", "default", "options"):
        assert all(spec.get(kind) == specs[0].get(kind) for spec in specs), kind


@of_each_role
def test_variables_begin_with_the_name_of_the_role(role: str) -> None:
    names = entry_points(role)["main"]["options"].keys() - SHARED
    assert [name for name in names if not name.startswith(f"{role}_")] == []


@of_each_role
def test_every_option_has_a_type_and_sentences(role: str) -> None:
    wrong = []
    for name, option in all_options(entry_points(role)["main"]["options"]).items():
        described = option.get("description") or [""]
        sentences = [described] if isinstance(described, str) else described
        wrong += [f"{name}: no full stop: {sentence!r}" for sentence in sentences if not sentence.endswith(".")]
        if "type" not in option:
            wrong.append(f"{name}: no type")
        if option.get("type") == "list" and "elements" not in option:
            wrong.append(f"{name}: no elements")
        if option.get("required") and "default" in option:
            wrong.append(f"{name}: required, and has a default")
    assert wrong == []


@of_each_role
def test_entry_points_are_described_by_sentences(role: str) -> None:
    for name, entry_point in entry_points(role).items():
        assert entry_point["short_description"], name
        assert not entry_point["short_description"].endswith("."), name
        assert [line for line in entry_point["description"] if not line.endswith(".")] == [], name


@of_each_role
def test_role_is_in_the_playbook_with_its_checks(role: str) -> None:
    playbook = load("playbooks/site.yml")
    roles = [entry["role"] for play in playbook for entry in play.get("roles", [])]
    assert f"wheelhouse.devpi.{role}" in roles
    assert role in str(playbook[0])


@of_each_role
def test_example_fits_the_specs(role: str) -> None:
    (play,) = load(f"tools/docs_pages/examples/{role}.yml")
    (entry,) = play["roles"]
    assert entry["role"] == f"wheelhouse.devpi.{role}"
    # Defaults are templates, which only a play can fill in.
    options = {
        name: {key: value for key, value in option.items() if key != "default"}
        for name, option in entry_points(role)["main"]["options"].items()
    }
    result = ArgumentSpecValidator(options).validate(entry["vars"])
    assert result.error_messages == []


def test_example_inventory_sets_variables_of_the_roles() -> None:
    known = set().union(*(entry_points(role)["main"]["options"] for role in ROLES))
    for path in (CHECKOUT / "inventory").glob("*_vars/**/*.yml"):
        variables = load(str(path.relative_to(CHECKOUT))) or {}
        assert set(variables) <= known, path
