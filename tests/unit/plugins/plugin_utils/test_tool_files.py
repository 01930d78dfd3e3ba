# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written for pip, uv and twine is what they read, or is refused."""

from __future__ import annotations

import configparser
import datetime
import json
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._tool_files import ini, pip_options, toml

#: Characters that formats treat in some special way, and some of each part of Unicode.
CHARACTERS = "abcXYZ 019.,:;=#%$&*!?-_+/\\\"'`~^|(){}[]<>@\t\n\r\x00\x07\x1b\x7f\x85\xa0äöü€中\u2028\ufeff😀\ud800"


def read_pip(options: dict[Any, Any]) -> dict[str, dict[str, str]]:
    """Return what pip's reader of INI files finds, by section."""
    of_all, of_commands = pip_options(options, "options")
    parser = configparser.RawConfigParser()
    parser.read_string(ini({"global": of_all, **of_commands}))
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"timeout": 60}, {"timeout": "60"}),
        ({"timeout": "60 "}, {"timeout": "60"}),
        ({"timeout": 1.5}, {"timeout": "1.5"}),
        ({"No_Input": True, "--pre": False}, {"no-input": "true", "pre": "false"}),
        # pip's FormatControl splits at commas, and nowhere else.
        ({"no-binary": ["psycopg2", "lxml"]}, {"no-binary": "psycopg2,lxml"}),
        ({"no-binary": "psycopg2\nlxml\n"}, {"no-binary": "psycopg2,lxml"}),
        ({"no-binary": ":all:"}, {"no-binary": ":all:"}),
        ({"find-links": ["/srv/a", "#b"]}, {"find-links": "/srv/a #b"}),
        ({"find-links": "/srv/a\n/srv/b\n"}, {"find-links": "/srv/a /srv/b"}),
        ({"uploaded-prior-to": datetime.date(2026, 1, 31)}, {"uploaded-prior-to": "2026-01-31"}),
        ({"proxy": "http://proxy.example.org:3128"}, {"proxy": "http://proxy.example.org:3128"}),
        ({"log": "/home/müller/100%/$x;y #z = 'a'"}, {"log": "/home/müller/100%/$x;y #z = 'a'"}),
        ({"log": "[global]"}, {"log": "[global]"}),
    ],
)
def test_pip_reads_what_was_meant(options: dict[Any, Any], found: dict[str, str]) -> None:
    assert read_pip(options) == {"global": found}


def test_pip_itself_reads_what_was_meant(tmp_path: Path) -> None:
    options = {
        "timeout": 61,
        "no-input": True,
        "no-binary": ["psycopg2", "lxml"],
        "find-links": ["/srv/a", "/srv/b"],
        "cache-dir": "/home/müller/100% #1",
        "install": {"only-binary": ["numpy"], "no-deps": "yes"},
    }
    of_all, of_commands = pip_options(options, "options")
    (tmp_path / "pip.conf").write_text(ini({"global": of_all, **of_commands}), encoding="utf-8")
    script = (
        "import json; from pip._internal.commands import create_command;"
        "found = vars(create_command('install').parser.get_default_values());"
        "print(json.dumps({name: found[name] for name in"
        " ('timeout', 'no_input', 'find_links', 'cache_dir', 'ignore_dependencies')} |"
        " {name: sorted(getattr(found['format_control'], name)) for name in ('no_binary', 'only_binary')}))"
    )
    environment = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {
        "timeout": 61,
        "no_input": True,
        "find_links": ["/srv/a", "/srv/b"],
        "cache_dir": "/home/müller/100% #1",
        "ignore_dependencies": 1,
        "no_binary": ["lxml", "psycopg2"],
        "only_binary": ["numpy"],
    }


