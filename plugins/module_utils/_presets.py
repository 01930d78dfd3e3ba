# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors by name, with all that each needs. To add one, add a line to a table.

The settings are in the words of devpi 6; what the server's version has no word for is left out there.
"""

from __future__ import annotations

import re
import typing as t

Settings: t.TypeAlias = "dict[str, t.Any]"


def _mirror(url: str, **more: t.Any) -> Settings:
    return {"type": "mirror", "mirror_url": url, "mirror_web_url_fmt": f"{url}{{name}}/", **more}


def _copy_of_the_public_index(url: str) -> Settings:
    # Such copies send no serials or older ones, and an index that is switched to them still has those of the original.
    return _mirror(url, mirror_ignore_serial_header=True)


PRESETS: dict[str, Settings] = {
    "aliyun": _copy_of_the_public_index("https://mirrors.aliyun.com/pypi/simple/"),
    "huawei": _copy_of_the_public_index("https://repo.huaweicloud.com/repository/pypi/simple/"),
    "nju": _copy_of_the_public_index("https://mirror.nju.edu.cn/pypi/web/simple/"),
    "tencent": _copy_of_the_public_index("https://mirrors.cloud.tencent.com/pypi/simple/"),
    "tsinghua": _copy_of_the_public_index("https://pypi.tuna.tsinghua.edu.cn/simple/"),
    "ustc": _copy_of_the_public_index("https://mirrors.ustc.edu.cn/pypi/simple/"),
    "nvidia": _mirror("https://pypi.nvidia.com/"),
    "nvidia-ngc": _mirror("https://pypi.ngc.nvidia.com/"),
}

TORCH = re.compile(r"torch-(cpu|xpu|cu[0-9]{2,3}|rocm[0-9]+(?:\.[0-9]+)+)")
"""PyTorch has one index for each accelerator, and they come and go with its releases: a rule instead of a list."""

KNOWN = (*PRESETS, "torch-ACCELERATOR (such as torch-cpu, torch-cu128, torch-rocm6.4, torch-xpu)")

DEAD: dict[str, str] = {
    "douban": "it was switched off; write aliyun, tsinghua or another one",
}
"""Mirrors that old recipes still name, and what to do instead."""


def preset_settings(name: str) -> Settings:
    """Return the settings of a preset that preset_problem() accepts."""
    torch = TORCH.fullmatch(name)
    if torch:
        return _mirror(f"https://download.pytorch.org/whl/{torch[1]}/")
    return PRESETS[name]


def preset_problem(name: t.Any) -> str | None:
    """Return what is wrong with the name of a preset, None where it is right."""
    if name in DEAD:
        return f"the mirror {name!r} is dead: {DEAD[name]}."
    if name in PRESETS or TORCH.fullmatch(str(name)):
        return None
    return f"{name!r} is unknown; write one of {', '.join(KNOWN)}, or mirror_url."
