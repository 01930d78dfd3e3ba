# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody reads what is private, on whatever path, in whatever order they ask, and by whatever index inherits it.

Run on the server: reading.py RATE, which is devpi_nginx_login_rate.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import math
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from checks import Checks
from make_wheel import make_wheel

DOMAIN = "private.test"
SOCKET = "/run/devpi/devpi.sock"
CA = "/etc/devpi-ca/ca.crt"
ROOT_PASSWORD = Path("/etc/devpi/root-password")
TLS = ssl.create_default_context(cafile=CA)
CONNECTION = http.client.HTTPSConnection(DOMAIN, context=TLS, timeout=60)
#: What is private: the role writes it for the plugin of devpi.
RULES = Path("/etc/devpi/private.json")
PASSWORDS = {name: f"password-of-{name}" for name in ("alice", "bob")}
JSON, LIST = "application/json", "application/vnd.pypi.simple.v1+json"
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept": "text/html,*/*;q=0.8"}
#: What docs/security.md tells: the scenario fails where it is otherwise.
TABLES = json.loads(Path(__file__).with_name("reading.json").read_text())
#: What each index has that a client asks for.
UPLOADS = {"team/dev": "hidden", "team/public": "plain", "team/inherited": "hidden"}


def basic(user: str, secret: str) -> dict[str, str]:
    """Return the header of a login."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def ask(
    path: str, headers: dict[str, str] | None = None, method: str = "GET", body: bytes | None = None
) -> tuple[int, dict[str, str], str]:
    """Ask nginx for a path as it stands. Returns the status, the headers and the text."""
    CONNECTION.request(method, path, body, {"Accept": LIST, **(headers or {})})
    answer = CONNECTION.getresponse()
    text = answer.read().decode(errors="replace")
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def as_root(method: str, path: str, content: object = None) -> Any:
    """Ask devpi itself on this host as root, as the roles do. Returns the result."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(SOCKET)
    headers = {"Accept": JSON, "Content-Type": JSON, **basic("root", ROOT_PASSWORD.read_text().strip())}
    connection.request(method, path, None if content is None else json.dumps(content).encode(), headers)
    with connection.getresponse() as answer:
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.read()[:300]!r}")
        return json.load(answer).get("result")


def new_token(user: str, restrictions: dict[str, list[str]]) -> str:
    """Return a new token of a user."""
    return str(as_root("POST", f"/{user}/+token-create", restrictions)["token"])


def upload_all() -> None:
    """Put a release into the private index and one into the public one."""
    with tempfile.TemporaryDirectory() as folder:
        for index in ("team/dev", "team/public"):
            wheel = make_wheel(UPLOADS[index], "1.0", Path(folder), f"About {UPLOADS[index]} marmalade.")
            subprocess.run(
                ["twine", "upload", "--non-interactive", f"--repository-url=https://{DOMAIN}/{index}/", wheel],
                check=True,
                capture_output=True,
                env={
                    "PATH": os.environ["PATH"],
                    "TWINE_USERNAME": "alice",
                    "TWINE_PASSWORD": PASSWORDS["alice"],
                    "TWINE_CERT": CA,
                },
                timeout=120,
            )


def look_at_pages(checks: Checks, who: dict[str, dict[str, str]]) -> None:
    """Ask for pages in every order: each gets what is theirs, whoever was there before."""
    wanted = {
        "/team/public/+simple/plain/": dict.fromkeys(who, 200),
        "/team/dev/+simple/hidden/": {"nobody": 401, "bob": 403, "alice": 200, "token": 200},
        "/team/inherited/+simple/hidden/": {"nobody": 401, "bob": 403, "alice": 200, "token": 200},
        "/closed/any/+simple/": {"nobody": 401, "bob": 200, "alice": 200, "token": 200},
    }
    # All orders for one page after another, while nginx keeps what it has of the page and of the logins.
    for (path, statuses), order in itertools.product(wanted.items(), itertools.permutations(who)):
        for name in order:
            status, headers, text = ask(path, who[name])
            checks.expect(f"{path} for {name} in {order}", status, statuses[name])
            checks.expect(f"{path} names its project to {name}", "hidden" in text, status == 200 and "hidden" in path)
            checks.expect(
                f"how {name} logs in at {path}", "basic" in headers.get("www-authenticate", "").lower(), status == 401
            )


def log_in(user: str, password: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Send the form of the page for a login, as a browser does. Returns the status, the headers and the text."""
    form = urllib.parse.urlencode({"username": user, "password": password, "submit": ""}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/+login?goto_url={urllib.parse.quote(headers.pop('goto', '/'))}"
    return ask(path, BROWSER | kind | {"Origin": f"https://{DOMAIN}"} | headers, "POST", form)


def cookie_of(user: str) -> dict[str, str]:
    """Return the header of a login by the page for it."""
    return {"Cookie": log_in(user, PASSWORDS[user])[1]["set-cookie"].partition(";")[0]}


def look_at_logins(checks: Checks) -> None:
    """Send browsers, and nobody else, to a page for a login, whose cookie is for reading and not for other sites."""
    project = "/team/dev/hidden"
    for path in (project, "/", "/team/inherited/+simple/hidden/", "/+search?query=hidden&page=2"):
        status, headers, _text = ask(path, BROWSER)
        there = f"https://{DOMAIN}/+login?goto_url={urllib.parse.quote(path, safe='')}"
        checks.expect(f"where a browser is sent from {path}", (status, headers.get("location")), (302, there))
        # pip of before 22.2 says no more than that.
        status, headers, _text = ask(path, {"Accept": "text/html", "User-Agent": "pip/21.0"})
        checks.expect(f"{path} for an old pip", (status, "www-authenticate" in headers), (401, True))
    checks.expect("page for a login", "password" in ask("/+login?goto_url=/", BROWSER)[2], True)
    checks.expect("wrong password", log_in("alice", "wrong")[0], 401)
    checks.expect("login from another site", log_in("alice", PASSWORDS["alice"], Origin="https://evil.test")[0], 403)
    status, headers, _text = log_in("alice", PASSWORDS["alice"], goto=project)
    checks.expect("where a login leads", (status, headers["location"]), (302, f"https://{DOMAIN}{project}"))
    said = {word.strip().lower() for word in headers["set-cookie"].split(";")[1:]}
    checks.expect("the cookie", {"httponly", "secure", "samesite=lax"} <= said, True)
    for elsewhere in ("https://evil.test/", "//evil.test/", "https:evil.test", "/\t/evil.test"):
        away = log_in("alice", PASSWORDS["alice"], goto=elsewhere)[1]["location"]
        checks.expect(f"where {elsewhere!r} leads", urllib.parse.urlsplit(away).netloc, DOMAIN)

    alice = BROWSER | cookie_of("alice")
    status, headers, text = ask(project, alice)
    checks.expect("page with the cookie", (status, "hidden" in text), (200, True))
    checks.expect("page without it", ask(project, BROWSER)[0], 302)
    # Without a file, 400 is that devpi believes who sent it.
    checks.expect("upload with a password", ask("/team/dev/", basic("alice", PASSWORDS["alice"]), "POST", b"")[0], 400)
    checks.expect("upload with the cookie", ask("/team/dev/", alice, "POST", b"")[0], 401)
    guess = alice["Cookie"][:-4]
    checks.expect("page with another cookie", ask(project, BROWSER | {"Cookie": guess})[0], 302)
    checks.expect(
        "logout by another site", ask("/+logout", alice | {"Origin": "https://evil.test"}, "POST", b"")[0], 403
    )
    status, headers, _text = ask("/+logout", alice | {"Origin": f"https://{DOMAIN}"}, "POST", b"")
    checks.expect("logout", (status, headers["set-cookie"].partition(";")[0]), (302, "auth_tkt="))


def look_at_guesses(checks: Checks, rate: int) -> None:
    """Guess passwords by the form, and cookies, more of them at once than is allowed."""

    def guess(method: str, path: str, form: str, headers: dict[str, str], seconds: float) -> int:
        connection = http.client.HTTPSConnection(DOMAIN, context=TLS, timeout=seconds)
        with contextlib.closing(connection), contextlib.suppress(TimeoutError):
            connection.request(method, path, form, BROWSER | headers)
            return connection.getresponse().status
        # It waits for its turn.
        return 0

    def by_form(number: int) -> int:
        form = urllib.parse.urlencode({"username": "alice", "password": f"{number}", "submit": ""})
        return guess("POST", "/+login", form, {"Content-Type": "application/x-www-form-urlencoded"}, 3)

    def by_cookie(number: int) -> int:
        # Those that are no guess too many cost devpi a hash each, and a machine that has much to do some seconds.
        return guess("GET", "/team/dev/hidden", "", {"Cookie": f"auth_tkt=alice%3A{number}"}, 30)

    guesses = rate * 20 + 20
    with ThreadPoolExecutor(guesses) as pool:
        for way in (by_form, by_cookie):
            checks.expect(f"guesses {way.__name__}", 429 in pool.map(way, range(guesses)), True)


def look_at_paths(checks: Checks, alice: dict[str, str], file: str) -> None:
    """Ask for all that a private index has, and for what tells of it."""
    digest = file.split("/+f/")[1]
    paths = [file, f"{file}.metadata", f"/team/dev/+e/{digest}", "/team/dev", "/team/dev/", "/team/dev/+simple/"]
    paths += ["/team/dev/hidden", "/team/dev/hidden/1.0", "/team/dev/hidden/1.0/+d/index.html", "/team/dev/hidden/"]
    paths += ["/team/dev/hidden/1.0/+doc/index.html", "/team/dev/+api", "/team/dev/hidden/1.0/+toxresults/a"]
    paths += ["/team/inherited", "/team/inherited/hidden", "/team/inherited/hidden/1.0", "/team/between/hidden/1.0"]
    paths += ["/team/dev/+simple/hidden", "/team/d%65v/+simple/hidden/", "/team%2Fdev/+simple/hidden/"]
    paths += ["/", "/team", "/team/", "/+search?query=hidden", "/team/dev/+simple/hidden/refresh"]
    for path, headers in itertools.product(paths, ({"X-Original-URI": "/+api"}, {"Accept": JSON}, BROWSER)):
        for method in ("GET", "POST"):
            status, _headers, text = ask(path, headers, method)
            closed = 302 if headers is BROWSER and method == "GET" else 401
            checks.expect(f"{method} {path} with {headers}", (status, "hidden-1.0" in text), (closed, False))
    # What nginx and devpi could read as two paths.
    for path in ("//team/dev/+simple/hidden/", "/team/public/../dev/+simple/hidden/", "/team/public/%2e%2e/dev/hidden"):
        checks.expect(path, ask(path)[0], 403)
    for path in ("/+api", "/team/public/+api"):
        checks.expect(path, ask(path, {"Accept": JSON})[0], 200)
    checks.expect("search by bob", ask("/+search?query=hidden", BROWSER | basic("bob", PASSWORDS["bob"]))[0], 403)
    checks.expect("overview for bob", ask("/", BROWSER | basic("bob", PASSWORDS["bob"]))[0], 200)
    status, headers, _text = ask(file, alice)
    checks.expect("file for alice", (status, "public" in headers["cache-control"]), (200, False))
    checks.expect("wrong password", ask(file, basic("alice", "wrong"))[0], 401)


def look_at_upstream(checks: Checks) -> None:
    """Ask for a project of the upstream, and for its file."""
    page = json.loads(ask("/root/up/+simple/far/")[2])
    file = urllib.parse.urljoin("/root/up/+simple/far/", page["files"][0]["url"]).partition("#")[0]
    checks.expect("file of the upstream", ask(file)[::2], (200, "content"))


def lookups() -> int:
    """Return how often devpi was asked who may do what since it was started."""
    subprocess.run(["journalctl", "--sync"], check=True, timeout=60)
    journal = subprocess.run(
        ["journalctl", "--unit=devpi", "--output=cat"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return len(re.findall(r"GET /\+wheelhouse/auth(?!\S)", journal))


def look_at_lookups(checks: Checks, file: str) -> None:
    """Ask often for a file: a login is looked up once in a second."""
    login = basic("alice", new_token("alice", {}))
    before, begin = lookups(), time.monotonic()
    checks.expect("a file, often", {ask(file, login)[0] for _time in range(200)}, {200})
    most = 1 + math.ceil(time.monotonic() - begin)
    asked = lookups() - before
    checks.expect(f"{asked} lookups, at least 1 and at most {most}", 1 <= asked <= most, True)
    print(f"200 requests of a file with a login: {asked} requests at devpi")


def ask_on(checks: Checks, what: str, path: str, headers: dict[str, str], change: Callable[[], object]) -> None:
    """Ask 2,000 times for what may be read, while that changes: from the second after it, nobody reads it."""
    (row,) = (row for row in TABLES["changes"] if row["change"] == what)
    checks.expect(f"before {what}", ask(path, headers)[0], row["before"])
    got: list[tuple[float, int]] = []
    changed = math.inf

    def ask_often() -> None:
        connection = http.client.HTTPSConnection(DOMAIN, context=TLS, timeout=60)
        with contextlib.closing(connection):
            # Both before and long after it.
            while len(got) < 2000 or time.monotonic() < changed + 2:
                begin = time.monotonic()
                connection.request("GET", path, headers={"Accept": LIST, **headers})
                answer = connection.getresponse()
                answer.read()
                got.append((begin, answer.status))

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask_often) for _client in range(2)]
        time.sleep(0.5)
        change()
        changed = time.monotonic()
        for client in clients:
            client.result()
    late = [round(begin - changed, 3) for begin, status in got if begin > changed + 1 and status != row["after"]]
    checks.expect(f"{what}: answers from the second after it, of {len(got)}", late, [])
    checks.expect(f"{what}: after it", got[-1][1], row["after"])


def write_rules(change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change what is private, as the role writes it."""
    rules = json.loads(RULES.read_text())
    change(rules)
    new = RULES.with_suffix(".new")
    new.write_text(json.dumps(rules))
    shutil.copymode(RULES, new)
    os.chown(new, RULES.stat().st_uid, RULES.stat().st_gid)
    new.replace(RULES)


def look_at_changes(checks: Checks, alice: dict[str, str]) -> None:
    """Inherit something private, close an index, and take tokens, readers and users away, past nginx."""
    later, hidden = "/team/later/+simple/plain/", "/team/dev/+simple/hidden/"
    as_root("PUT", "/team/later", {"type": "stage", "bases": ["team/public"]})
    inherits = {**as_root("GET", "/team/later?no_projects="), "bases": ["team/public", "team/dev"]}
    ask_on(checks, "a base that is private", later, {}, lambda: as_root("PATCH", "/team/later", inherits))
    # What looks like its bases are others' words.
    as_root("PATCH", "/team/later", {**inherits, "custom_data": {"bases": []}})
    time.sleep(1)
    checks.expect("page of an index that hides its bases", ask("/team/later/+simple/hidden/")[0], 401)
    as_root("DELETE", "/team/later")

    known = set(as_root("GET", "/alice/+tokens")["tokens"])
    token = basic("alice", new_token("alice", {}))
    [name] = set(as_root("GET", "/alice/+tokens")["tokens"]) - known
    ask_on(checks, "a token that is gone", hidden, token, lambda: as_root("DELETE", f"/alice/+tokens/{name}"))

    as_root("PUT", "/carol", {"password": "password-of-carol"})
    write_rules(lambda rules: rules[0]["readers"].append("carol"))
    carol = basic("carol", "password-of-carol")
    ask_on(checks, "a user that is gone", hidden, carol, lambda: as_root("DELETE", "/carol"))
    ask_on(
        checks,
        "a reader that is gone",
        hidden,
        alice,
        lambda: write_rules(lambda rules: rules[0]["readers"].remove("alice")),
    )
    write_rules(lambda rules: rules[0]["readers"].append("alice"))
    closed = {"name": "team/public"}
    ask_on(
        checks,
        "an index that is closed",
        "/team/public/+simple/plain/",
        {},
        lambda: write_rules(lambda rules: rules.append(closed)),
    )
    write_rules(lambda rules: rules.remove(closed))


def look_at_tokens(checks: Checks) -> None:
    """Limit tokens: they hold on pages, lists, data and the search."""
    asked = {
        "private": ("/team/dev/+simple/hidden/", LIST),
        "public": ("/team/public/+simple/plain/", LIST),
        "list": ("/", BROWSER["Accept"]),
        "data": ("/team", JSON),
        "search": ("/+search?query=hidden", BROWSER["Accept"]),
    }
    for row in TABLES["tokens"]:
        token = basic("alice", new_token("alice", row["restrictions"]))
        for name, (path, kind) in asked.items():
            checks.expect(f"{path} with a token {row['token']}", ask(path, {**token, "Accept": kind})[0], row[name])


def look_at_mirrors(checks: Checks) -> None:
    """Show the login in the URL of a mirror to root alone."""
    as_root("PUT", "/root/login", {"type": "mirror", "mirror_url": "http://upstream:canary@127.0.0.1:9/simple/"})
    alice = basic("alice", PASSWORDS["alice"])
    root = basic("root", ROOT_PASSWORD.read_text().strip())
    for path in ("/root/login?no_projects=", "/root", "/"):
        for login in ({}, alice, basic("alice", new_token("alice", {"allowed": ["upload"]})), root):
            text = ask(path, {**login, "Accept": JSON})[2]
            checks.expect(f"login of a mirror in {path}", "canary" in text, login is root)
    as_root("DELETE", "/root/login")


def look_at_outage(checks: Checks, file: str, alice: dict[str, str]) -> None:
    """While devpi is down, those who read go on, and nobody else begins."""

    def flood() -> None:
        # As long as nginx takes them: they might push out what it knows of those that are there.
        for number in range(150):
            ask(f"/x/{number:04}{'b' * 7000}/+simple/foo/")

    time.sleep(1)
    ask("/team/public/+simple/plain/")
    flood()
    before = [ask(file, who)[0] for who in (alice, {}, basic("bob", PASSWORDS["bob"]))]
    subprocess.run(["systemctl", "stop", "devpi"], check=True)
    try:
        time.sleep(1.5)
        during = [ask(file, who)[0] for who in (alice, {}, basic("bob", PASSWORDS["bob"]))]
        # 150 strange paths later, what is public is still there, as it was 150 before.
        public = [ask("/team/public/+simple/plain/")[0]]
        flood()
        public.append(ask("/team/public/+simple/plain/")[0])
    finally:
        subprocess.run(["systemctl", "start", "devpi"], check=True)
        end = time.monotonic() + 60
        while ask("/+api")[0] != 200 and time.monotonic() < end:
            time.sleep(0.2)
    checks.expect(
        "a private file with devpi, and while it is down", (before, during), ([200, 401, 403], [200, 502, 502])
    )
    checks.expect("a public page while devpi is down", public, [200, 200])


def look_at_search(checks: Checks) -> None:
    """Search for a word of a description, which devpi-web's indexer reads on its own time. Root reads all."""
    root = BROWSER | basic("root", ROOT_PASSWORD.read_text().strip())
    found, end = "", time.monotonic() + 30
    while "/team/dev/hidden" not in found and time.monotonic() < end:
        found = ask("/+search?query=marmalade", root)[2]
        time.sleep(0.5)
    checks.expect("search for a word", "/team/dev/hidden" in found, True)
    checks.expect("search for no word", "/team/dev/hidden" in ask("/+search?query=lemons", root)[2], False)


def main() -> int:
    """Returns the exit status."""
    upload_all()
    checks = Checks()
    alice = basic("alice", PASSWORDS["alice"])
    token = basic("alice", new_token("alice", {}))
    # alice reads by the cookie of the page for a login, the others in the way of tools.
    bob = basic("bob", PASSWORDS["bob"])
    look_at_pages(checks, {"nobody": {}, "bob": bob, "alice": cookie_of("alice"), "token": token})
    look_at_logins(checks)
    look_at_upstream(checks)
    page = json.loads(ask("/team/dev/+simple/hidden/", alice)[2])
    file = urllib.parse.urljoin("/team/dev/+simple/hidden/", page["files"][0]["url"]).partition("#")[0]
    look_at_paths(checks, alice, file)
    look_at_lookups(checks, file)
    look_at_tokens(checks)
    look_at_mirrors(checks)
    look_at_changes(checks, alice)
    look_at_search(checks)
    look_at_outage(checks, file, alice)
    look_at_guesses(checks, int(sys.argv[1]))
    return checks.report()


if __name__ == "__main__":
    sys.exit(main())
