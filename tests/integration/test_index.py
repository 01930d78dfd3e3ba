"""devpi_index against a live devpi-server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_user
from live import Devpi


@pytest.fixture(scope="module", autouse=True)
def _alice(devpi: Devpi) -> None:
    devpi.run(devpi_user, name="alice", password="alice-password")


def test_a_new_stage_and_the_diff_says_what_it_is(devpi: Devpi) -> None:
    options = {"bases": ["root/pypi"], "acl_upload": [":anonymous:", "alice"], "title": "For the team"}
    proof = devpi.proves(["create index alice/dev"], devpi_index, name="alice/dev", type="stage", **options)
    made = proof.end["indexes"]["alice/dev"]
    assert made["type"] == devpi.words["stage"]
    assert made["bases"] == ["root/pypi"]
    assert made["acl_upload"] == [":ANONYMOUS:", "alice"]
    assert made["title"] == "For the team"
    [diff] = proof.applied["diff"]
    assert (diff["before_header"], diff["before"], diff["after"]["title"]) == ("index alice/dev", "", "For the team")


def test_a_change_of_one_setting_leaves_the_others(devpi: Devpi) -> None:
    proof = devpi.proves(["update index alice/dev (title)"], devpi_index, name="alice/dev", title="")
    assert proof.end["indexes"]["alice/dev"]["title"] == ""
    assert proof.end["indexes"]["alice/dev"]["bases"] == ["root/pypi"]
    [diff] = proof.applied["diff"]
    assert diff["before"]["title"] == "For the team"
    assert diff["after"] == {**diff["before"], "title": ""}


def test_every_setting_of_a_stage_in_the_words_of_either_version(devpi: Devpi) -> None:
    options = {
        "type": "stage",
        "title": "T",
        "description": "D",
        "custom_data": {"team": [1, 2]},
        "volatile": False,
        "bases": ["alice/dev", "root/pypi"],
        "acl_upload": [],
        "acl_toxresult_upload": ["alice"],
        "mirror_whitelist": ["*"],
        "mirror_whitelist_inheritance": "union",
    }
    devpi.proves(["create index alice/six"], devpi_index, name="alice/six", **options)
    in_seven = {"project_inheritance_rules": ["allow all"], "trust_inheritance_rules_from": "type:not remote"}
    assert not devpi.run(devpi_index, name="alice/six", type="local", **in_seven)["changed"]


def test_every_setting_of_a_mirror_in_the_words_of_either_version(devpi: Devpi) -> None:
    options = {
        "type": "remote",
        "title": "T",
        "volatile": True,
        "remote_url": "https://mirrors.aliyun.com/pypi/simple",
        "remote_web_url_fmt": "https://mirrors.aliyun.com/pypi/{name}/",
        "remote_refresh_delay": 600,
        "remote_no_project_list": True,
        "remote_use_external_urls": True,
    }
    proof = devpi.proves(["create index root/near"], devpi_index, name="root/near", **options)
    in_six = {
        "type": "mirror",
        "mirror_url": "https://mirrors.aliyun.com/pypi/simple/",
        "mirror_cache_expiry": 600,
        "mirror_no_project_list": True,
        "mirror_use_external_urls": True,
    }
    assert not devpi.run(devpi_index, name="root/near", **in_six)["changed"]
    assert proof.end["indexes"]["root/near"]["type"] == devpi.words["mirror"]
    assert proof.end["indexes"]["root/near"][devpi.words["expiry"]] == 600


def test_what_devpi_6_alone_has(devpi: Devpi) -> None:
    if devpi.major == "6":
        options = {"mirror_ignore_serial_header": True, "mirror_provides_core_metadata": True}
        changes = ["update index root/near (mirror_ignore_serial_header, mirror_provides_core_metadata)"]
        devpi.proves(changes, devpi_index, name="root/near", **options)
    else:
        for setting, value in (("mirror_ignore_serial_header", True), ("mirror_provides_core_metadata", False)):
            message = f"{setting}: devpi 7 has no such setting."
            devpi.refuses(message, devpi_index, name="root/near", **{setting: value})


def test_single_projects_on_the_whitelist(devpi: Devpi) -> None:
    changes = ["update index alice/dev (mirror_whitelist)"]
    devpi.proves(changes, devpi_index, name="alice/dev", mirror_whitelist=["Foo_Bar", "six"])
    devpi.proves(changes, devpi_index, name="alice/dev", mirror_whitelist=["six", "seven"])
    # Each version keeps them where it does.
    if devpi.major == "6":
        assert sorted(devpi.ask("alice/dev").result["mirror_whitelist"]) == ["seven", "six"]
    else:
        found = devpi.ask("alice/dev/seven?v=2").result
        assert "mirror_whitelist" not in found
        assert found["config"]["inheritance_rules"] == ["allow all"]
    devpi.proves(changes, devpi_index, name="alice/dev", mirror_whitelist=[])


def test_a_new_index_with_a_single_project_on_the_whitelist_holds_no_uploads(devpi: Devpi) -> None:
    options = {"bases": ["root/pypi"], "mirror_whitelist": ["six"]}
    devpi.proves(["create index alice/some"], devpi_index, name="alice/some", **options)
    devpi.proves(["delete index alice/some"], devpi_index, name="alice/some", state="absent")


def test_an_index_of_a_type_that_a_plugin_brings(devpi: Devpi) -> None:
    settings = {"constraints": "# Only these.\npip>=20,<99\n*\n"}
    options = {"type": "constrained", "bases": ["alice/dev"], "settings": settings}
    proof = devpi.proves(["create index alice/limited"], devpi_index, name="alice/limited", **options)
    assert proof.end["indexes"]["alice/limited"]["constraints"] == ["pip>=20,<99", "*"]


def test_a_mirror_by_its_name(devpi: Devpi) -> None:
    proof = devpi.proves(["create index root/torch"], devpi_index, name="root/torch", preset="torch-rocm6.4")
    made = proof.end["indexes"]["root/torch"]
    assert made["type"] == devpi.words["mirror"]
    assert made[devpi.words["mirror_url"]] == "https://download.pytorch.org/whl/rocm6.4/"


def test_a_switch_of_the_mirror_that_devpi_init_made_shows_no_secret(devpi: Devpi) -> None:
    place, url = "@pypi.tuna.tsinghua.edu.cn/simple/", devpi.words["mirror_url"]
    options = {
        "mirror_url": f"https://reader:hidden-word{place}",
        "mirror_web_url_fmt": "https://pypi.tuna.tsinghua.edu.cn/simple/{name}/",
    }
    changes = [devpi.said("update index root/pypi ({on_switch}{mirror_url}, {mirror}_web_url_fmt)")]
    proof = devpi.proves(changes, devpi_index, name="root/pypi", **options)
    assert "hidden-word" not in str(proof.results)
    assert place in proof.applied["diff"][0]["after"][url]

    other = devpi.run(devpi_index, name="root/pypi", mirror_url=f"https://reader:another-word{place}")
    assert other["changed"]
    assert other["diff"][0]["before"] != other["diff"][0]["after"]
    assert "-word" not in str(other)


ALIYUN = "https://mirrors.aliyun.com/pypi/simple/"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dev"}, "name: 'dev' is no index; write user/index, such as alice/dev"),
        (
            {"name": "nobody/dev"},
            "Index 'nobody/dev' needs the user 'nobody', who does not exist: create the user first.",
        ),
        (
            {"name": "alice/new", "bases": ["root/nope"]},
            "bases: index 'root/nope' is neither declared nor on the server; declare it, or correct the name.",
        ),
        (
            {"name": "alice/dev", "bases": ["alice/six"]},
            "The bases go round in a circle: alice/dev -> alice/six -> alice/dev.",
        ),
        (
            {"name": "alice/new", "type": "mirror"},
            "mirror_url: a mirror needs one (with none, devpi-server dies at its next start)",
        ),
        (
            {"name": "alice/new", "type": "mirror", "mirror_url": "mirrors.aliyun.com"},
            "mirror_url: 'mirrors.aliyun.com' is no URL; write one that begins with https:// or http://.",
        ),
        (
            {"name": "alice/new", "preset": "douban"},
            "preset: the mirror 'douban' is dead: it was switched off; write aliyun, tsinghua or another one.",
        ),
        ({"name": "alice/new", "preset": "alyun"}, "preset: 'alyun' is unknown; write one of aliyun, huawei,"),
        (
            {"name": "alice/dev", "preset": "aliyun"},
            "preset: only a mirror has preset, but no type is written, and it is a {stage}",
        ),
        (
            {"name": "root/near", "mirror_cache_expiry": 0},
            "mirror_cache_expiry: 0 is not allowed, because with 0 or less devpi answers 404 for every project",
        ),
        (
            {"name": "alice/dev", "mirror_url": ALIYUN},
            "mirror_url: only a mirror has mirror_url, but no type is written, and it is a {stage}",
        ),
        (
            {"name": "root/near", "acl_upload": ["alice"]},
            "acl_upload: only a stage (an index for uploads) has acl_upload",
        ),
        (
            {"name": "alice/dev", "type": "mirror", "mirror_url": ALIYUN},
            "Index 'alice/dev' is a {stage} on the server, and devpi cannot make it a {mirror}",
        ),
        (
            {"name": "root/near", "mirror_url": "https://x.example", "remote_url": "https://x.example"},
            "remote_url: it is mirror_url in the words of devpi 7; write one of the two.",
        ),
        (
            {"name": "alice/new", "type": "made-up"},
            "value of type must be one of: stage, local, mirror, remote, constrained, findlinks, merge",
        ),
        ({"name": "alice/new", "type": "findlinks"}, "unknown index type 'findlinks'"),
        (
            {"name": "alice/dev", "settings": {"made_up": 1}},
            "does not know the setting made_up: install the plugin that adds it",
        ),
        (
            {"name": "alice/dev", "login_user": "alice", "login_password": "alice-password", "title": "Mine"},
            "User 'alice' may not do this (PATCH {url}/alice/dev).",
        ),
        ({"name": "alice/dev", "login_password": "wrong"}, "{url} refuses the password of user 'root'"),
        (
            {"name": "alice/dev", "login_password_file": "/nonexistent"},
            "login_password_file: /nonexistent cannot be read on this host (No such file or directory).",
        ),
    ],
)
def test_each_mistake_has_its_sentence(devpi: Devpi, options: dict[str, Any], message: str) -> None:
    with devpi.unchanged():
        devpi.refuses(message, devpi_index, **options)


def test_an_index_that_is_a_base_stays(devpi: Devpi) -> None:
    options = {"name": "alice/dev", "state": "absent", "force": True}
    devpi.refuses("it is a base of 'alice/six', which stays", devpi_index, **options)


def test_a_protected_index_goes_only_when_it_must(devpi: Devpi) -> None:
    devpi.refuses("is protected from deletion (volatile", devpi_index, name="alice/six", state="absent")
    devpi.proves(["delete index alice/six"], devpi_index, name="alice/six", state="absent", force=True)


def test_the_diff_shows_what_is_gone(devpi: Devpi) -> None:
    proof = devpi.proves(["delete index alice/limited"], devpi_index, name="alice/limited", state="absent")
    assert proof.applied["diff"][0]["before"]["bases"] == ["alice/dev"]
    assert proof.applied["diff"][0]["after"] == ""


def test_an_index_with_uploads_goes_only_when_it_must(devpi: Devpi) -> None:
    devpi.upload("alice/dev", "alice", "alice-password")
    message = "holds uploads (a-release), which would be lost"
    devpi.refuses(message, devpi_index, name="alice/dev", state="absent")
    devpi.proves(["delete index alice/dev"], devpi_index, name="alice/dev", state="absent", force=True)
