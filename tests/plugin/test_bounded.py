# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients choose takes no more memory than was said."""

from __future__ import annotations

import doctest

from devpi_wheelhouse import bounded
from devpi_wheelhouse.bounded import Guesses, Recent, Secrets, network_of


def test_recent_keeps_what_was_used_last() -> None:
    recent: Recent[int, str] = Recent(3, 60)
    for number in range(3):
        recent.put(number, str(number))
    assert recent.get(0) == "0"
    recent.put(3, "3")
    assert [recent.get(number) for number in range(4)] == ["0", None, "2", "3"]
    assert len(recent) == 3
    recent.drop(3)
    recent.drop(3)
    assert recent.get(3) is None


def test_recent_forgets_in_time() -> None:
    now = [0.0]
    recent: Recent[int, str] = Recent(3, 60, lambda: now[0])
    recent.put(1, "1")
    now[0] = 59.9
    assert recent.get(1) == "1"
    now[0] = 60.0
    assert recent.get(1) is None


def test_guesses_come_back_with_time() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    assert [guesses.take("a", 2) for _guess in range(41)] == [False] * 40 + [True]
    now[0] = 19.9
    assert guesses.take("a", 2)
    guesses.give_back("a")
    assert [guesses.take("a", 2) for _guess in range(2)] == [False, True]
    assert not guesses.take("b", 2)
    now[0] = 20.0
    assert [guesses.take("a", 2) for _guess in range(41)] == [False] * 40 + [True]
    guesses.give_back("nobody")


def test_guesses_of_many_networks_are_bounded() -> None:
    guesses = Guesses()
    for number in range(guesses.MOST + 100):
        guesses.take(str(number), 1)
    assert len(guesses._counts) == guesses.MOST


def test_networks() -> None:
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("x" * 8000) == network_of("") == ""
    assert doctest.testmod(bounded).failed == 0


def test_digests_tell_apart() -> None:
    secrets = Secrets()
    assert secrets.digest("ab", "c") != secrets.digest("a", "bc")
    assert len(secrets.digest("x" * 100_000)) == 32
    assert Secrets().digest("a") != secrets.digest("a")
