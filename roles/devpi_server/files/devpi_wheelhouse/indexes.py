"""What an index inherits, as devpi's database says in the transaction of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from devpi_wheelhouse.bounded import Recent

#: Indexes whose bases are kept, each at its serial.
MOST, SECONDS = 4096, 600


class Inheritance(Recent[tuple[int, str], tuple[str, ...]]):
    """What indexes inherit, by serial and name: good for ever, and of use until the next commit."""

    def __init__(self) -> None:
        super().__init__(MOST, SECONDS)


class Indexes:
    """The indexes of a server in one transaction. devpi copies a user with all indexes for each look: here once."""

    def __init__(self, xom: Any, inheritance: Inheritance) -> None:
        self._xom = xom
        self._inheritance = inheritance
        self._users: dict[str, Mapping[str, Any]] = {}

    def of_user(self, name: str) -> Mapping[str, Any]:
        """Return the configurations of a user's indexes by their name."""
        if name not in self._users:
            user = self._xom.model.get_user(name) if name else None
            self._users[name] = user.get().get("indexes", {}) if user else {}
        return self._users[name]

    def names_of_user(self, name: str) -> list[str]:
        """Return the indexes of a user, each as USER/INDEX."""
        return [f"{name}/{index}" for index in self.of_user(name)]

    def all(self) -> Iterator[str]:
        """Yield every index."""
        for user in self._xom.model.get_userlist():
            yield from self.names_of_user(user.name)

    def exists(self, index: str) -> bool:
        """Whether there is an index (USER/INDEX)."""
        user, _slash, name = index.partition("/")
        return name in self.of_user(user)

    def _bases(self, index: str) -> list[str]:
        user, _slash, name = index.partition("/")
        return list(self.of_user(user).get(name, {}).get("bases", ()))

    def with_bases(self, index: str) -> tuple[str, ...]:
        """Return an index and all that it inherits, directly or by another, also what is no longer there."""
        key = (self._xom.keyfs.tx.at_serial, index)
        found = self._inheritance.get(key)
        if found is not None:
            return found
        seen: dict[str, None] = {}
        todo = [index]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen[name] = None
                todo += self._bases(name)
        # Names of indexes that are not there are for clients to choose, and as many as they like.
        if self.exists(index):
            self._inheritance.put(key, tuple(seen))
        return tuple(seen)
