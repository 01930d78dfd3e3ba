# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variable of every role, written as people write it: what is meant, or one sentence that names the variable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._checks import checked
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import (
    ROLES,
    SECRETS,
    Settings,
    key_of,
    options_of,
)

CANARY = "S3CRETcanary"
ALL_ROLES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())

REQUIRED = {"devpi_domain": "devpi.test", "devpi_backup_repository": "/mnt/backup/devpi"}
"""What has to be written, for each role that takes it."""

EXAMPLES: dict[str, Any] = {
    "devpi_backup_environment": {"AWS_ACCESS_KEY_ID": "me"},
    "devpi_backup_password": "a password",
    "devpi_backup_ssh_known_hosts": ["host.example.org ssh-ed25519 AAAA"],
    "devpi_client_extra_indexes": ["team/dev", "root/pypi"],
    "devpi_client_pip_options": {"timeout": "60"},
    "devpi_client_uv_options": {"offline": "true"},
    "devpi_client_user": "dev",
    "devpi_client_url": "https://devpi.test",
    "devpi_nginx_open": ["status", "users"],
    "devpi_nginx_tls_certificate": "/etc/ssl/devpi.pem",
    "devpi_nginx_tls_key": "/etc/ssl/devpi.key",
    "devpi_server_ca_certificates": ["company.crt", "other.crt"],
    "devpi_server_environment": {"HTTPS_PROXY": "http://proxy.test:3128"},
    "devpi_server_ldap": {"url": "ldap://ldap.test", "user_template": "uid={username}"},
    "devpi_server_outgoing_ports": [443, 8443],
    "devpi_server_plugins": ["tokens"],
    "devpi_server_root_password": "a password",
}
"""A right value for variables whose default says too little."""

VARIABLES = [(role, name) for role in ALL_ROLES for name in options_of(role)]
of_each_variable = pytest.mark.parametrize(("role", "name"), VARIABLES)


def of_kinds(*kinds: str) -> pytest.MarkDecorator:
    """Run a test for each variable of some types."""
    chosen = [(role, name) for role, name in VARIABLES if options_of(role)[name]["type"] in kinds]
    return pytest.mark.parametrize(("role", "name"), chosen)


def files(name: str) -> str | None:
    """Return what is in a file of the controller."""
    if name.endswith(".crt"):
        return "-----BEGIN CERTIFICATE-----"
    return "devpi-server==6.20.3 --hash=sha256:1234" if name.endswith(".txt") else None


def read(role: str, **written: Any) -> Settings:
    """Return the settings of a role with these variables, and those that it needs."""
    needed = {name: value for name, value in REQUIRED.items() if name in options_of(role)}
    return checked(role, {**needed, **written}, files)


def example(role: str, name: str) -> Any:
    """Return a value of the right type."""
    if name in EXAMPLES or name in REQUIRED:
        return EXAMPLES.get(name, REQUIRED.get(name))
    option = options_of(role)[name]
    return option.get("default", "text")


def the_sentence(settings: Settings, name: str) -> str:
    """Return the one sentence that there has to be. It begins with the variable, or with a place in it."""
    assert len(settings.problems) == 1, settings.problems
    (sentence,) = settings.problems
    assert sentence.startswith((f"{name} ", f"{name}[", f"{name}.", f"{name}:"))
    return sentence


@pytest.mark.parametrize("role", ALL_ROLES)
def test_defaults_are_right(role: str) -> None:
    assert read(role).problems == []


@of_kinds("int")
def test_number_as_text(role: str, name: str) -> None:
    value = example(role, name)
    for text in (str(value), f" {value} "):
        assert read(role, **{name: text}) == read(role, **{name: value})
    assert isinstance(read(role, **{name: str(value)}).get(name), int)


@of_kinds("bool")
def test_quoted_boolean(role: str, name: str) -> None:
    for value, texts in {
        True: ("true", "True", "yes", "on", "1", 1),
        False: ("false", "False", "no", "off", "0", 0),
    }.items():
        for text in texts:
            settings = read(role, **{name: text})
            assert settings == read(role, **{name: value})
            assert settings.get(name) is value


@of_kinds("list")
def test_text_in_place_of_a_list(role: str, name: str) -> None:
    value = example(role, name)
    if options_of(role)[name]["elements"] == "dict":
        assert "it has to be a" in the_sentence(read(role, **{name: "team"}), name)
        return
    assert read(role, **{name: ",".join(map(str, value))}) == read(role, **{name: value})
    if value:
        assert read(role, **{name: str(value[0])}) == read(role, **{name: value[:1]})


@of_kinds("dict")
def test_text_in_place_of_a_dictionary(role: str, name: str) -> None:
    value = example(role, name)
    assert read(role, **{name: json.dumps(value)}) == read(role, **{name: value})
    assert "it has to be a dictionary" in the_sentence(read(role, **{name: "some words"}), name)


