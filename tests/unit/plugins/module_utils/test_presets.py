# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors by name."""

from __future__ import annotations

import pytest
from ansible_collections.wheelhouse.devpi.plugins.doc_fragments.settings import ModuleDocFragment
from ansible_collections.wheelhouse.devpi.plugins.module_utils._dialect import Dialect
from ansible_collections.wheelhouse.devpi.plugins.module_utils._presets import DEAD, PRESETS, preset_settings
from ansible_collections.wheelhouse.devpi.plugins.module_utils._validation import index_problems
from ansible_collections.wheelhouse.devpi.plugins.modules import devpi_index, devpi_layout
from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi, Run

ALIYUN = "https://mirrors.aliyun.com/pypi/simple/"
TORCH_NAMES = ("torch-cpu", "torch-xpu", "torch-cu118", "torch-cu130", "torch-rocm6.4", "torch-rocm6.2.4")


@pytest.mark.parametrize("name", [*PRESETS, *TORCH_NAMES])
def test_every_preset_makes_a_mirror_on_both_versions(name: str) -> None:
    settings = preset_settings(name)
    assert index_problems({"name": "m", **settings}, "", "root/m", {}) == []
    for version in ("6.20.3", "7.0.0b4"):
        dialect = Dialect(version)
        config = dialect.config(dialect.known(settings))
        assert config["type"] == dialect.type("mirror")
        assert config[dialect.mirror_url].startswith("https://")
        assert config[dialect.mirror_url].endswith("/")


def test_every_preset_is_documented() -> None:
    text = " ".join(ModuleDocFragment.INDEX.split())
    assert [name for name, mirror in PRESETS.items() if f"V({name}) is C({mirror['mirror_url']})" not in text] == []


def test_torch_follows_the_accelerator() -> None:
    assert preset_settings("torch-rocm6.4")["mirror_url"] == "https://download.pytorch.org/whl/rocm6.4/"


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({"preset": "alyun"}, "preset: 'alyun' is unknown; write one of aliyun, huawei, nju,"),
        ({"preset": "torch-cu"}, "preset: 'torch-cu' is unknown; write one of"),
        ({"preset": "douban"}, f"preset: the mirror 'douban' is dead: {DEAD['douban']}."),
        ({"preset": "aliyun", "type": "stage"}, "preset: only a mirror has preset, but its type is stage;"),
        ({"settings": {"preset": "aliyun"}}, "settings.preset: it is an option of its own"),
    ],
)
def test_wrong_presets(index: dict[str, object], expected: str) -> None:
    problems = index_problems(index, "", "root/m", {})
    assert len(problems) == 1
    assert problems[0].startswith(expected)


def test_a_preset_needs_no_type_and_changes_nothing_twice(devpi: FakeDevpi, run: Run) -> None:
    expected = {
        "volatile": True,
        "type": "mirror",
        "mirror_url": ALIYUN,
        "mirror_web_url_fmt": f"{ALIYUN}{{name}}/",
        "mirror_ignore_serial_header": True,
    }
    check = run(devpi_index, check_mode=True, name="root/m", preset="aliyun")
    assert devpi.written == []
    result = run(devpi_index, name="root/m", preset="aliyun")
    assert check["diff"] == result["diff"]
    assert devpi.users["root"]["indexes"]["m"] == expected
    assert not run(devpi_index, name="root/m", preset="aliyun")["changed"]


def test_own_values_win_in_either_vocabulary(devpi: FakeDevpi, run: Run) -> None:
    own = "https://near.example/simple/"
    index = {"name": "m", "preset": "aliyun", "remote_url": own, "mirror_ignore_serial_header": False}
    run(devpi_layout, users=[{"name": "root", "indexes": [index]}])
    written = devpi.users["root"]["indexes"]["m"]
    assert written["mirror_url"] == own
    assert written["mirror_ignore_serial_header"] is False
    assert "remote_url" not in written


def test_devpi_7_gets_what_it_has_words_for(devpi: FakeDevpi, run: Run) -> None:
    devpi.version = "7.0.0b4"
    run(devpi_index, name="root/m", preset="aliyun")
    assert devpi.users["root"]["indexes"]["m"] == {
        "volatile": True,
        "type": "remote",
        "remote_url": ALIYUN,
        "remote_web_url_fmt": f"{ALIYUN}{{name}}/",
    }
