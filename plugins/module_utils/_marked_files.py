# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the marked files of a host to what is wanted: plan everything, have it read by its tools, then change it."""

from __future__ import annotations

import json
import os
import time
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.wheelhouse.devpi.plugins.module_utils import _accounts, _marks, _readers
from ansible_collections.wheelhouse.devpi.plugins.module_utils._accounts import Account, FileError, acting_as
from ansible_collections.wheelhouse.devpi.plugins.module_utils._mask import masked

HIDDEN = "(not shown)\n"
"""What a diff says in place of a secret."""


@dataclass(frozen=True)
class Place:
    """Where a file lies. Without a user, it belongs to whom its folder belongs to."""

    path: str
    user: str | None

    def located(self) -> tuple[str, Account]:
        """Return the path and whose it is. Raises FileError where there is no such user or folder."""
        account = _accounts.account_of(self.user) if self.user else _accounts.owner_of(os.path.dirname(self.path))
        path = os.path.join(account.home, self.path[2:]) if self.path.startswith("~/") else self.path
        return path, account


@dataclass(frozen=True)
class Wanted:
    """A file that shall be there."""

    place: Place
    content: str
    mode: int
    #: Only a block of a file that others write to.
    is_block: bool
    is_secret: bool
    reader: str


@dataclass(frozen=True)
class Change:
    """What becomes of one file."""

    path: str
    account: Account
    #: None removes the file.
    after: bytes | None
    mode: int
    diff: dict[str, str]
    #: Whether what is ours goes, with the file or out of it.
    is_removal: bool = False
    #: Where a copy of what something else wrote goes.
    backup: str | None = None


@dataclass
class Plan:
    """What a run does, in that order."""

    changes: list[Change] = field(default_factory=list)

    @property
    def written(self) -> list[str]:
        """The files that are written."""
        return [change.path for change in self.changes if not change.is_removal]

    @property
    def removed(self) -> list[str]:
        """The files that are removed, or whose block is."""
        return [change.path for change in self.changes if change.is_removal]

    @property
    def backups(self) -> list[str]:
        """The files that keep what something else wrote."""
        return [change.backup for change in self.changes if change.backup]


def plan(wanted: Sequence[Wanted], leftover: Sequence[Place], mark: str) -> Plan:
    """Return what has to change. Raises FileError where a file cannot be read, or its tool does not understand it."""
    changes = [_write(one, mark) for one in wanted]
    kept = {change.path for change in changes if change} | {one.place.located()[0] for one in wanted}
    changes += [_remove(place, mark, kept) for place in leftover]
    return Plan([change for change in changes if change])


def apply(steps: Plan) -> None:
    """Change the files. Raises FileError."""
    for change in steps.changes:
        try:
            with acting_as(change.account):
                path = _accounts.real_path(change.path, change.account)
                if change.backup:
                    before = _accounts.read(path)
                    _accounts.write(change.backup, before or b"", _accounts.mode_of(path))
                if change.after is None:
                    os.unlink(path)
                else:
                    _accounts.write(path, change.after, change.mode)
        except OSError as error:
            raise FileError(_accounts.why(error, "write", change.path, change.account)) from error


def _write(wanted: Wanted, mark: str) -> Change | None:
    path, account = wanted.place.located()
    before, mode = _look(path, account)
    try:
        after = (
            _marks.with_block(before or b"", wanted.content, mark)
            if wanted.is_block
            else _marks.whole(wanted.content, mark)
        )
    except _marks.MarkError as error:
        raise FileError(f"{path}: {error}") from error
    # Others may have closed a file that they write to as well.
    wanted_mode = mode if wanted.is_block and mode is not None and not wanted.is_secret else wanted.mode
    if before == after and mode == wanted_mode:
        return None
    said = _readers.problem(wanted.reader, path, after, account) if before != after else None
    if said:
        raise FileError(f"{path} was left as it was, because {wanted.reader} does not read the new one: {said}")
    foreign = not wanted.is_block and before is not None and not _marks.is_whole(before, mark)
    backup = f"{path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~" if foreign else None
    shown = (
        (_marks.block_of(before or b"", mark), wanted.content.encode()) if wanted.is_block else (before or b"", after)
    )
    return Change(path, account, after, wanted_mode, _diff(path, *shown, wanted.is_secret), backup=backup)


def _remove(place: Place, mark: str, kept: set[str]) -> Change | None:
    try:
        path, account = place.located()
    except FileError:
        return None  # The user or the folder is gone, and what was in it.
    if path in kept:
        return None
    before, mode = _look(path, account)
    if before is None or mode is None:
        return None
    try:
        # Without the block, a file may be empty: that may be how somebody else left it.
        rest = None if _marks.is_whole(before, mark) else _marks.without_block(before, mark)
    except _marks.MarkError as error:
        raise FileError(f"{path}: {error}") from error
    if rest == before:
        return None
    diff = {
        "before_header": path,
        "after_header": path,
        "before": HIDDEN,
        "after": "" if rest is None else "(without it)\n",
    }
    return Change(path, account, rest, mode, diff, is_removal=True)


def _look(path: str, account: Account) -> tuple[bytes | None, int | None]:
    """Return what is in a file, and its mode, as its user sees it."""
    try:
        with acting_as(account):
            real = _accounts.real_path(path, account)
            content = _accounts.read(real)
            return content, None if content is None else _accounts.mode_of(real)
    except NotADirectoryError:
        raise FileError(f"{os.path.dirname(path)} is no folder.") from None
    except OSError as error:
        raise FileError(_accounts.why(error, "read", path, account)) from error


def _diff(path: str, before: bytes, after: bytes, is_secret: bool) -> dict[str, str]:
    texts = {"before": before.decode(errors="replace"), "after": after.decode(errors="replace")}
    if is_secret:
        texts = {"before": HIDDEN if before else "", "after": "(not shown, and another one)\n"}
    shown = {name: "".join(map(masked, text.splitlines(keepends=True))) for name, text in texts.items()}
    return {"before_header": path, "after_header": path, **shown}


class Record:
    """What earlier runs wrote on this host, which only root can have written down."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._root = _accounts.account_of("root")
        content, _mode = _look(path, self._root)
        try:
            self.places = [Place(entry["path"], entry["user"]) for entry in json.loads(content or b"[]")]
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path} cannot be read: remove it, and by hand what earlier runs wrote.") from error

    def keep(self, places: Sequence[Place]) -> None:
        """Write places down where they are others than before."""
        ordered = sorted(set(places), key=lambda place: (place.path, place.user or ""))
        if ordered == self.places:
            return
        entries: list[Mapping[str, t.Any]] = [{"path": place.path, "user": place.user} for place in ordered]
        try:
            _accounts.write(
                _accounts.real_path(self.path, self._root), json.dumps(entries, indent=1).encode() + b"\n", 0o644
            )
        except OSError as error:
            raise FileError(_accounts.why(error, "write", self.path, self._root)) from error