@of_kinds("str", "path", "int", "bool")
def test_list_or_dictionary_in_place_of_one_value(role: str, name: str) -> None:
    value = example(role, name)
    assert " is a list: it has to be " in the_sentence(read(role, **{name: [value]}), name)
    assert " is a dictionary: it has to be " in the_sentence(read(role, **{name: {"value": value}}), name)


@of_kinds("list")
def test_dictionary_in_place_of_a_list(role: str, name: str) -> None:
    assert " is a dictionary: it has to be a list" in the_sentence(read(role, **{name: {"value": True}}), name)


@of_kinds("list")
def test_null_in_a_list(role: str, name: str) -> None:
    assert f"{name}[0] is null: it has to be " in the_sentence(read(role, **{name: [None]}), name)


@of_kinds("dict")
def test_list_in_place_of_a_dictionary(role: str, name: str) -> None:
    assert " is a list: it has to be a dictionary" in the_sentence(read(role, **{name: ["value"]}), name)


@of_kinds("str", "path")
def test_number_or_boolean_in_place_of_a_text(role: str, name: str) -> None:
    """What YAML made of 012, 1_000 or no cannot be undone, so that only the writer can say what was meant."""
    for value in (2024, 1.5, True):
        assert "put it in quotes" in the_sentence(read(role, **{name: value}), name)


@of_kinds("int", "bool")
def test_words_in_place_of_a_number_or_boolean(role: str, name: str) -> None:
    assert " is 'some words': it has to be " in the_sentence(read(role, **{name: "some words"}), name)


@of_kinds("int")
def test_boolean_and_broken_number_in_place_of_a_number(role: str, name: str) -> None:
    for value in (True, 1.5, "1.5", "1e3", "0x10", ""):
        assert "it has to be a whole number" in the_sentence(read(role, **{name: value}), name)


@of_each_variable
def test_null_is_as_if_it_was_not_written(role: str, name: str) -> None:
    settings = read(role, **{name: None})
    if options_of(role)[name].get("required"):
        assert "is missing" in the_sentence(settings, name)
    elif name in SECRETS and "default" not in options_of(role)[name]:
        assert "is null" in the_sentence(settings, name)
    else:
        needed = {key: value for key, value in REQUIRED.items() if key in options_of(role) and key != name}
        assert settings == checked(role, needed, files)


@of_each_variable
def test_what_passes_here_passes_with_ansible(role: str, name: str) -> None:
    """Ansible looks at the variables by itself where the role begins, and site.yml has changed other hosts by then."""
    option = {
        key: part for key, part in options_of(role)[name].items() if key in ("type", "elements", "choices", "options")
    }
    value = example(role, name)
    for written in (
        value,
        str(value),
        [value],
        [str(value)],
        {"a": value},
        None,
        0,
        1,
        1.0,
        1.5,
        True,
        "",
        "a, b",
        "[1]",
        [],
    ):
        if read(role, **{name: written}).get(name) is not None and written is not None:
            assert ArgumentSpecValidator({name: option}).validate({name: written}).error_messages == []


@of_each_variable
def test_no_secret_is_shown(role: str, name: str) -> None:
    """Whatever is wrong: neither what we say of it nor what Ansible does shows a password, or a login in a URL."""
    url = f"htps://me@corp:{CANARY}@host.test/simple/"
    shapes: list[Any] = [
        url,
        f"{url}\n",
        [url],
        {"url": url},
        {"password": 5, url: CANARY},
        [{"name": 5, "password": CANARY}],
    ]
    if name in SECRETS or name == "devpi_layout_users":
        shapes += [
            CANARY,
            f" {CANARY}",
            f"'{CANARY}'",
            [CANARY],
            {"A": f"'{CANARY}"},
            {"A": [CANARY]},
            f"A={CANARY}, B",
        ]
    option = {
        key: part for key, part in options_of(role)[name].items() if key in ("type", "elements", "choices", "options")
    }
    for shape in shapes:
        assert CANARY not in "\n".join(read(role, **{name: shape}).problems)
        # Of keys that it does not know, Ansible says which they are.
        if name in SECRETS and not (isinstance(shape, dict) and url in shape):
            said = ArgumentSpecValidator({name: option}).validate({name: shape}).error_messages
            assert CANARY not in "\n".join(said)


@pytest.mark.parametrize("role", ALL_ROLES)
def test_settings_have_names_of_their_own(role: str) -> None:
    """A template reads ``settings.port``: two variables must not have one name there, nor that of a method."""
    names = [key_of(role, name) for name in options_of(role)]
    assert len(set(names)) == len(names)
    assert set(names).isdisjoint(dir({}))
    assert set(read(role).keyed()) >= set(names)


def test_fingerprint_tells_nothing_of_secrets() -> None:
    first = read("devpi_server", devpi_server_root_password="one").keyed()["fingerprint"]
    assert read("devpi_server", devpi_server_root_password="other").keyed()["fingerprint"] == first
    assert read("devpi_server", devpi_server_threads=5).keyed()["fingerprint"] != first


def test_every_secret_is_a_variable() -> None:
    assert {name for _role, name in VARIABLES} >= SECRETS
