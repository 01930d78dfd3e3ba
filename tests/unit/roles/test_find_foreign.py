# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the program that looks for a devpi of somebody else before anything changes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import ROOT, load

OURS = "# Managed by the role wheelhouse.devpi.devpi_server.\n"
THEIRS = "/home/dev/venv/bin/devpi-server"


@pytest.fixture
def program() -> ModuleType:
    """Return the program."""
    return cast("ModuleType", load("roles/devpi_server/files/find_foreign.py"))


@pytest.fixture
def plan(program: ModuleType) -> Any:
    """Return what the role uses by default."""
    return program.Plan(
        unit="devpi.service",
        directory="/var/lib/devpi",
        install_directory="/opt/devpi",
        password_file="/etc/devpi/root-password",
        password_given=False,
        user="devpi",
        host="127.0.0.1",
        port=3141,
    )


def process(program: ModuleType, server: str = THEIRS, unit: str = "session-3.scope", *more: str) -> Any:
    return program.Process(42, ["/usr/bin/python3", server, *more], unit, "dev")


def only(found: list[str]) -> str:
    """Return the one sentence, with one blank for each blank."""
    assert len(found) == 1, found
    return found[0]


def test_a_bare_host_is_fine(program: ModuleType, plan: Any) -> None:
    assert program.problems(plan, program.Host()) == []


def test_a_host_of_ours_is_fine(program: ModuleType, plan: Any) -> None:
    host = program.Host(
        unit=program.Unit(path="/etc/systemd/system/devpi.service", text=OURS, active=True),
        processes=[process(program, "/opt/devpi/releases/0123/bin/devpi-server", "devpi.service")],
        owners={".nodeinfo": 998, "+files": 998},
        password=True,
        uid=998,
        taken=True,
    )
    assert program.problems(plan, host) == []


def test_the_template_has_a_mark(program: ModuleType) -> None:
    text = (ROOT / "roles/devpi_server/templates/devpi.service.j2").read_text("utf-8")
    assert [mark for mark in program.MARKS if mark in text]


def test_a_unit_of_ours_is_known_by_what_it_starts(program: ModuleType, plan: Any) -> None:
    unit = program.Unit(path="/x", text="[Service]", starts="/opt/devpi/current/bin/devpi-server --configfile /x")
    assert program.problems(plan, program.Host(unit=unit)) == []


def test_the_unit_of_a_blog_post_is_named_once_with_what_it_starts(program: ModuleType, plan: Any) -> None:
    unit = program.Unit(
        path="/etc/systemd/system/devpi.service", text="[Unit]", active=True, starts=f"{THEIRS} --port 3141"
    )
    host = program.Host(unit=unit, processes=[process(program, unit="devpi.service")], taken=True)
    said = only(program.problems(plan, host))
    assert "/etc/systemd/system/devpi.service is a unit of another devpi" in said
    assert f"({THEIRS} --port 3141)" in said
    assert "systemctl disable --now devpi.service && mv /etc/systemd/system/devpi.service" in said
    assert "devpi_server_root_password" in said


def test_a_masked_unit_is_told(program: ModuleType, plan: Any) -> None:
    said = only(program.problems(plan, program.Host(unit=program.Unit(masked=True))))
    assert "systemctl unmask devpi.service" in said


def test_a_running_server_stops_the_first_run(program: ModuleType, plan: Any) -> None:
    assert "kill 42" in only(program.problems(plan, program.Host(processes=[process(program)], taken=True)))
    host = program.Host(processes=[process(program, unit="index.service")])
    assert "systemctl disable --now index.service" in only(program.problems(plan, host))


def test_beside_a_host_of_ours_another_server_may_run_with_other_data(program: ModuleType, plan: Any) -> None:
    unit = program.Unit(path="/x", text=OURS, active=True)
    assert program.problems(plan, program.Host(unit=unit, processes=[process(program)])) == []
    with_ours = process(program, THEIRS, "x.scope", "--serverdir", "/var/lib/devpi")
    assert "already" in only(program.problems(plan, program.Host(unit=unit, processes=[with_ours])))


def test_a_taken_port_is_told(program: ModuleType, plan: Any) -> None:
    assert "127.0.0.1:3141" in only(program.problems(plan, program.Host(taken=True)))
    unit = program.Unit(path="/x", text=OURS, active=False)
    assert "devpi_server_listen" in only(program.problems(plan, program.Host(unit=unit, taken=True)))


def test_data_without_a_password_do_not_get_a_wrong_one(program: ModuleType, plan: Any) -> None:
    host = program.Host(owners={".nodeinfo": 998}, uid=998)
    said = only(program.problems(plan, host))
    assert "Set devpi_server_root_password" in said
    assert program.problems(program.Plan(**{**vars(plan), "password_given": True}), host) == []


@pytest.mark.parametrize(("uid", "account"), [(998, ""), (None, "useradd --system")])
def test_data_of_another_uid_are_told(program: ModuleType, plan: Any, uid: int | None, account: str) -> None:
    host = program.Host(owners={".nodeinfo": 65000, ".sqlite": 998}, uid=uid, password=True)
    said = only(program.problems(plan, host))
    assert "/var/lib/devpi/.nodeinfo belongs to the uid 65000, which no user of the host has" in said
    assert f"{account}" in said
    assert "chown -R devpi: /var/lib/devpi" in said


def test_an_empty_directory_of_somebody_is_fine(program: ModuleType, plan: Any) -> None:
    assert program.problems(plan, program.Host(owners={"+files": 0})) == []


def test_processes_are_found_by_their_program(program: ModuleType, tmp_path: Path) -> None:
    for pid, command, space in (
        ("7", f"/usr/bin/python3\0{THEIRS}\0--port\0004040\0", "pid:[1]"),
        ("8", f"{THEIRS}\0", "pid:[2]"),  # in a container
        ("9", "vi\0devpi-server.yml\0", "pid:[1]"),
    ):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/pid").symlink_to(space)
        (tmp_path / pid / "cmdline").write_text(command, "utf-8")
        (tmp_path / pid / "cgroup").write_text("0::/user.slice/user-1000.slice/session-3.scope\n", "utf-8")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[1]")
    (found,) = program.look_at_processes(tmp_path)
    assert (found.pid, found.server, found.unit) == (7, THEIRS, "session-3.scope")


def test_owners_are_found_and_links_are_not_followed(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".nodeinfo").write_text("{}", "utf-8")
    (tmp_path / ".sqlite").symlink_to("/etc/passwd")
    assert program.look_at_owners(tmp_path) == {".nodeinfo": os.geteuid()}


def test_a_listener_is_found(program: ModuleType) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert program.is_taken("127.0.0.1", listener.getsockname()[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert not program.is_taken("127.0.0.1", port)


def test_data_are_not_left_behind(program: ModuleType, plan: Any) -> None:
    """Another devpi_directory beside a server with data would be an empty index, and fails half way in usermod."""
    unit = program.Unit(path="/etc/systemd/system/devpi.service", text=OURS, active=True)
    host = program.Host(unit=unit, uid=998, taken=True, former="/srv/devpi")
    said = only(program.problems(plan, host))
    assert "devpi_directory is /var/lib/devpi, and this host has its data in /srv/devpi" in said
    assert "mv --no-target-directory /srv/devpi /var/lib/devpi && usermod --home /var/lib/devpi devpi" in said
    assert program.problems(plan, program.Host(unit=unit, uid=998, taken=True, former="/var/lib/devpi")) == []
