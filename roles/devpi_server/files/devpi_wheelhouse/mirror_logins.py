"""The logins in the URLs of mirrors: devpi shows them with the data of an index, and here to whoever may change it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPForbidden
from pyramid.interfaces import ISecurityPolicy
from pyramid.threadlocal import RequestContext

from devpi_wheelhouse.identity import is_unlimited, request_at

#: The login in a URL, also within a text.
LOGIN = re.compile(r"(?<=://)[^/\s\"\\]*@")
ROUTES = ("/", "/{user}", "/{user}/", "/{user}/{index}", "/{user}/{index}/")
HEADERS = ("Authorization", "X-Devpi-Auth", "Cookie")


def without_login(value: Any) -> Any:
    """Return a value of JSON whose texts have no login in their URLs."""
    if isinstance(value, str):
        return LOGIN.sub("", value)
    if isinstance(value, list):
        return [without_login(entry) for entry in value]
    if isinstance(value, dict):
        return {key: without_login(entry) for key, entry in value.items()}
    return value


def may_change(request: Any, index: str) -> bool:
    """Whether the request's login may change an index, and so knows the login of its mirror."""
    policy = request.registry.queryUtility(ISecurityPolicy)
    login = {name: request.headers[name] for name in HEADERS if name in request.headers}
    try:
        identity = request.identity
        if identity is None:
            return False
        asked = request_at(request, index, login)
        if is_unlimited(identity):
            policy.identity_cache.set(asked, identity)
        with RequestContext(asked):
            return bool(asked.has_permission("index_modify"))
    except HTTPForbidden:
        return False


def cleaned(request: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """Return devpi's answer about an index, a user or all users without the logins that are not for the request."""
    kind: str = answer.get("type", "")
    result: dict[str, Any] = answer.get("result", {})
    where = request.matchdict or {}
    if kind == "indexconfig":
        users: dict[str, Any] = {where["user"]: {"indexes": {where["index"].rstrip("/"): result}}}
    elif kind == "userconfig":
        users = {where["user"].rstrip("/"): result}
    elif kind == "list:userconfig":
        users = result
    else:
        return answer
    for user, config in users.items():
        for name, index in config.get("indexes", {}).items():
            if LOGIN.search(json.dumps(index)) and not may_change(request, f"{user}/{name}"):
                index.update(without_login(index))
    return answer


def tween(handler: Callable[[Any], Any], _registry: Any) -> Callable[[Any], Any]:
    """Take the logins out of what devpi answers."""

    def clean(request: Any) -> Any:
        response = handler(request)
        route = request.matched_route
        if (
            request.method in ("GET", "HEAD")
            and route
            and route.name in ROUTES
            and response.content_type == "application/json"
        ):
            body = response.body
            if LOGIN.search(body.decode("utf-8", "replace")):
                response.body = json.dumps(cleaned(request, json.loads(body)), indent=2).encode() + b"\n"
        return response

    return clean
