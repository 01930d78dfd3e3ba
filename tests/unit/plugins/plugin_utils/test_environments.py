# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment markers and tags of wheels, as sets of hosts."""

from __future__ import annotations

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._prefetch import Package, Wanted
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._environments import (
    HOSTS,
    Host,
    MarkerError,
    hosts_of_marker,
    hosts_of_markers,
    wheel_tags,
)

LINUX = Host("linux", "x86_64", 12, "cpython")
ARM = Host("linux", "aarch64", 12, "cpython")
MAC = Host("darwin", "arm64", 13, "cpython")
WINDOWS = Host("win32", "AMD64", 9, "cpython")
PYPY = Host("linux", "x86_64", 10, "pypy")
ALL = [LINUX, ARM, MAC, WINDOWS, PYPY]


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("sys_platform == 'linux'", [LINUX, ARM, PYPY]),
        ('"linux" == sys_platform and platform_machine=="x86_64"', [LINUX, PYPY]),
        ("sys_platform != 'linux' or os_name == 'posix'", ALL),
        ("'win' in sys_platform", [MAC, WINDOWS]),
        ("platform_machine not in 'x86_64 arm64'", [ARM, WINDOWS]),
        ("platform_system == 'Darwin' and implementation_name == 'cpython'", [MAC]),
        ("platform_python_implementation == 'PyPy'", [PYPY]),
        ("python_version >= '3.10' and python_version < '3.13'", [LINUX, ARM, PYPY]),
        ("'3.13' <= python_version", [MAC]),
        ("'3.10' > python_version", [WINDOWS]),
        ("python_version == '3'", []),
        ("python_version == '3.*'", ALL),
        ("python_version == '3.12.*' or python_version === '3.9'", [LINUX, ARM, WINDOWS]),
        ("python_version != '3.12.*'", [MAC, WINDOWS, PYPY]),
        ("python_version ~= '3.12'", [LINUX, ARM, MAC]),
        ("python_version in '3.9, 3.10'", [WINDOWS, PYPY]),
        # The third number of a host's Python may be any.
        ("python_full_version >= '3.12.3'", [LINUX, ARM, MAC]),
        ("python_full_version < '3.12.3'", [LINUX, ARM, WINDOWS, PYPY]),
        ("python_full_version == '3.12.3'", [LINUX, ARM]),
        ("python_full_version != '3.12.3'", ALL),
        ("python_full_version == '3.12.*'", [LINUX, ARM]),
        ("python_full_version >= '3.13.0b1'", [MAC]),
        # What is not known of a host excludes none.
        ("extra == 'test' and sys_platform == 'win32'", [WINDOWS]),
        ("'test' in extras or platform_release >= '6'", ALL),
        ("sys_platform == 'win32' and (extra == 'a' or os_name == 'nt')", [WINDOWS]),
        ("os.name == 'nt'", [WINDOWS]),
    ],
)
def test_marker(marker: str, expected: list[Host]) -> None:
    assert [host for host in ALL if host in hosts_of_marker(marker)] == expected


def test_one_of_several_markers_is_enough_and_none_means_all() -> None:
    found = hosts_of_markers(["sys_platform == 'darwin'", "os_name == 'nt'"])
    assert [host for host in ALL if host in found] == [MAC, WINDOWS]
    assert hosts_of_markers([]) == frozenset(HOSTS)


@pytest.mark.parametrize(
    "marker",
    ["linux", "sys_platform = 'linux'", "sys_platform 'linux'", "sys_platform ==", "(os_name == 'nt' and", "x == 'y'"],
)
def test_text_that_is_no_marker(marker: str) -> None:
    with pytest.raises(MarkerError) as caught:
        hosts_of_marker(marker)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a-1.0.tar.gz", ALL),
        ("a-1.0-py3-none-any.whl", ALL),
        ("a-1.0-py2.py3-none-any.whl", ALL),
        ("a-1.0-py2-none-any.whl", []),
        ("a-1.0-py312-none-any.whl", [LINUX, ARM, MAC]),
        ("a-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", [LINUX]),
        ("a-1.0-1-cp312-cp312-musllinux_1_2_aarch64.whl", [ARM]),
        ("a-1.0-cp39-abi3-manylinux_2_28_x86_64.whl", [LINUX]),
        ("a-1.0-cp313-abi3-linux_x86_64.whl", []),
        ("a-1.0-cp313-cp313t-macosx_11_0_arm64.whl", [MAC]),
        ("a-1.0-cp313-cp313-macosx_10_13_universal2.whl", [MAC]),
        ("a-1.0-cp313-cp313-macosx_10_13_x86_64.whl", []),
        ("a-1.0-cp39-cp39-win_amd64.whl", [WINDOWS]),
        ("a-1.0-cp39-cp39-win32.whl", []),
        ("a-1.0-cp313-abi3t-macosx_11_0_arm64.whl", [MAC]),
        ("a-1.0-cp310-abi3t-manylinux_2_28_aarch64.whl", [ARM]),
        # pip takes no such wheel.
        ("a-1.0-cp3-none-win_amd64.whl", []),
        ("a-1.0-py38-none-any.whl", ALL),
        ("a-1.0-pp310-pypy310_pp73-manylinux1_x86_64.whl", [PYPY]),
        ("a-1.0-py3-none-manylinux2010_x86_64.whl", [LINUX, PYPY]),
        ("a-1.0-cp312-cp312-android_21_arm64_v8a.whl", []),
        ("odd.whl", ALL),
    ],
)
def test_file(name: str, expected: list[Host]) -> None:
    assert [host for host in ALL if is_for(host, name)] == expected


def is_for(host: Host, name: str) -> bool:
    """Tell what the module makes of the tags that it is told."""
    wanted = Wanted.of({"packages": [], "skipped": [], "tags": wheel_tags([host])})
    return wanted.is_for(Package("a", "", "1.0", {}, frozenset(), [0]), name)


def test_hosts_share_what_they_have_in_common() -> None:
    told = wheel_tags([WINDOWS, LINUX, ARM])
    assert told["hosts"] == [[0, 0], [0, 1], [1, 2]]
    assert "win_amd64" in told["platforms"][2]
    everything = wheel_tags(HOSTS)
    assert (len(everything["pythons"]), len(everything["platforms"])) == (40, 13)
