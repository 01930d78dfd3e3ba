"""What is private, and who reads it: rules in a file that the role writes, read again whenever it changed.

It is a list in JSON, as the role's variable devpi_private: {"name": "team/dev", "readers": ["alice", ":guests"]}.
Without readers it is everybody who is logged in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Unreadable(Exception):
    """The file is not there, or not what the role writes. Then nobody is let in."""


@dataclass(frozen=True)
class Rules:
    """What is private, and who reads it: by the name of an index, a user or `*`. None is everybody who is logged in."""

    readers: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def rule_of(self, index: str) -> str:
        """Return the name of the most exact rule for an index (USER/INDEX), or '' where it is for everybody."""
        return next((name for name in (index, index.partition("/")[0], "*") if name in self.readers), "")

    def lets_in(self, index: str, names: frozenset[str]) -> bool:
        """Whether somebody reads a private index, by name and groups (`:GROUP`). Its user and root always do."""
        readers = self.readers[self.rule_of(index)]
        return readers is None or bool(names & (readers | {"root", index.partition("/")[0]}))


def parsed(content: Any) -> Rules:
    """Return the rules that the content of the file has. Raises Unreadable where it is not as the role writes it."""
    try:
        return Rules(
            {
                str(rule["name"]): None if rule.get("readers") is None else frozenset(map(str, rule["readers"]))
                for rule in content
            }
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise Unreadable(f"{type(problem).__name__}: {problem}") from None


class RulesFile:
    """The file, which is replaced as a whole. Without a path, nothing is private."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._version: tuple[int, ...] = ()
        self._rules = Rules()

    def read(self) -> Rules:
        """Return what the file says now. Raises Unreadable."""
        if not self._path:
            return self._rules
        try:
            about = os.stat(self._path)
            version = (about.st_ino, about.st_mtime_ns, about.st_size)
            if version != self._version:
                with open(self._path, encoding="utf-8") as file:
                    rules = parsed(json.load(file))
                self._rules, self._version = rules, version
        except (OSError, ValueError) as problem:
            raise Unreadable(f"{self._path}: {problem}") from None
        return self._rules
