"""Whether a request may read, write or see data: what nginx asks for its auth_request.

GET /+wheelhouse/auth with the client's headers of a login (Authorization, X-Devpi-Auth, and the cookie auth_tkt) and

    X-Need       read, write or login: what the client asks for needs that (login: the data of users and indexes)
    X-Method     the client's method
    X-Uri        the URI as the client typed it
    X-Real-IP    the client's address
    X-Login-Rate how many guesses of a password an address may make each second; 20 times as many at once

Answers 204; 401 for nobody, or a login that is not good; 403 for whoever may not; 429 for who guesses, and where more
passwords than devpi can compare come at once; 503 where the
rules cannot be read. X-Devpi-Serial is the serial of devpi at which it was answered.

Only nginx may reach it: whoever does may claim any address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from devpi_server.log import threadlog
from pyramid.authorization import Allow, Everyone
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from devpi_wheelhouse import paths
from devpi_wheelhouse.bounded import Guesses, Recent, Secrets, network_of
from devpi_wheelhouse.identity import Asker, Busy, Passwords, is_unlimited
from devpi_wheelhouse.indexes import Indexes, Inheritance
from devpi_wheelhouse.rules import Rules, RulesFile, Unreadable

ROUTE = "/+wheelhouse/auth"
NEEDS = ("read", "write", "login")
#: What reads. devpi takes others for reading as well, and each may write.
READING = ("GET", "HEAD")
#: Guesses that an address may make each second where nginx does not say.
LOGIN_RATE = 10.0
#: Logins that were good of late are no guesses: some 3 MB, for an hour.
MOST_LOGINS, LOGIN_SECONDS = 10_000, 3600
SEARCH = re.compile(r"/\+search/?")
API = re.compile(r"(.*/)?\+api/?")


class Refused(Exception):
    """The request may not; with the status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Question:
    """What nginx asks."""

    def __init__(self, request: Any) -> None:
        headers = request.headers
        self.need: str = headers.get("X-Need", "")
        self.method: str = headers.get("X-Method", "")
        self.uri: str = headers.get("X-Uri", "")
        self.network = network_of(headers.get("X-Real-IP", ""))
        try:
            self.login_rate = float(headers.get("X-Login-Rate", LOGIN_RATE))
        except ValueError:
            self.login_rate = LOGIN_RATE
        self.login = {name: headers[name] for name in ("Authorization", "X-Devpi-Auth") if headers.get(name)}
        # No form and no script writes with the cookie of a login.
        cookie = request.cookies.get("auth_tkt", "") if self.reads else ""
        if re.fullmatch(r"[^\x00-\x20\";,\\\x7f-\uffff]+", cookie):
            self.login["Cookie"] = f"auth_tkt={cookie}"

    @property
    def reads(self) -> bool:
        """Whether the client's method reads."""
        return self.method in READING


