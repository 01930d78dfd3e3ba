# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe of an upstream, against upstreams that behave as mirrors do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._probe import Probe, ProbeError
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream, serving

PROJECTS = {"torch": {"torch-2.8.0+cpu-py3-none-any.whl": "a", "torch-2.9.0-py3-none-any.whl": "b"}}
SETTINGS = {"mirror_no_project_list": False, "mirror_ignore_serial_header": False}


@pytest.fixture(name="upstream")
def _upstream() -> Iterator[Upstream]:
    with serving(Behaviour(PROJECTS)) as upstream:
        yield upstream


def behave(upstream: Upstream, **behaviour: Any) -> None:
    upstream.behaviour = Behaviour(**{"projects": PROJECTS, **behaviour})


@pytest.mark.parametrize(
    ("behaviour", "expected", "settings"),
    [
        ({}, {"lists_projects": True, "json": True, "hashes": True, "serials": "none", "upload_times": False}, {}),
        ({"json": False}, {"lists_projects": True, "json": False, "hashes": True}, {}),
        ({"json": False, "hashes": False}, {"json": False, "hashes": False}, {}),
        ({"hashes": False}, {"json": True, "hashes": False}, {}),
        ({"upload_times": True}, {"upload_times": True}, {}),
        ({"listing": False, "unknown_status": 403}, {"lists_projects": False}, {"mirror_no_project_list": True}),
        ({"serial": 7}, {"serials": "steady"}, {}),
        ({"serial": 7, "serial_step": 1}, {"serials": "rising"}, {}),
        ({"serial": 7, "serial_step": -1}, {"serials": "backwards"}, {"mirror_ignore_serial_header": True}),
    ],
)
def test_findings(
    upstream: Upstream, behaviour: dict[str, Any], expected: dict[str, Any], settings: dict[str, bool]
) -> None:
    behave(upstream, **behaviour)
    findings = Probe(upstream.simple_url, "6.20.3", timeout=5).findings()
    found = findings.as_result()
    assert found == {**found, **expected, "project": "torch", "url": upstream.simple_url, "certificate_trusted": None}
    assert found["file_hosts"] == [upstream.url.removeprefix("http://")]
    assert findings.settings() == {**SETTINGS, **settings}


def test_it_looks_at_any_project_that_is_listed(upstream: Upstream) -> None:
    behave(upstream, projects={"empty": {}, "ours": {"ours-1.0.zip": "content"}})
    assert Probe(upstream.simple_url, "6.20.3", timeout=5).findings().project == "ours"


def test_it_asks_as_devpi_does(upstream: Upstream) -> None:
    Probe(upstream.simple_url.rstrip("/"), "7.0.0b4", timeout=5).findings()
    assert upstream.seen[0][0] == "/simple/"
    agents = {agent for _path, agent in upstream.seen}
    assert len(agents) == 1
    assert re.fullmatch(r"devpi-server/7\.0\.0b4 \(py3\.\d+\.\S+; linux\)", agents.pop())


def test_files_on_another_host(upstream: Upstream) -> None:
    with serving(Behaviour(PROJECTS)) as files:
        behave(upstream, files_at=files.url)
        found = Probe(upstream.simple_url, "6.20.3", timeout=5).findings()
        assert found.file_hosts == [files.url.removeprefix("http://")]
        files.behaviour.down = True
        with pytest.raises(ProbeError, match=r"^the files cannot be fetched: http://127\.0\.0\.1:.* does not answer"):
            Probe(upstream.simple_url, "6.20.3", timeout=5).findings()


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ({"down": True}, r"/simple/ does not answer \(.*reset.*\): correct mirror_url, or take another mirror\.$"),
        ({"delay": 3}, r"/simple/ did not answer within 1 s: take another mirror, or raise timeout\.$"),
        (
            {"content_type": "application/octet-stream"},
            r"/torch/ answers JSON with the Content-Type 'application/octet-stream', which devpi takes for HTML",
        ),
        ({"refused_agent": "devpi"}, r"answers 403 to everything: it refuses devpi's User-Agent \(devpi-server/6\."),
        ({"projects": {"other": {"readme.txt": ""}}}, r"lists projects, but devpi finds no file on the pages of other"),
        ({"projects": {}, "listing": False}, r"is no index that devpi can read: its root lists no projects \(404\)"),
    ],
)
def test_what_devpi_could_not_serve_from(upstream: Upstream, behaviour: dict[str, Any], expected: str) -> None:
    behave(upstream, **{"hashes": False, **behaviour})
    with pytest.raises(ProbeError, match=expected):
        Probe(upstream.simple_url, "6.20.3", timeout=1).findings()


def test_no_password_is_told(upstream: Upstream) -> None:
    upstream.behaviour.down = True
    with pytest.raises(ProbeError) as refusal:
        Probe(upstream.simple_url.replace("//", "//reader:hidden-word@"), "6.20.3", timeout=1).findings()
    assert "hidden-word" not in str(refusal.value)


def with_login(upstream: Upstream, login: str) -> str:
    return upstream.simple_url.replace("//", f"//{login}@")


@pytest.mark.parametrize(
    "login", ["reader:p@ss", "reader:a:b", "reader:100%", "reader:%41", "re@der:x", ":token", "token:"]
)
def test_a_login_is_sent_letter_by_letter(upstream: Upstream, login: str) -> None:
    behave(upstream, login=login)
    assert Probe(with_login(upstream, login), "6.20.3", timeout=5).findings().project == "torch"


