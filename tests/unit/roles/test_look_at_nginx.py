# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that looks at the nginx of a host before anything changes."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import ROOT, load

MAIN = """user www-data;
include {etc}/modules-enabled/*.conf;
events {{}}
http {{
    # include nothing;
    log_format x '$remote_addr {{ } ; "';
    include {etc}/conf.d/*.conf;
    include sites-enabled/*;
}}
"""


@pytest.fixture
def program() -> ModuleType:
    """Return the program."""
    return cast("ModuleType", load("roles/devpi_nginx/files/look_at_nginx.py"))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return the folder of an nginx like Debian's, without sites."""
    for name in ("conf.d", "sites-enabled", "sites-available", "modules-enabled"):
        (tmp_path / name).mkdir()
    (tmp_path / "nginx.conf").write_text(
        MAIN.replace("{etc}", str(tmp_path)).replace("{{", "{").replace("}}", "}"), "utf-8"
    )
    return tmp_path


@pytest.fixture
def plan(program: ModuleType, etc: Path) -> Any:
    """Return what the role does by default."""
    return program.Plan(
        domain="index.test",
        ports={"devpi_nginx_http_port": 80, "devpi_https_port": 443},
        needs_lua=True,
        devpi=["127.0.0.1:3141", ":3141", "/var/lib/devpi"],
        sandbox=str(etc / "sandbox"),
        etc=str(etc),
    )


def found(program: ModuleType, plan: Any, **listeners: str) -> list[str]:
    """Return the sentences about the files."""
    by_port = {int(port.lstrip("p")): who for port, who in listeners.items()}
    return cast("list[str]", program.problems(plan, program.Configuration(plan.etc), by_port, False))


def only(sentences: list[str]) -> str:
    assert len(sentences) == 1, sentences
    return sentences[0]


def test_debians_nginx_is_fine(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "sites-enabled/one").write_text("server { listen 80; server_name one.test; root /srv/one; }", "utf-8")
    assert found(program, plan) == []


def test_a_host_without_nginx_is_fine(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "nginx.conf").unlink()
    assert found(program, plan) == []


def test_a_site_of_a_blog_post_for_the_domain_is_told(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "conf.d/devpi.conf").write_text(
        "# a comment {\nserver {\n  server_name Index.test;\n  location / { proxy_pass http://localhost:3141; }\n}\n",
        "utf-8",
    )
    said = only(found(program, plan))
    assert said.startswith(f"{etc}/conf.d/devpi.conf, line 2 has a server for index.test")
    assert "port 80 and passes to `http://localhost:3141`" in said


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("listen 8080; server_name index.test; root /srv/x;", False),
        ("listen 8080; server_name index.test; location / { root /var/lib/devpi/+files; }", True),
        ("listen 443 ssl; server_name other.test index.test;", True),
        ("listen [::]:80; server_name index.test; return 301 https://$host;", True),
        ("listen 80; server_name *.test;", False),
        ("listen unix:/run/x.sock; server_name index.test;", False),
    ],
)
def test_which_servers_of_the_domain_are_in_the_way(
    program: ModuleType, plan: Any, etc: Path, server: str, told: bool
) -> None:
    (etc / "sites-enabled/x").write_text(f"server {{ {server} }}", "utf-8")
    assert bool(found(program, plan)) == told


def test_an_address_that_nginx_would_keep_from_the_index_is_told(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "sites-enabled/x").write_text("server { listen 192.0.2.1:443 ssl; server_name x.test; }", "utf-8")
    assert "listens to 192.0.2.1:443" in only(found(program, plan))
    for listen in ("127.0.0.1:443", "*:443", "[::]:443", "443", "192.0.2.1:8443"):
        (etc / "sites-enabled/x").write_text(f"server {{ listen {listen}; server_name x.test; }}", "utf-8")
        assert found(program, plan) == []


def test_missing_includes_are_told_with_what_to_write(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "nginx.conf").write_text("events {}\nhttp { include conf.d/*.conf; }\n", "utf-8")
    sites, modules = found(program, plan)
    assert f"write `include {etc}/sites-enabled/*;`" in sites
    assert f"write `include {etc}/modules-enabled/*.conf;`" in modules
    (etc / "nginx.conf").write_text(
        "load_module modules/ngx_http_lua_module.so;\nevents {}\nhttp { include sites-enabled/*.conf; }\n", "utf-8"
    )
    assert found(program, plan) == []


def test_directives_that_may_stand_once_are_told(program: ModuleType, plan: Any, etc: Path) -> None:
    (etc / "conf.d/x.conf").write_text("\n\nlua_max_running_timers 10;\n", "utf-8")
    assert f"{etc}/conf.d/x.conf, line 3 has `lua_max_running_timers`" in only(found(program, plan))


