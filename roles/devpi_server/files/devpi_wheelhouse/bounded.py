"""Memory of what clients choose, bounded in its number of entries; each of its entries is small."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The entries that were used last, at most so many, each for so many seconds after it was put in."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """Return the value of an entry, or None."""
        with self._lock:
            until, value = self._entries.get(key, (0.0, None))
            if value is None or self._clock() >= until:
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Keep an entry. The one that was not used for the longest time may have to go."""
        with self._lock:
            self._entries[key] = (self._clock() + self._seconds, value)
            self._entries.move_to_end(key)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget an entry, if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class Secrets:
    """Turns what must not lie in memory, and may be long, into 32 bytes. The key is new at each start."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def digest(self, *parts: str) -> bytes:
        """Return the digest of texts, another for each division of the same characters."""
        text = b"".join(b"%d:%s" % (len(data), data) for data in (part.encode("utf-8", "replace") for part in parts))
        return hmac.digest(self._key, text, hashlib.sha256)


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the 64 bits of an IPv6 network that one host may use.

    >>> network_of("2001:db8:1:2:3::4")
    '2001:db8:1:2::/64'
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)


class Guesses:
    """How many logins that were not good came from each network within some seconds, counted from the first of them."""

    #: Seconds for which guesses count.
    SECONDS = 20
    #: Networks that are remembered: some 4 MB.
    MOST = 20_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: The number of guesses, and until when they count.
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def take(self, network: str, rate: float) -> bool:
        """Count a guess. `rate` is how many there may be each second, on average. Returns whether that is too many."""
        with self._lock:
            now = self._clock()
            count, until = self._counts.pop(network, (0, 0.0))
            if now >= until:
                count, until = 0, now + self.SECONDS
            too_many = count + 1 > rate * self.SECONDS
            self._counts[network] = (count if too_many else count + 1, until)
            if len(self._counts) > self.MOST:
                self._counts.popitem(last=False)
            return too_many

    def give_back(self, network: str) -> None:
        """Take a guess back: the login was good."""
        with self._lock:
            if network in self._counts:
                count, until = self._counts[network]
                self._counts[network] = (max(0, count - 1), until)
