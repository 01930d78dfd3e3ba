"""What an index inherits, as devpi's database says in the transaction of the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from devpi_wheelhouse.bounded import Recent

#: Indexes whose bases are kept, each at its serial.
MOST, SECONDS = 4096, 600


class Indexes:
    """The indexes of a server."""

    def __init__(self, xom: Any) -> None:
        self._xom = xom
        self._inherited: Recent[tuple[int, str], tuple[str, ...]] = Recent(MOST, SECONDS)

    def stage(self, index: str) -> Any:
        """Return devpi's object of an index (USER/INDEX), or None."""
        user, _, name = index.partition("/")
        return self._xom.model.getstage(user, name) if user and name and "/" not in name else None

    def of_user(self, name: str) -> list[str]:
        """Return the indexes of a user."""
        user = self._xom.model.get_user(name)
        return [f"{name}/{index}" for index in user.get().get("indexes", ())] if user else []

    def all(self) -> Iterator[str]:
        """Yield every index."""
        for user in self._xom.model.get_userlist():
            yield from self.of_user(user.name)

    def with_bases(self, index: str) -> tuple[str, ...]:
        """Return an index and all that it inherits, directly or by another, also what is no longer there."""
        key = (self._xom.keyfs.tx.at_serial, index)
        found = self._inherited.get(key)
        if found is not None:
            return found
        seen: dict[str, bool] = {}
        todo = [index]
        while todo:
            name = todo.pop()
            if name not in seen:
                stage = self.stage(name)
                seen[name] = stage is not None
                todo.extend(stage.ixconfig.get("bases", ()) if stage is not None else ())
        # Names of indexes that are not there are for clients to choose, and as many as they like.
        if seen[index]:
            self._inherited.put(key, tuple(seen))
        return tuple(seen)
