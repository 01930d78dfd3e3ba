"""Open what people uploaded in a real browser, click on it, and see whether their scripts run.

Run on the host with devpi's own Python: browser.py URL SOCKET_OF_DEVPI. Needs Debian's chromium and chromium-driver.
The same pages are opened without nginx, and there a script has to run: a browser that runs none proves nothing.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import socket
import socketserver
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import upstream
from chromium import Browser, browser
from surface import USER, Owner, Server

#: What a script does where it runs.
EVIL = "document.documentElement.dataset.evil=1"
UPLOADED = (
    f'<script>{EVIL}</script><img src=x onerror="{EVIL}"><svg onload="{EVIL}"></svg><a href="javascript:{EVIL}">e</a>'
)
DESCRIPTIONS = {
    "text/plain": UPLOADED,
    "text/markdown": f"{UPLOADED}\n\n[evil](javascript:{EVIL})\n\n<javascript:{EVIL}>\n",
    "text/x-rst": f"{UPLOADED}\n\n`evil <javascript:{EVIL}>`_\n\n.. image:: x\n   :target: javascript:{EVIL}\n\n"
    f".. raw:: html\n\n   {UPLOADED}\n",
    "text/html": UPLOADED,
}
#: Links whose click navigates elsewhere are not followed: what is asked is whether the page itself runs something.
CLICK = """
const links = [...document.querySelectorAll('a[href]')].filter((link) => link.protocol === 'javascript:');
for (const link of links) { link.removeAttribute('target'); link.click(); }
return links.length;
"""
#: Where devpi may reach an upstream of its own host that root runs, whatever the inventory says.
UPSTREAM = 1022
#: What an upstream hands out as a release file, by the type that it gives. A script is loaded by a page.
DOCUMENTS = {
    "text/html": f"<!DOCTYPE html><script>{EVIL}</script>",
    "image/svg+xml": f'<svg xmlns="http://www.w3.org/2000/svg"><script>{EVIL}</script></svg>',
    "application/javascript": EVIL,
}
LOADS = """
const script = document.createElement('script');
script.src = '%s';
document.head.append(script);
"""
RAN = "return Boolean(document.documentElement.dataset.evil)"


class Relayed(socketserver.BaseRequestHandler):
    """A connection of the browser, which speaks no unix sockets, to that of devpi."""

    def __init__(self, path: str, *arguments: object) -> None:
        self._path = path
        super().__init__(*arguments)  # type: ignore[arg-type]  # Those that socketserver has for it.

    def handle(self) -> None:
        """Pass on what both sides say until one of them is done."""
        with socket.socket(socket.AF_UNIX) as devpi:
            devpi.connect(self._path)
            back = threading.Thread(target=pass_on, args=(devpi, self.request))
            back.start()
            pass_on(self.request, devpi)
            back.join()


def pass_on(said_by: socket.socket, to: socket.socket) -> None:
    """Pass on what one side says, and its end."""
    with contextlib.suppress(OSError):
        while data := said_by.recv(65536):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(path: str) -> Iterator[str]:
    """Give a URL at which the devpi of a socket answers."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), functools.partial(Relayed, path)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def ran(page: Browser, url: str) -> tuple[int, bool]:
    """Open a page and click. Returns how many links there were to click on, and whether a script of theirs ran."""
    page.open(url)
    if page.until(RAN, 0.3):
        return 0, True
    links = int(page.run(CLICK))
    return links, page.until(RAN, 0.3)


@contextlib.contextmanager
def hostile_upstream() -> Iterator[upstream.Upstream]:
    """Let an upstream answer that says of its files what it wants."""
    hostile = upstream.Upstream(upstream.Behaviour())
    with upstream.Server(hostile, port=UPSTREAM) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hostile
        server.shutdown()


def is_document(page: Browser, at: str, file: str, kind: str) -> bool:
    """Whether the browser shows a file, which it never had before, as a page of the site, or runs it."""
    if kind == "application/javascript":
        page.open(f"{at}/{USER}")
        page.run(LOADS % file)
    else:
        page.open("about:blank")
        # A download ends the navigation, which some versions call a failure.
        with contextlib.suppress(ValueError):
            page.open(f"{at}{file}")
        if page.run("return location.href") == f"{at}{file}":
            return True
    return page.until(RAN, 1)


def documents(page: Browser, nginx: Server, owner: Owner, places: tuple[str, str]) -> list[list[str]]:
    """Open files of an upstream, with a hash (+f) and without. Returns which are documents at each of the places."""
    shown: list[list[str]] = [[], []]
    with hostile_upstream() as hostile:
        mirror = {"type": "mirror", "mirror_url": f"{hostile.url}/simple/", "mirror_no_project_list": True}
        owner.ask("PUT", f"/{USER}/hostile", mirror)
        for number, (kind, hashes, place) in enumerate(itertools.product(DOCUMENTS, (True, False), (0, 1))):
            name = f"document{number}"
            # Of the same bytes, devpi has the file already.
            projects = {name: {f"{name}-1.0.tar.gz": DOCUMENTS[kind] + " " * number}}
            hostile.behaviour = upstream.Behaviour(projects=projects, hashes=hashes, file_type=kind)
            _status, listed = nginx.ask("GET", f"/{USER}/hostile/+simple/{name}/", Accept="text/html")
            found = re.search(r"\+[ef]/[^\"#<>]+", listed.decode())
            if found is None:
                raise SystemExit(f"{name} has no file: {listed!r}")
            if is_document(page, places[place], f"/{USER}/hostile/{found[0]}", kind):
                shown[place].append(f"{kind} below {found[0][:2]}")
    return shown


def main(url: str, path_of_devpi: str) -> int:
    """Print what ran. Returns the exit status."""
    nginx = Server(url)
    wrong = 0
    clicked = ran_by_devpi = 0
    owner_of_index, devpi_itself = Owner(Server(f"unix://{path_of_devpi}")), relay(path_of_devpi)
    with owner_of_index as owner, devpi_itself as devpi, browser(nginx.name) as page:
        plain = f"data:text/html,{urllib.parse.quote(UPLOADED)}"
        if not ran(page, plain)[1]:
            wrong += 1
            print("A page with nothing but scripts: none ran. THE BROWSER SEES NONE")
        for number, (kind, description) in enumerate(DESCRIPTIONS.items()):
            release = {"name": "thing", "version": f"3.{number}", "summary": UPLOADED, "author": UPLOADED}
            release |= {"description": description, "description_content_type": kind, "filetype": "sdist"}
            release |= {"home_page": f"javascript:{EVIL}", "download_url": f"javascript:{EVIL}"}
            owner.upload("file_upload", f"thing-3.{number}.tar.gz", kind.encode(), **release)
            path = f"/{USER}/open/thing/3.{number}"
            ran_by_devpi += ran(page, f"{devpi}{path}")[1]
            links, evil = ran(page, f"{url}{path}")
            clicked += links
            wrong += evil
            print(f"{kind}: {links} javascript: links were clicked, {'A SCRIPT RAN' if evil else 'no script ran'}")
        by_nginx, by_devpi = documents(page, nginx, owner, (url, devpi))
    print(f"Without nginx, scripts ran on {ran_by_devpi} of these pages.")
    print(f"Files of an upstream that are documents: {by_nginx or 'none'}. Without nginx: {by_devpi}")
    return 1 if wrong or not clicked or not ran_by_devpi or by_nginx or len(by_devpi) < len(DOCUMENTS) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
