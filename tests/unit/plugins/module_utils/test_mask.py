# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login in a URL is not shown, however it is written."""

from __future__ import annotations

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked

CANARY = "S3CRET"


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{CANARY}@host.test/simple/",
        f"htps://me@corp.test:{CANARY}@host.test/simple/",
        f"https://me:{CANARY}@@host.test",
        f"https://{CANARY}@host.test",
        f"https://me:pa/{CANARY}@host.test/simple/",
        f"https://me:pa#{CANARY}@host.test",
        f"me:{CANARY}@host.test/simple/",
        f"//me:{CANARY}@host.test/simple/",
        f"git+https://me:{CANARY}@host.test/x",
        f"HTTPS://me:{CANARY}@host.test",
        f"it is 'https://me:{CANARY}@host.test/' and https://you:{CANARY}@host.test",
    ],
)
def test_login_is_taken_out(url: str) -> None:
    said = masked(url)
    assert CANARY not in said
    assert "********@" in said
    assert "host.test" in said
    assert CANARY not in str(masked({"urls": [url, {"url": url}]}))


@pytest.mark.parametrize("text", ["https://host.test/a", "user@host.test", "a: b", "root/pypi", "", 5, None, True])
def test_other_values_stay(text: object) -> None:
    assert masked(text) == text
