"""Attack devpi through nginx, and compare what came of it with attacks.json.

Run on the host with devpi's own Python: attacks.py URL SOCKET_OF_DEVPI TABLE DIRECTORY (of
devpi's data).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import html.parser
import http.client
import io
import json
import pwd
import re
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import networks
import own_host
from surface import USER, Owner, Server

#: What no answer may say: the head of the database, and of the host's own files.
LOOT = re.compile(rb"SQLite format 3|root:x:0:0|BEGIN [A-Z ]*PRIVATE KEY|/usr/sbin/nologin")
EVIL = "evil.test"
#: Projects of an upstream whose page, or the file on it, is a redirection to the host of devpi.
KINDS = ("page", "listed")
SCRIPT = "<script>alert('evil')</script><img src=x onerror=alert('evil')><a href='javascript:alert(1)'>evil</a>"


class Scripts(html.parser.HTMLParser):
    """Finds what a browser would run of a text that was uploaded."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count scripts in attributes."""
        for name, value in attrs:
            self.found += name.startswith("on") or (value or "").strip().lower().startswith("javascript:")

    def handle_data(self, data: str) -> None:
        """Count scripts in text."""
        self.found += self.get_starttag_text() is not None and self.lasttag == "script" and "evil" in data


class Attacks:
    """Each method is an attack. Its docstring is its name in the table, what it returns its result."""

    def __init__(self, nginx: Server, owner: Owner, directory: Path) -> None:
        self._nginx, self._owner, self._directory = nginx, owner, directory

    def _statuses(self, asked: Iterator[tuple[int, bytes]]) -> str:
        got = list(asked)
        if any(LOOT.search(body) for _status, body in got):
            return "loot"
        return ", ".join(f"{status}" for status in sorted({status for status, _body in got}))

    def _login(self, password: str) -> tuple[int, bytes]:
        body = json.dumps({"user": "root", "password": password}).encode()
        return self._nginx.ask("POST", "/+login", body, Content_Type="application/json", Accept="application/json")

    def default_passwords(self) -> str:
        """Log in as root with no password, and with those that people leave."""
        return self._statuses(map(self._login, ["", "root", "admin", "password", "devpi"]))

    def no_user(self) -> str:
        """Make a user without a login."""
        body = json.dumps({"password": "mallory"}).encode()
        return self._statuses(iter([self._nginx.ask("PUT", "/mallory", body, Content_Type="application/json")]))

    def _many(self, ask: Callable[[], int], times: int = 80) -> str:
        # Those who wait for their turn are not waited for: what counts is that others are turned away.
        def one(_number: int) -> int:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return ask()
            return 0

        with ThreadPoolExecutor(times) as pool:
            got = list(pool.map(one, range(times)))
        return "429 after a while" if 429 in got else f"{sorted(set(got))}"

    def _guess(self, method: str, path: str, body: str, source: str = "", **headers: str) -> int:
        connection = self._nginx.socket(source, networks.HOST) if source else self._nginx.socket()
        connection.settimeout(3)
        said = {
            "Host": self._nginx.host,
            "Content-Length": str(len(body)),
            "X-Forwarded-For": f"10.1.{uuid.uuid4().int % 250}.1",
        }
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**said, **headers}.items())]
        with connection:
            connection.sendall("\r\n".join([*lines, "", body]).encode())
            return int(connection.recv(12).split()[1])

    def guess_logins(self) -> str:
        """Guess passwords at /+login, 80 at once, with another X-Forwarded-For each time."""
        body = json.dumps({"user": "mallory", "password": "guess"})
        return self._many(lambda: self._guess("POST", "/+login", body, Accept="application/json"))

    def guess_elsewhere(self) -> str:
        """Guess passwords at /+api, 80 at once."""
        guess = base64.b64encode(b"mallory:guess").decode()
        return self._many(lambda: self._guess("GET", "/+api", "", Authorization=f"Basic {guess}"))

    def guess_uploads(self) -> str:
        """Upload with 80 wrong passwords at once, and with a right one 80 times at once, before and after that."""

        def rightly(_number: int) -> int:
            # Without a file: 400 is that devpi believes who sent it.
            return self._nginx.ask("POST", f"/{USER}/open/", b"", X_Devpi_Auth=self._owner.token)[0]

        def wrongly() -> int:
            return self._guess("POST", f"/{USER}/open/", "", Authorization=self._wrong())

        with ThreadPoolExecutor(80) as pool:
            before = sorted(set(pool.map(rightly, range(80))))
            guessed = self._many(wrongly)
            after = sorted(set(pool.map(rightly, range(80))))
        return f"{before}, {guessed}, {after}"

    def guess_reading(self) -> str:
        """Read a page with 80 wrong passwords at once."""
        return self._many(lambda: self._guess("GET", f"/{USER}/open/+simple/thing/", "", Authorization=self._wrong()))

    def guess_by_ipv6(self) -> str:
        """Log in and upload with 80 wrong passwords at once over IPv6, then from a neighbour and from another /64."""
        first, neighbour, stranger = networks.CLIENTS
        login = json.dumps({"user": "mallory", "password": "guess"})
        ways: list[Callable[[str], int]] = [
            lambda source: self._guess("POST", "/+login", login, source, Accept="application/json"),
            lambda source: self._guess("POST", f"/{USER}/open/", "", source, Authorization=self._wrong()),
        ]
        got = []
        with networks.own_addresses(networks.HOST, *networks.CLIENTS):
            for way in ways:
                turned_away = []
                for source, times in ((first, 80), (neighbour, 20), (stranger, 20)):
                    said = self._many(functools.partial(way, source), times)
                    turned_away.append("429" if "429" in said else "none")
                got.append("/".join(turned_away))
        return ", ".join(got)

    def _wrong(self) -> str:
        return "Basic " + base64.b64encode(f"mallory:{uuid.uuid4().hex}".encode()).decode()

    def spoofed_headers(self) -> str:
        """Have links made to another site, by X-Outside-Url, X-Forwarded-*, Forwarded and X-Real-IP."""
        headers = {
            "X_Outside_Url": f"https://{EVIL}",
            "X_Forwarded_Host": EVIL,
            "X_Forwarded_Proto": "http",
            "X_Forwarded_For": EVIL,
            "X_Forwarded_Port": "99",
            "X_Real_IP": EVIL,
            "Forwarded": f"host={EVIL};proto=http",
        }
        paths = ["/", "/+api", f"/{USER}/open", f"/{USER}/open/+simple/thing", f"/{USER}/open/+simple/thing/"]
        for accept in ("text/html", "application/json", "application/vnd.pypi.simple.v1+json"):
            for path in paths:
                if EVIL.encode() in self._nginx.ask("GET", path, b"", Accept=accept, **headers)[1]:
                    return f"{path} names it"
        return "not named"

    def spoofed_host(self) -> str:
        """Ask for another Host."""
        try:
            return str(self._nginx.ask("GET", "/", Host=EVIL)[0])
        except http.client.HTTPException:
            return "closed"

    def paths(self) -> str:
        """Read files of the server by paths that climb."""
        for climb in ("../", "..%2f", "%2e%2e/", "%252e%252e%252f", "..%5c"):
            for before in (f"/{USER}/open/+f/", f"/{USER}/open/thing/1.0/+doc/", "/+static/", "/+f/"):
                for target in (".sqlite", "etc/passwd", "etc/devpi-ca/ca.key"):
                    for times in (3, 6):
                        status, body = self._nginx.ask("GET", before + climb * times + target)
                        if LOOT.search(body):
                            return f"{before}{climb * times}{target}: {status}"
        return "nothing"

    def _strays(self) -> int:
        # The files of the index are where they belong, and so is what is unpacked of its documentation.
        found = subprocess.run(
            ["find", "/etc", "/opt", "/root", "/srv", "/tmp", "/usr", "/var", "-xdev", "-name", "*evilthing*"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        inside = (f"{self._directory}/+files/{USER}/", f"{self._directory}/{USER}/")
        return len([path for path in found if not path.startswith(inside)])

    def upload_names(self) -> str:
        """Upload files whose names climb."""
        accepted = 0
        names = ("../../../evilthing-1.0.tar.gz", "/etc/cron.d/evilthing-2.0.tar.gz", "..%2f..%2fevilthing-3.0.tar.gz")
        for number, name in enumerate(names, start=1):
            with contextlib.suppress(ValueError):
                fields = {"name": "evilthing", "version": f"{number}.0", "filetype": "sdist"}
                self._owner.upload("file_upload", name, name.encode(), **fields)
                accepted += 1
        return f"{accepted} of {len(names)} accepted, {self._strays()} outside"

    def documentation(self) -> str:
        """Upload documentation whose members climb, and look at it."""
        pages = io.BytesIO()
        with zipfile.ZipFile(pages, "w") as archive:
            for name in (
                "index.html",
                "../../../../../../tmp/evilthing.html",
                "/tmp/evilthing.html",
                "../../evilthing.html",
            ):
                archive.writestr(name, "evil")
            link = zipfile.ZipInfo("evilthing-link.html")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, f"{self._directory}/.sqlite")
        self._owner.upload("doc_upload", "thing.doc.zip", pages.getvalue(), name="thing", version="1.0")
        for name in ("index.html", "evilthing-link.html"):
            if LOOT.search(self._nginx.ask("GET", f"/{USER}/open/thing/1.0/+doc/{name}")[1]):
                return "loot"
        return f"{self._strays()} outside"

    def zip_bombs(self) -> str:
        """Upload documentation of a megabyte that unpacks to 600, and some with 60,000 files, and look at it."""
        refused = []
        for members, content in ((10, bytes(60 << 20)), (60_000, b"")):
            pages = io.BytesIO()
            with zipfile.ZipFile(pages, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for number in range(members):
                    archive.writestr(f"{number}.html", content)
            try:
                self._owner.upload("doc_upload", "thing.doc.zip", pages.getvalue(), name="thing", version="1.0")
            except ValueError as problem:
                refused += re.findall(r": (\d{3}) ", str(problem))
        self._nginx.ask("GET", f"/{USER}/open/thing/1.0/+doc/0.html")
        unpacked = [path for path in (self._directory / USER).rglob("*.html") if path.stem.isdecimal()]
        return f"{', '.join(refused) or 'accepted'}, {len(unpacked)} files unpacked"

    def script(self) -> str:
        """Upload a release whose description has scripts, as text, Markdown and reStructuredText, and look at it."""
        scripts = Scripts()
        for number, kind in enumerate(["text/plain", "text/markdown", "text/x-rst", "text/html", ""]):
            described = {"description": f"{SCRIPT}\n\n[evil](javascript:alert(1))\n", "description_content_type": kind}
            version = f"2.{number}"
            self._owner.upload(
                "file_upload",
                f"thing-{version}.tar.gz",
                kind.encode(),
                name="thing",
                version=version,
                filetype="sdist",
                summary=SCRIPT,
                home_page="javascript:alert(1)",
                author=SCRIPT,
                **described,
            )
            status, page = self._nginx.ask("GET", f"/{USER}/open/thing/{version}", Accept="text/html")
            if status != 200 or b"evil" not in page:
                return f"{status}, no description"
            scripts.feed(page.decode())
        connection = http.client.HTTPConnection(self._nginx.name)
        connection.sock = self._nginx.socket()
        connection.request("GET", f"/{USER}/open/thing/2.1", headers={"Host": self._nginx.host, "Accept": "text/html"})
        policy = connection.getresponse().headers["Content-Security-Policy"] or "none"
        return f"{scripts.found} javascript: links in the pages, which browsers run by {policy.split(';')[0]}"

    def large(self) -> str:
        """Send a larger body than allowed, large headers, and a long path."""
        login = {"X_Devpi_Auth": self._owner.token}
        body = self._nginx.ask("POST", f"/{USER}/open/", b"", Content_Length=str(1 << 40), **login)[0]
        headers = self._nginx.ask("GET", "/+api", X_Large="x" * 10_000)[0]
        path = self._nginx.ask("GET", "/" + "x" * 10_000)[0]
        return f"{body}, {headers}, {path}"

    def flood(self, times: int = 3000) -> str:
        """Ask with other headers each time, with large cookies, and for pages and files that do not exist."""
        page = f"/{USER}/open/+simple/thing/"

        def strange(number: int) -> tuple[str, dict[str, str]]:
            tail = f"{number:06}" * 900
            return [
                (page, {"User-Agent": tail, "Accept": f"text/html;q=0.{number}"}),
                (page, {"Accept": f"text/html, x/{tail}", "Accept-Encoding": f"gzip, x{number}"}),
                (page, {"Cookie": f"strange={tail}"}),
                (f"/{USER}/open/+simple/no{number}/", {}),
                (f"/{tail[:200]}/{number}/+simple/none/", {}),
                (f"/{USER}/open/+f/{number:03}/0123456789abc/{tail[:200]}.whl", {}),
            ][number % 6 if number % 5 == 0 else number % 2]

        def ask(numbers: range) -> None:
            connection = http.client.HTTPConnection(self._nginx.name)
            with contextlib.closing(connection):
                for number in numbers:
                    path, headers = strange(number)
                    connection.sock = connection.sock or self._nginx.socket()
                    connection.request(
                        "GET", path, headers={"Host": self._nginx.host, "Accept": "text/html", **headers}
                    )
                    connection.getresponse().read()

        before = self._memory_and_disk()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, [range(client, times, 4) for client in range(4)]))
        memory, disk = (now - then for now, then in zip(self._memory_and_disk(), before, strict=True))
        print(f"{times} strange requests: nginx has {memory} kB more, and its caches {disk} kB")
        return f"{'bounded' if memory < 16_384 else memory} in memory, {'bounded' if disk < 1_024 else disk} on disk"

    def _memory_and_disk(self) -> tuple[int, int]:
        """Return the kB of memory that nginx's processes have for themselves, and those of its caches."""
        time.sleep(2)
        pids = subprocess.run(["pgrep", "-x", "nginx"], check=True, capture_output=True, text=True).stdout.split()
        own = [re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
        caches = [str(path) for path in Path("/var/cache").glob("nginx-devpi-*")]
        sizes = subprocess.run(["du", "-sk", *caches], check=True, capture_output=True, text=True).stdout.splitlines()
        return sum(int(one[1]) for one in own if one), sum(int(line.split()[0]) for line in sizes)

    def unknown(self) -> str:
        """Ask for 100 projects and for pages of 100 indexes that do not exist."""

        def kept() -> set[Path]:
            folders = Path("/var/cache").glob("nginx-devpi-*")
            return {path for folder in folders for path in folder.rglob("*") if path.is_file()}

        before = kept()
        for number in range(100):
            for path in (f"/{USER}/open/+simple/unknown{number}/", f"/x{number}/y/+simple/none/"):
                self._nginx.ask("GET", path, Accept="application/vnd.pypi.simple.v1+json")
        time.sleep(1)
        # Meanwhile nginx may forget some of those from before.
        return f"{len(kept() - before)} files are kept"

    def quotes(self) -> str:
        """Ask with a path and a User-Agent of 7 kB of quotes each."""
        log = Path("/var/log/nginx/devpi.access.log")
        time.sleep(1.5)
        began = log.stat().st_size
        self._nginx.ask("GET", "/+api?" + '"' * 7000, User_Agent='"' * 7000)
        # nginx writes what it gathered after a second.
        longest, end = 0, time.monotonic() + 60
        while not longest and time.monotonic() < end:
            time.sleep(0.5)
            with log.open("rb") as file:
                file.seek(began)
                lines = file.read().splitlines()
            longest = max((len(line) for line in lines if b'\\"\\"\\"' in line), default=0)
        return "a line of at most 6 kB" if 1000 < longest <= 6144 else f"a line of {longest} bytes"

    def slow(self) -> str:
        """Begin 210 requests with bodies, some to read and some to log in, and never end them."""
        heads = [
            f"GET /{USER}/+api HTTP/1.1\r\nHost: {self._nginx.host}\r\nContent-Length: 60000\r\n\r\nx",
            f"POST /+login HTTP/1.1\r\nHost: {self._nginx.host}\r\nContent-Length: 60000\r\n\r\nx",
        ]
        with contextlib.ExitStack() as stack:
            for head in heads * 105:
                stack.enter_context(self._nginx.socket()).sendall(head.encode())
            time.sleep(1)
            begin = time.monotonic()
            # Not a page that nginx has kept.
            try:
                status = self._nginx.ask("GET", "/+api")[0]
            except TimeoutError:
                return "no answer"
            return f"{status} within 5 s" if time.monotonic() - begin < 5 else f"{status}, slow"

    def own_host(self) -> str:
        """Let an upstream send devpi on to its own host, for pages and for files, by each of its addresses."""
        mirror = {"type": "mirror", "mirror_url": "http://127.0.0.1:1021/simple/", "mirror_no_project_list": True}
        self._owner.ask("PUT", f"/{USER}/evil", mirror)
        with own_host.hostile_upstream() as service:
            numbers = range(len(own_host.Hostile.targets))
            stolen = [number for number in numbers if self._fetched_there(number)]
            asked = service.asked
            # Nobody asks for the same project again within half a minute.
            with own_host.without_rules():
                self._owner.ask("PUT", f"/{USER}/evil2", mirror)
                self._fetched_there(0, "evil2")
            without = "some" if service.asked > asked else "none"
        return f"{asked} requests and {len(stolen)} answers came through, and {without} without the rules"

    def link(self) -> str:
        """Connect as devpi to what only its link has: addresses of clouds, and link-local ones, of IPv4 and IPv6."""
        devpi = pwd.getpwnam("devpi").pw_uid
        with networks.machine_on_the_link():
            reached = networks.reached(devpi)
            with own_host.without_rules():
                without = networks.reached(devpi)
        return f"{len(reached)} of {len(networks.NEIGHBOURS)} answer, and {len(without)} without the rules"

    def _fetched_there(self, number: int, index: str = "evil") -> bool:
        """Whether devpi hands out what only its host should read."""
        place = f"/{USER}/{index}"
        pages = [self._nginx.ask("GET", f"{place}/+simple/{kind}-{number}/", Accept="text/html")[1] for kind in KINDS]
        name = f"listed_{number}-1.0.tar.gz"
        files = re.findall(rb'href="[^"]*(/\+[ef]/[^"#]*%s)' % name.encode(), pages[1])
        bodies = [self._nginx.ask("GET", f"{place}{file.decode()}")[1] for file in files]
        return any(own_host.SECRET in body for body in [*pages, *bodies])


def main(url: str, path: str, table: str, directory: str) -> int:
    """Print the table. Returns the exit status."""
    known = {row["attack"]: row["result"] for row in json.loads(Path(table).read_text())}
    wrong = 0
    with Owner(Server(f"unix://{path}")) as owner:
        attacks = Attacks(Server(url), owner, Path(directory))
        for name, attack in vars(Attacks).items():
            if name.startswith("_"):
                continue
            begin = time.monotonic()
            result = attack(attacks)
            expected = known.pop(attack.__doc__, None)
            wrong += result != expected
            verdict = "as it should be" if result == expected else f"EXPECTED {expected}"
            print(f"{attack.__doc__}: {result} ({verdict}, {time.monotonic() - begin:.1f} s)", flush=True)
    print("\n".join(f"NOT TRIED: {name}" for name in known))
    return 1 if wrong or known else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
