"""Who somebody is at an index, as devpi and its plugins say when they are asked for that index.

A token may be for some indexes alone: devpi-tokens looks at the index of the request for it. So devpi is asked in the
name of a request for the index, as its own +authcheck does it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import itsdangerous
from devpi_server.view_auth import CredentialsIdentity, RootFactory
from pyramid.interfaces import IRoutesMapper, ISecurityPolicy
from pyramid.request import Request, apply_request_extensions
from pyramid.threadlocal import RequestContext

from devpi_wheelhouse.bounded import Recent, Secrets

#: Where devpi's Auth looks whether it has compared the password already, and with what outcome.
COMPARED = "__devpiserver_user_validate_result"
#: Passwords that are not hashed again as long as the user's hash is the same: some 3 MB of right ones, for an hour.
MOST_RIGHT, MOST_WRONG, PASSWORD_SECONDS = 10_000, 1_000, 3600

#: Passwords that are hashed at the same time: more than the machine has cores for only delay all that devpi does.
HASHED_AT_ONCE = min(4, max(2, os.cpu_count() or 2))
#: Those that wait for it, each with a thread of devpi and a connection to its database, of which devpi 7 has 15 in all.
#: More are told to come again, so that there are some for others.
WAIT_AT_ONCE = 8


class Busy(Exception):
    """More passwords wait to be compared than may."""


class Passwords:
    """What came of comparing passwords. A hash costs devpi a sixth of a second of a core.

    An entry is of the user, the password and the hash in devpi's database together, so a password that was changed, and
    that of a user who was deleted, is wrong from the commit on.
    """

    def __init__(self, digests: Secrets) -> None:
        self._secrets = digests
        # Apart, so that guesses push out no password that is right.
        self._right: Recent[bytes, bool] = Recent(MOST_RIGHT, PASSWORD_SECONDS)
        self._wrong: Recent[bytes, bool] = Recent(MOST_WRONG, PASSWORD_SECONDS)
        self._places = threading.BoundedSemaphore(HASHED_AT_ONCE + WAIT_AT_ONCE)
        self._hashing = threading.BoundedSemaphore(HASHED_AT_ONCE)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a password may be hashed. Raises Busy where too many do."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            with self._hashing:
                yield
        finally:
            self._places.release()

    def key(self, request: Any, name: str, password: str) -> bytes | None:
        """Return what stands for a password; None where devpi would compare none."""
        user = request.registry["xom"].model.get_user(name)
        pwhash = user and user.get(credentials=True).get("pwhash")
        return self._secrets.digest(name, password, pwhash) if pwhash else None

    def recall(self, request: Any, key: bytes) -> bool:
        """Tell devpi what came of it before. Returns whether that is known."""
        if self._right.get(key):
            setattr(request, COMPARED, True)
            return True
        if self._wrong.get(key):
            setattr(request, COMPARED, False)
            return True
        return False

    def remember(self, request: Any, key: bytes) -> None:
        """Remember what came of it, if devpi compared it."""
        outcome = getattr(request, COMPARED, None)
        if outcome is not None:
            (self._right if outcome else self._wrong).put(key, True)


def request_at(request: Any, index: str, login: dict[str, str]) -> Any:
    """Return a request for files of an index (USER/INDEX; '' is none) with the headers of a login.

    `request` is what devpi works at. The new one shares its transaction.
    """
    path = f"/{urllib.parse.quote(index)}/+f/" if index else "/"
    asked = Request.blank(path, headers=login)
    asked.registry, asked.log = request.registry, request.log
    apply_request_extensions(asked)
    match = request.registry.getUtility(IRoutesMapper)(asked)
    asked.matchdict, asked.matched_route = match["match"], match["route"]
    asked.context = RootFactory(asked)
    return asked


def is_unlimited(identity: Any) -> bool:
    """Whether somebody is the same at every index: by a password, what devpi gave for one, or a token for all indexes.

    Only for what is known to be so: of tokens, those whose restrictions devpi-tokens can read.
    """
    # One that is derived from it may be limited.
    if type(identity) is CredentialsIdentity:  # pylint: disable=unidiomatic-typecheck
        return True
    try:
        restrictions = identity.restrictions
        return not any(list(restrictions.get(name, ())) for name in ("indexes", "allowed"))
    except (AttributeError, ValueError, KeyError):
        return False


class Asker:
    """Somebody with a login, who is asked about one index after another."""

    def __init__(self, request: Any, login: dict[str, str], passwords: Passwords) -> None:
        self._request, self._login, self._passwords = request, login, passwords
        self._policy = request.registry.getUtility(ISecurityPolicy)
        self._requests: dict[str, Any] = {}
        self._everywhere: Any = None

    def request_at(self, index: str) -> Any:
        """Return a request of theirs for an index."""
        if index not in self._requests:
            asked = request_at(self._request, index, self._login)
            if self._everywhere is not None:
                self._policy.identity_cache.set(asked, self._everywhere)
            self._requests[index] = asked
        return self._requests[index]

    def identity(self, index: str) -> Any:
        """Return who it is at an index; None where the login is not good.

        Raises pyramid's HTTPForbidden for a token that is not (or no longer) good there, and Busy.
        """
        asked = self.request_at(index)
        with RequestContext(asked):
            if self._everywhere is not None:
                return self._everywhere
            identity = self._asked_identity(asked)
        if is_unlimited(identity):
            self._everywhere = identity
        return identity

    def _asked_identity(self, asked: Any) -> Any:
        credentials = asked.registry["xom"].config.hook.devpiserver_get_credentials(request=asked)
        name, password = credentials or ("", "")
        if "/" in (name or ""):
            # devpi has no such user, and an error for who asks for one.
            return None
        if not name or not password or self._costs_no_hash(password):
            return self._policy.identity(asked)
        key = self._passwords.key(asked, name, password)
        if not key or self._passwords.recall(asked, key):
            return self._policy.identity(asked)
        with self._passwords.turn():
            identity = self._policy.identity(asked)
        self._passwords.remember(asked, key)
        return identity

    def _costs_no_hash(self, password: str) -> bool:
        """Whether it is a token, or what devpi gave for a password, which it knows by its signature."""
        auth = self._policy.auth
        try:
            auth.serializer.loads(password, max_age=auth.LOGIN_EXPIRATION)
        except itsdangerous.SignatureExpired:
            return True
        except itsdangerous.BadData:
            return password.startswith("devpi-")
        return True

    def may(self, permission: str, index: str) -> bool:
        """Whether devpi and its plugins let them do something at an index. Ask for the identity there first."""
        asked = self.request_at(index)
        with RequestContext(asked):
            return bool(asked.has_permission(permission))