def test_all_that_our_vhost_says_once_is_known(program: ModuleType) -> None:
    """What nginx takes more than once in `http` needs no look."""
    repeated = {"limit_conn_zone", "limit_req_zone", "log_format", "lua_shared_dict", "map", "proxy_cache_path"}
    repeated |= {"geo", "server", "upstream"}
    folder = ROOT / "roles/devpi_nginx/templates"
    names = set()
    for path in (folder / "devpi.conf.j2", *folder.glob("snippets/http*.j2"), *folder.glob("snippets/caches*.j2")):
        if not path.exists():
            continue
        text = re.sub(r"\{%-? *macro.*?endmacro *-?%\}|\{#.*?#\}", "", path.read_text("utf-8"), flags=re.DOTALL)
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "x", text, flags=re.DOTALL)
        names |= set(re.findall(r"^([a-z_]{3,}) [^\n]*[;{]$", text, re.MULTILINE))
    assert "map" in names
    assert names - repeated - set(program.ONCE) == set()


def test_a_file_of_somebody_with_our_name_is_not_overwritten(program: ModuleType, plan: Any, etc: Path) -> None:
    path = etc / "sites-available/devpi.conf"
    path.write_text("server { listen 8080; }", "utf-8")
    assert f"mv {path} {etc}/devpi.conf.before" in only(found(program, plan))
    path.write_text(f"# Managed by the role {program.MARK}", "utf-8")
    assert found(program, plan) == []


def test_ports_of_others_are_told_with_the_variable(program: ModuleType, plan: Any) -> None:
    said = only(found(program, plan, p80="apache2 (process 7, of apache2.service)", p25="exim4"))
    assert said.startswith(
        "devpi_nginx_http_port is 80, and on that port listens apache2 (process 7, of apache2.service)"
    )


def test_the_default_server_of_another_site_stays_with_it(program: ModuleType, plan: Any, etc: Path) -> None:
    assert program.default_ports(plan, program.Configuration(plan.etc)) == [80, 443]
    (etc / "sites-enabled/default").write_text("server { listen 80 default_server; listen 443 ssl; }", "utf-8")
    assert program.default_ports(plan, program.Configuration(plan.etc)) == [443]
    without = program.Configuration(plan.etc, without=("sites-enabled/default",))
    assert program.default_ports(plan, without) == [80, 443]


def test_lua_and_quotes_do_not_confuse_the_parser(program: ModuleType, etc: Path) -> None:
    (etc / "sites-enabled/x").write_text(
        """init_by_lua_block {
            local a = "}" -- }
            if a then b = { c = '{' } end
        }
        map $x $y { default "a;b{"; "~^/\\d{2}$" 'x'; }
        server { listen 80; server_name "quoted.test"; if ($x ~ "^a{2}$") { return 404; } }
        """,
        "utf-8",
    )
    configuration = program.Configuration(str(etc))
    assert [one.name for one in configuration.http()][-3:] == ["init_by_lua_block", "map", "server"]
    (server,) = configuration.servers()
    assert program.names_of(server) == {"quoted.test"}
    assert server.line == 6


def test_files_that_include_each_other_end(program: ModuleType, etc: Path) -> None:
    (etc / "sites-enabled/x").write_text("include sites-enabled/x;\nserver { listen 80; }", "utf-8")
    assert program.Configuration(str(etc)).servers()


def test_debians_default_site_is_known_by_its_sum(
    program: ModuleType, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = etc / "sites-enabled/default"
    path.write_text("server { listen 80 default_server; }", "utf-8")
    said = f" /etc/nginx/sites-available/default {hashlib.md5(path.read_bytes()).hexdigest()}\n"
    monkeypatch.setattr(
        program.subprocess, "run", lambda *given, **options: subprocess.CompletedProcess(given, 0, stdout=said)
    )
    assert program.is_debians(path)
    path.write_text("server { listen 80 default_server; root /srv/mine; }", "utf-8")
    assert not program.is_debians(path)
    path.unlink()
    path.symlink_to(etc / "nowhere")
    assert program.is_debians(path)


def test_a_listener_is_found_with_its_process(program: ModuleType) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert re.match(r"\S+ \(process \d+", program.look_at_listeners()[listener.getsockname()[1]])


@pytest.mark.parametrize("mine", [True, False])
def test_an_nginx_that_is_broken_already_is_told(
    program: ModuleType, plan: Any, monkeypatch: pytest.MonkeyPatch, mine: bool
) -> None:
    if mine:
        Path(plan.sandbox).write_text("", "utf-8")  # The run may be there to mend it.
    monkeypatch.setattr(
        program.subprocess,
        "run",
        lambda *given, **options: subprocess.CompletedProcess(given, 1, stdout="", stderr="unexpected end of file"),
    )
    monkeypatch.setattr(program, "look_at_listeners", dict)
    monkeypatch.setattr(program.os, "umask", lambda mask: 0)
    said = program.look(plan)["problems"]
    assert ("unexpected end of file" in str(said)) is not mine


def test_ports_that_ansible_made_texts_of_are_numbers(program: ModuleType, plan: Any) -> None:
    given = {**vars(plan), "ports": {"devpi_nginx_http_port": "80", "devpi_https_port": "443"}}
    assert program.default_ports(program.read_plan(json.dumps(given)), program.Configuration(plan.etc)) == [80, 443]
