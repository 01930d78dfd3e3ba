"""What a probe of an upstream tells, and which upstreams it refuses."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_layout
from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, Upstream
from live import SIMPLE_JSON, Devpi, ask

WHEEL = "torch-2.8.0+cpu-py3-none-any.whl"
LATER = "torch-2.9.0-py3-none-any.whl"
#: What torch-like upstreams are: no list of projects, 403 for the unknown, no JSON, no hashes, and serials going back.
TORCH_LIKE: dict[str, Any] = {"listing": False, "json": False, "hashes": False, "serial_step": -1}


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    return {"offline": False}


def test_an_upstream_without_a_list_of_projects_whose_serials_go_backwards(
    devpi: Devpi, upstreams: dict[str, Upstream]
) -> None:
    old = upstreams["old"]
    old.behaviour = Behaviour({"torch": {WHEEL: "wheel"}}, unknown_status=403, serial=900, **TORCH_LIKE)
    options = {"type": "mirror", "mirror_url": old.simple_url, "mirror_cache_expiry": 1, "probe": True}
    proof = devpi.proves(["create index root/torch"], devpi_index, name="root/torch", **options)
    seen = {
        "url": old.simple_url,
        "lists_projects": False,
        "project": "torch",
        "json": False,
        "hashes": False,
        "upload_times": False,
        "serials": "backwards",
        "file_hosts": [urlsplit(old.url).netloc],
        "certificate_trusted": None,
    }
    # In check mode too, and only when something changes.
    assert [result["probes"] for result in proof.results] == [{"root/torch": seen}, {"root/torch": seen}, {}, {}]
    made = proof.end["indexes"]["root/torch"]
    assert made[f"{devpi.words['mirror']}_no_project_list"] is True
    assert made.get("mirror_ignore_serial_header", True) is True

    files = devpi.files("root/torch/+simple/torch")
    assert list(files) == [WHEEL]
    assert ask(files[WHEEL], accept="*/*").text == "wheel"
    devpi.ask("root/torch/+simple/unknown/", accept=SIMPLE_JSON, status=502)


def test_it_does_not_stop_an_index_on_top_of_it(devpi: Devpi) -> None:
    devpi.run(devpi_index, name="root/over", bases=["root/torch"], acl_upload=["root"])
    devpi.upload("root/over")
    assert list(devpi.files("root/over/+simple/a-release")) == ["a-release-1.0.tar.gz"]


def test_another_release_with_an_older_serial(devpi: Devpi, upstreams: dict[str, Upstream]) -> None:
    upstreams["old"].behaviour = Behaviour({"torch": {WHEEL: "wheel", LATER: "another"}}, serial=800, **TORCH_LIKE)
    # Until the page expires, which it does after a second.
    time.sleep(2)
    files = devpi.files("root/torch/+simple/torch")
    # devpi 7.0.0b4 has no setting for it, and waits for the serial. Once it does better, this fails: correct the
    # description of mirror_ignore_serial_header then.
    assert (LATER in files) == (devpi.major == "6")


def test_an_upstream_whose_files_are_on_another_host(devpi: Devpi, upstreams: dict[str, Upstream]) -> None:
    old, new = upstreams["old"], upstreams["new"]
    name = "far-1.0.tar.gz"
    old.behaviour = Behaviour({"far": {name: ""}}, files_at=new.url, hashes=False)
    new.behaviour = Behaviour({"anything": {name: "from far away"}})
    probed = devpi.run(devpi_index, name="root/far", type="mirror", mirror_url=old.simple_url, probe=True)
    assert probed["probes"]["root/far"]["file_hosts"] == [urlsplit(new.url).netloc]
    assert ask(devpi.files("root/far/+simple/far")[name], accept="*/*").text == "from far away"


@pytest.mark.parametrize(
    ("upstream", "behaviour", "message"),
    [
        # pip could use this one, and devpi could not.
        (
            "new",
            {"content_type": "application/octet-stream"},
            "answers JSON with the Content-Type 'application/octet-stream', which devpi takes for HTML",
        ),
        (
            "new",
            {"refused_agent": "devpi-server/"},
            "answers 403 to everything: it refuses devpi's User-Agent (devpi-server/{major}",
        ),
        ("new", {"delay": 8}, "/simple/ did not answer within 4 s: take another mirror, or raise timeout."),
        (
            "new",
            {"down": True},
            "/simple/ does not answer ([Errno 104] Connection reset by peer): correct mirror_url",
        ),
        ("untrusted", {}, "root/refused: the certificate of {upstream}/simple/ is not trusted on this host"),
        (
            "closed",
            {},
            "does not answer ([Errno 111] Connection refused): correct mirror_url, or take another mirror.",
        ),
    ],
)
def test_an_upstream_that_devpi_could_not_serve_from_is_refused(
    devpi: Devpi, upstreams: dict[str, Upstream], upstream: str, behaviour: dict[str, Any], message: str
) -> None:
    upstreams["new"].behaviour = Behaviour({"torch": {"torch-2.8.0-py3-none-any.whl": "wheel"}}, **behaviour)
    url = upstreams[upstream].url if upstream in upstreams else f"http://127.0.0.1:{devpi.closed_port}"
    index = {"name": "refused", "type": "mirror", "mirror_url": f"{url}/simple/", "probe": True}
    users = [{"name": "root", "indexes": [index]}]
    with devpi.unchanged():
        refused = devpi.refuses(message.replace("{upstream}", url), devpi_layout, users=users, timeout=4)
    assert not refused["changed"]
