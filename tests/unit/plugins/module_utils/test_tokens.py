# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a token says of itself."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.wheelhouse.devpi.plugins.module_utils._tokens import (
    Token,
    expiry,
    marker,
    moment,
    read_token,
    seconds_of,
    shown,
)

#: Made by devpi-tokens 1.1.0 on a server that is gone.
REAL = (
    "devpi-AgEAAg5hbGljZS1kVDIzOFhKdgACDmFsbG93ZWQ9dXBsb2FkAAISZXhwaXJlcz0xOTAwMDAwMDAwAAIRaW5kZXhlcz1hbGljZS9kZXYAAhBw"
    "cm9qZWN0cz1Gb28uQmFyAAAGIH4ooE782TXuCikp_jskEW2u4qBTZAwp1IrL2hIV-F5h"
)


def test_real_token() -> None:
    limits = ("allowed=upload", "expires=1900000000", "indexes=alice/dev", "projects=Foo.Bar")
    assert read_token(REAL) == Token("alice", "dT238XJv", limits)
    assert read_token(REAL.replace("devpi-", "")) == read_token(REAL)


def test_long_restriction() -> None:
    """A length of more than 127 bytes takes two bytes."""
    text = "indexes=" + ",".join(f"team/index{number}" for number in range(40))
    length = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    data = b"\x02\x02\x09ci-abcdef\x00\x02" + length + text.encode() + b"\x00\x00\x06\x01s"
    assert read_token(base64.urlsafe_b64encode(data).decode()) == Token("ci", "abcdef", (text,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root:x:0:0:root:/root:/bin/bash",
        "a-password-of-somebody-that-is-long-enough",
        REAL[:60],
        REAL.replace("devpi-A", "devpi-B"),
        f"{REAL} {REAL}",
        "devpi-" + "A" * 100,
        "devpi-" + base64.urlsafe_b64encode(b"\x02\x02\x7fshort" + b"s" * 40).decode(),
        "devpi-" + base64.urlsafe_b64encode(b"\x02\x02\x02\xff\xfe" + b"\x00" * 40).decode(),
    ],
)
def test_no_token(text: str) -> None:
    assert read_token(text) is None


def test_what_is_shown() -> None:
    assert shown(["allowed=pkg_read,upload", "not_before=0", "expires=1900000000", "later=words"]) == {
        "indexes": None,
        "projects": None,
        "permissions": ["pkg_read", "upload"],
        "not_before": "1970-01-01T00:00:00Z",
        "expires": "2030-03-17T17:46:40Z",
    }
    assert shown(["expires=never"])["expires"] == "never"
    assert expiry(["expires=2000000000", "expires=1900000000"]) == 1900000000
    assert moment(10**18) == str(10**18)


def test_markers_differ_and_are_long_ago() -> None:
    markers = {marker(f"host{number}:/etc/token") for number in range(1000)}
    assert len(markers) == 1000
    assert max(markers) < 1_100_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("12h", 43200), ("90d", 7776000), ("2w", 1209600), ("0d", None), ("d", None), ("1y", None)],
)
def test_spans_of_time(text: str, seconds: int | None) -> None:
    assert seconds_of(text) == seconds
