# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that come before those of devpi_client are named, without their values."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import load

overrides = load("roles/devpi_client/files/overrides.py")

MARK = "Managed by a test"
PATTERN = r"((extra-)?index-url[ \t]*[=:]|(export[ \t]+)?(PIP_INDEX_URL)=)"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("PIP_INDEX_URL=https://S3CRET/\n", ["PIP_INDEX_URL"]),
        ("  export PIP_INDEX_URL=x\nexport PIP_INDEX_URL=y\n", ["PIP_INDEX_URL"]),
        ("[global]\nindex-url = x\nextra-index-url: y\n", ["index-url", "extra-index-url"]),
        ("# PIP_INDEX_URL=x\nMY_PIP_INDEX_URL=x\n", []),
        (f"# {MARK}: x\nindex-url = x\n", []),
        (f"#!/bin/sh\n# {MARK}: x\nPIP_INDEX_URL=x\n", []),
        (f"# BEGIN {MARK}\nPIP_INDEX_URL=x\n# END {MARK}\nindex-url = x\n", ["index-url"]),
    ],
)
def test_names_of_settings(text: str, names: list[str]) -> None:
    assert overrides.settings(text, PATTERN, MARK) == names


def test_looks_into_homes_and_at_the_host(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    user = pwd.struct_passwd(("me", "x", os.getuid(), os.getgid(), "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(overrides.pwd, "getpwall", lambda: [user])
    (tmp_path / ".profile").write_text("PIP_INDEX_URL=S3CRET\n")
    (tmp_path / "a.sh").write_text("PIP_INDEX_URL=S3CRET\n")
    os.mkfifo(tmp_path / "pipe")
    overrides.main(
        json.dumps(
            {
                "mark": MARK,
                "user": "",
                "pattern": PATTERN,
                "home_files": [".profile", ".missing", "pipe"],
                "host_files": [f"{tmp_path}/*.sh", f"{tmp_path}/missing"],
            }
        )
    )
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/.profile: PIP_INDEX_URL",
        f"{tmp_path}/a.sh: PIP_INDEX_URL",
    ]