@pytest.mark.parametrize(
    ("there", "written", "expected"),
    [
        (
            "reader:p@ss/x",
            "reader:p%40ss%2Fx",
            r"as it is written, and decodes no %xx in it",
        ),
        ("re@der:word", "re%40der:word", r"write the characters themselves"),
        ("reader:s3cret", "reader:gu3ss", r"it refuses the login of the user 'reader'"),
        (
            "reader:s3cret",
            "reader:gu%403ss",
            r"it refuses the login of the user 'reader'",
        ),
    ],
)
def test_a_login_that_devpi_would_not_get_in_with(upstream: Upstream, there: str, written: str, expected: str) -> None:
    behave(upstream, login=there)
    with pytest.raises(ProbeError, match=expected) as refusal:
        Probe(with_login(upstream, written), "6.20.3", timeout=5).findings()
    assert written.partition(":")[2] not in str(refusal.value)
    assert there.partition(":")[2] not in str(refusal.value)


def test_without_a_login_one_is_asked_for(upstream: Upstream) -> None:
    behave(upstream, login="reader:word")
    with pytest.raises(ProbeError, match="or write user and password into mirror_url"):
        Probe(upstream.simple_url, "6.20.3", timeout=5).findings()


def test_a_redirect_to_another_origin_gets_no_login(upstream: Upstream) -> None:
    with serving(Behaviour(PROJECTS)) as other:
        redirects = {"/simple/torch/": f"{other.simple_url}torch/"}
        behave(upstream, login="reader:word", redirects=redirects)
        assert Probe(with_login(upstream, "reader:word"), "6.20.3", timeout=5).findings().project == "torch"
        assert {login for path, login in other.logins if path == "/simple/torch/"} == {""}


def test_a_redirect_of_the_same_origin_keeps_the_login(upstream: Upstream) -> None:
    behave(upstream, login="reader:word", redirects={"/simple/torch/": "/simple/torch"})
    assert Probe(with_login(upstream, "reader:word"), "6.20.3", timeout=5).findings().project == "torch"


def test_redirects_in_a_circle_end(upstream: Upstream) -> None:
    behave(upstream, redirects={"/simple/": "/simple/"})
    with pytest.raises(ProbeError, match=r"redirects more than 20 times in a row: correct mirror_url\.$"):
        Probe(upstream.simple_url, "6.20.3", timeout=5).findings()


def test_the_base_of_an_html_page_counts(upstream: Upstream) -> None:
    with serving(Behaviour(PROJECTS)) as files:
        behave(upstream, json=False, html_base=f"{files.url}/files/")
        found = Probe(upstream.simple_url, "6.20.3", timeout=5).findings()
        assert found.file_hosts == [files.url.removeprefix("http://")]


def test_a_project_can_be_named(upstream: Upstream, devpi: FakeDevpi, run: Run) -> None:
    behave(upstream, projects={"our-own": {"our-own-1.0.zip": "content"}}, listing=False)
    options = {"name": "root/m", "type": "mirror", "mirror_url": upstream.simple_url, "probe": True}
    refused = run(devpi_index, **options)
    assert refused["msg"].endswith("or name a project that it has with probe_project.")
    assert devpi.written == []
    result = run(devpi_index, probe_project="our-own", **options)
    assert result["probes"]["root/m"]["project"] == "our-own"
    assert "probe_project" not in devpi.users["root"]["indexes"]["m"]
    with pytest.raises(ProbeError, match=r"page of torch \(404\): write another project into probe_project"):
        Probe(upstream.simple_url, "6.20.3", 5, "torch").findings()


def test_a_new_mirror_gets_what_was_found(upstream: Upstream, devpi: FakeDevpi, run: Run) -> None:
    behave(upstream, listing=False, serial=7, serial_step=-1)
    options = {"name": "root/m", "type": "mirror", "mirror_url": upstream.simple_url, "probe": True}
    check = run(devpi_index, check_mode=True, **options)
    assert devpi.written == []
    result = run(devpi_index, **options)
    assert check["diff"] == result["diff"]
    assert check["probes"]["root/m"]["lists_projects"] is False
    written = devpi.users["root"]["indexes"]["m"]
    assert written["mirror_no_project_list"] is True
    assert written["mirror_ignore_serial_header"] is True
    upstream.seen.clear()
    again = run(devpi_index, **options)
    assert (again["changed"], again["probes"], upstream.seen) == (False, {}, [])


def test_own_values_win(upstream: Upstream, devpi: FakeDevpi, run: Run) -> None:
    behave(upstream, listing=False)
    devpi.version = "7.0.0b4"
    run(devpi_index, name="root/m", type="mirror", mirror_url=upstream.simple_url, probe=True)
    assert devpi.users["root"]["indexes"]["m"]["remote_no_project_list"] is True
    own = {"mirror_no_project_list": False}
    run(devpi_index, name="root/n", type="mirror", mirror_url=upstream.simple_url, probe=True, **own)
    assert devpi.users["root"]["indexes"]["n"]["remote_no_project_list"] is False


def test_nothing_is_written_where_the_probe_fails(free_port: int, devpi: FakeDevpi, run: Run) -> None:
    url = f"http://127.0.0.1:{free_port}/simple/"
    result = run(devpi_index, name="root/m", type="mirror", mirror_url=url, probe=True)
    assert result["failed"]
    assert result["msg"].startswith(f"root/m: {url} does not answer (")
    assert devpi.written == []
