"""Open what people uploaded in a real browser, click on it, and see whether their scripts run.

Run on the host with devpi's own Python: browser.py URL SOCKET_OF_DEVPI. Needs Debian's chromium and chromium-driver.
The same pages are opened without nginx, and there a script has to run: a browser that runs none proves nothing.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import socketserver
import sys
import threading
import urllib.parse
from collections.abc import Iterator

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
    print(f"Without nginx, scripts ran on {ran_by_devpi} of these pages.")
    return 1 if wrong or not clicked or not ran_by_devpi else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
