"""Open what people uploaded in a real browser, click on it, and see whether their scripts run.

Run on the host with devpi's own Python: browser.py URL PORT_OF_DEVPI. Needs Debian's chromium and chromium-driver.
The same pages are opened without nginx, and there a script has to run: a browser that runs none proves nothing.
"""

from __future__ import annotations

import sys
import urllib.parse

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
