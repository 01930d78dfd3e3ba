"""Open what people uploaded in a real browser, click on it, and see whether their scripts run.

Run on the host with devpi's own Python: browser.py URL PORT_OF_DEVPI. Needs Debian's chromium and chromium-driver.
The same pages are opened without nginx, and there a script has to run: a browser that runs none proves nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

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


class Browser:
    """Chromium without a screen, by the WebDriver protocol."""

    def __init__(self, port: int, host: str, folder: str) -> None:
        self._port = port
        self._path = ""
        arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--ignore-certificate-errors",
            f"--user-data-dir={folder}",
            f"--host-resolver-rules=MAP {host} 127.0.0.1",
        ]
        options = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        self._path = f"/session/{self._ask('POST', '', {'capabilities': {'alwaysMatch': options}})['sessionId']}"

    def _ask(self, method: str, path: str, data: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        body = None if data is None else json.dumps(data)
        with contextlib.closing(connection):
            connection.request(method, f"{self._path or '/session'}{path}", body, {"Content-Type": "application/json"})
            answer = json.load(connection.getresponse())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise ValueError(f"{path}: {answer['error']}: {answer['message']}")
        return answer

    def open(self, url: str) -> None:
        """Load a page. Raises ValueError."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run a script in the page, as its driver and not as the page. Returns what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def until(self, script: str, seconds: float) -> bool:
        """Whether a script returns something true within these seconds."""
        end = time.monotonic() + seconds
        while not (result := bool(self.run(script))) and time.monotonic() < end:
            time.sleep(0.1)
        return result

    def close(self) -> None:
        """End the browser."""
        self._ask("DELETE", "")


@contextlib.contextmanager
def browser(host: str) -> Iterator[Browser]:
    """A browser that finds the host on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        port = 9515
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        try:
            for _turn in range(100):
                with contextlib.suppress(OSError):
                    opened = Browser(port, host, folder)
                    break
                time.sleep(0.1)
            else:
                raise TimeoutError("chromedriver does not answer")
            yield opened
            opened.close()
        finally:
            driver.terminate()
            driver.wait()


def ran(page: Browser, url: str) -> tuple[int, bool]:
    """Open a page and click. Returns how many links there were to click on, and whether a script of theirs ran."""
    page.open(url)
    if page.until(RAN, 0.3):
        return 0, True
    links = int(page.run(CLICK))
    return links, page.until(RAN, 0.3)


def main(url: str, port: str) -> int:
    """Print what ran. Returns the exit status."""
    nginx = Server(url)
    wrong = 0
    clicked = ran_by_devpi = 0
    with Owner(Server(f"http://127.0.0.1:{port}")) as owner, browser(nginx.name) as page:
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
            ran_by_devpi += ran(page, f"http://127.0.0.1:{port}{path}")[1]
            links, evil = ran(page, f"{url}{path}")
            clicked += links
            wrong += evil
            print(f"{kind}: {links} javascript: links were clicked, {'A SCRIPT RAN' if evil else 'no script ran'}")
    print(f"Without nginx, scripts ran on {ran_by_devpi} of these pages.")
    return 1 if wrong or not clicked or not ran_by_devpi else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