def test_pip_reads_options_of_single_commands() -> None:
    assert read_pip({"timeout": 5, "install": {"no-binary": ["a", "b"]}}) == {
        "global": {"timeout": "5"},
        "install": {"no-binary": "a,b"},
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeout": None}, "options.timeout is empty: leave it out, or give it a value."),
        ({"timeout": " "}, "options.timeout is empty"),
        ({"no-binary": []}, "options.no-binary is empty"),
        ({"no-binary": [None]}, "options.no-binary is empty"),
        ({"no-binary": ["a,b"]}, "options.no-binary has a part with a blank or a comma in it"),
        ({"find-links": ["/srv/with blank"]}, "options.find-links has a part with a blank in it"),
        ({"timeout": [1, 2]}, "options.timeout is a list: pip takes one value for it"),
        ({"log": "a\nb"}, "options.log has several lines"),
        ({"log": "a\rb"}, "options.log has several lines"),
        ({"log": "\ud800"}, "or characters that no file can hold"),
        ({"timeout": float("nan")}, "options.timeout cannot be written"),
        ({"no-binary": [{"a": 1}]}, "options.no-binary cannot be written"),
        ({"global": {"timeout": 1}}, "options.global is a dictionary: pip takes one for a command alone"),
        ({"install": {"a": {"b": 1}}}, "options.install.a cannot be written"),
        ({"no-binary": "a", "no_binary": "b"}, "options.no-binary is there twice"),
        ({1: "a"}, "options has the name '1': write an option of pip"),
        ({"a = b\n[install]\nc": "d"}, "options has the name 'a = b"),
        ({"proxy": "http://me:secret@proxy.example.org"}, "options.proxy has a user or password in a URL"),
    ],
)
def test_pip_is_not_given_what_it_would_take_for_something_else(options: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^options") as caught:
        read_pip(options)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"pip": {"index-strategy": "unsafe-best-match"}},
        {"no-binary-package": ["a", "b"], "offline": False, "concurrent-downloads": 8},
        {"config-settings": {"editable_mode": "compat", "with blank": ["a", "b"]}},
        {"dependency-metadata": [{"name": "flask", "requires-dist": ["werkzeug"], "version": "1.0"}]},
        {"a": {"b": {"c": {"d": [1, [2, {"e": ""}]]}}}, "f": 1, "g": {}},
        {"text": 'quotes " and \\ and \x7f and \x00 and\nlines\r and 中😀'},
        {"": "empty", "ä.b": 1, "tab\t": 2},
        {"float": 1e300, "small": -0.0, "inf": float("inf"), "int": -(2**63)},
    ],
)
def test_uv_reads_what_was_meant(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml(table, "options")) == table


def test_uv_gets_dates_as_text() -> None:
    assert tomllib.loads(toml({"exclude-newer": datetime.date(2026, 1, 31)}, "options")) == {
        "exclude-newer": "2026-01-31"
    }


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"a": None}, "options.a is empty: TOML has no null"),
        ({"a": {"b": [1, None]}}, "options.a.b[1] is empty"),
        ({1: "a"}, "options has the name '1': it has to be a text"),
        ({"a": {None: "a"}}, "options.a has the name 'None'"),
        ({"a": 2**63}, "options.a is a number that TOML cannot hold"),
        ({"a": "\ud800"}, "options.a has characters that no file can hold"),
        ({"a": {1, 2}}, "options.a cannot be written"),
        ({"find-links": ["https://me:secret@example.org"]}, "options.find-links[0] has a user or password in a URL"),
    ],
)
def test_uv_is_not_given_what_toml_does_not_have(table: dict[Any, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^options") as caught:
        toml(table, "options")
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def anything(chance: random.Random, depth: int = 0) -> Any:
    """Return a value such as YAML can hold."""

    def text() -> str:
        return "".join(chance.choices(CHARACTERS, k=chance.randrange(6)))

    makers: list[Callable[[], Any]] = [
        text,
        lambda: chance.choice([True, False]),
        lambda: chance.randrange(-(2**65), 2**65),
        lambda: chance.uniform(-1e9, 1e9),
        lambda: chance.choice(["a", "b c", None]),
    ]
    if depth < 3:
        makers += [
            lambda: [anything(chance, depth + 1) for _time in range(chance.randrange(4))],
            lambda: {text(): anything(chance, depth + 1) for _time in range(chance.randrange(4))},
        ]
    return chance.choice(makers)()


def test_whatever_toml_does_not_refuse_comes_back() -> None:
    chance = random.Random(18)
    came_back = 0
    for _time in range(4000):
        table = {chance.choice("abc"): anything(chance) for _time in range(3)}
        try:
            text = toml(table, "options")
        except ValueError:
            continue
        assert tomllib.loads(text) == table
        assert tomllib.loads(text.encode().decode()) == table
        came_back += 1
    assert came_back > 1000


def test_whatever_ini_does_not_refuse_comes_back() -> None:
    chance = random.Random(19)
    came_back = 0
    for _time in range(8000):
        value = anything(chance, 2)
        try:
            found = read_pip({"no-binary": value, "log": "next"})["global"]
        except ValueError:
            continue
        assert found["log"] == "next"
        if isinstance(value, bool):
            assert found["no-binary"] == str(value).lower()
        elif isinstance(value, list):
            assert found["no-binary"].split(",") == [
                str(part).lower() if isinstance(part, bool) else str(part).strip() for part in value
            ]
        elif isinstance(value, str) and "\n" in value.strip():
            assert found["no-binary"].split(",") == [line.strip() for line in value.strip().split("\n")]
        else:
            assert found["no-binary"] == str(value).strip()
        came_back += 1
    assert came_back > 1000