class Visit:
    """A question, with what is private while it is answered."""

    def __init__(self, judge: Judge, question: Question, rules: Rules, request: Any) -> None:
        self._judge, self._question, self._rules = judge, question, rules
        self._asker = Asker(request, question.login, judge.passwords)
        self._indexes = Indexes(request.registry["xom"], judge.inheritance)
        self._hook = request.registry["xom"].config.hook
        self._request = request
        self._is_known = False

    def answer(self) -> None:
        """Return where the client may. Raises Refused."""
        question, rules = self._question, self._rules
        may_read = question.need == "read" or (question.need == "write" and question.reads)
        try:
            path = paths.plain(question.uri)
        except paths.OddPath:
            # Where nothing is private, devpi makes of it what it will, and reading is for everybody.
            if rules.readers or question.need == "login":
                raise Refused(403) from None
            path = "/"
        user, name = paths.user_and_index(path)
        index = f"{user}/{name}" if name else ""
        private = self._private([index]) if index else []
        if may_read and self._is_for_anybody(path, index, private):
            if question.need == "write" and question.login:
                self._count_guess()
            return
        if not question.login:
            raise Refused(401)
        if SEARCH.fullmatch(path) and rules.readers:
            # It finds in all of them.
            self._check_somebody()
            self._check_readers(self._private(self._indexes.all()))
        elif private:
            self._check_readers(private)
        else:
            self._check_somebody()
        if question.reads and (question.need == "login" or not index):
            self._check_data(path, user, index)

    def _private(self, indexes: Iterable[str]) -> list[str]:
        """Return what is private of some indexes and all that they inherit: what they show is as private as each."""
        found = dict.fromkeys(name for index in indexes for name in self._indexes.with_bases(index))
        return [name for name in found if self._rules.rule_of(name)]

    def _is_for_anybody(self, path: str, index: str, private: list[str]) -> bool:
        if not self._rules.readers:
            return True
        if index:
            return not private
        # Which users and indexes there are is for whoever is logged in.
        return (path.startswith("/+") and not SEARCH.fullmatch(path)) or bool(API.fullmatch(path))

    def _identity(self, index: str) -> Any:
        """Return who it is at an index. Raises Refused where the login is not good there."""
        question, judge = self._question, self._judge
        key = judge.secrets.digest(*question.login, *question.login.values())
        counted = not self._is_known and not judge.good.get(key)
        if counted and judge.guesses.take(question.network, question.login_rate):
            raise Refused(429)
        try:
            identity = self._asker.identity(index)
        except HTTPForbidden:
            raise Refused(403) from None
        except Busy:
            raise Refused(429) from None
        if identity is None:
            judge.good.drop(key)
            # Who only mistyped is asked again where that helps: pip and browsers do, for reading.
            raise Refused(401 if question.need == "read" or (question.need == "write" and question.reads) else 403)
        if counted:
            judge.guesses.give_back(question.network)
            judge.good.put(key, True)
        self._is_known = True
        return identity

    def _count_guess(self) -> None:
        """Refuse those who guess. Whether the others may is for devpi itself to say."""
        try:
            self._identity("")
        except Refused as refused:
            if refused.status == 429:
                raise

    def _check_somebody(self) -> None:
        self._identity("")

    def _check_readers(self, private: list[str]) -> None:
        for index in private:
            identity = self._identity(index)
            names = frozenset({identity.username, *(f":{group}" for group in identity.groups)})
            if self._question.reads and self._indexes.exists(index) and not self._may_read(index):
                raise Refused(403)
            if not self._rules.lets_in(index, names):
                raise Refused(403)

    def _may_read(self, index: str) -> bool:
        return self._asker.may("pkg_read", index)

    def _check_data(self, path: str, user: str, index: str) -> None:
        """Refuse those whose token is not for all indexes that the data are about."""
        if is_unlimited(self._identity(index)):
            return
        if SEARCH.fullmatch(path):
            # What is private was asked for, and nothing else is kept from anybody.
            concerned = []
        elif index:
            concerned = [index]
        else:
            concerned = self._indexes.names_of_user(user) if user else list(self._indexes.all())
        for name in concerned:
            self._identity(name)
            if self._indexes.exists(name) and not self._may_read(name):
                raise Refused(403)
        if self._reads_nowhere():
            raise Refused(403)

    def _reads_nowhere(self) -> bool:
        """Whether a token reads nothing, whatever the index."""
        asked = self._asker.request_at("")
        acl = ((Allow, Everyone, "pkg_read"),)
        denials = self._hook.devpiserver_auth_denials(request=asked, acl=acl, user=None, stage=None)
        return any((Everyone, "pkg_read") in found for found in denials or () if found)


class Judge:
    """Answers nginx, and remembers for that who guesses and who does not."""

    def __init__(self, rules: RulesFile) -> None:
        self._rules = rules
        self.secrets = Secrets()
        self.passwords = Passwords(self.secrets)
        self.guesses = Guesses()
        self.good: Recent[bytes, bool] = Recent(MOST_LOGINS, LOGIN_SECONDS)
        self.inheritance = Inheritance()

    def status(self, request: Any) -> int:
        """Return the status that answers a question of nginx."""
        question = Question(request)
        if question.need not in NEEDS or not question.method or not question.uri:
            return 400
        try:
            Visit(self, question, self._rules.read(), request).answer()
        except Refused as refused:
            return refused.status
        except Unreadable as problem:
            threadlog.error("nobody is let in, because the rules of what is private cannot be read: %s", problem)
            return 503
        return 204


def view(request: Any) -> Response:
    """Answer nginx."""
    response = Response(status=request.registry["devpi_wheelhouse_judge"].status(request))
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="devpi"'
    return response


def add(pyramid_config: Any, rules: RulesFile) -> None:
    """Add the route to devpi."""
    pyramid_config.registry["devpi_wheelhouse_judge"] = Judge(rules)
    pyramid_config.add_route("devpi_wheelhouse_auth", ROUTE)
    pyramid_config.add_view(view, route_name="devpi_wheelhouse_auth", request_method="GET")
