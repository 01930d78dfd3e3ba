# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real clients get of a private, a public and an inherited index, by the way in which they log in.

Run on the server: matrix.py TABLE. Fails where the table, which docs/security.md shows, is otherwise.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chromium import Browser, browser
from make_wheel import make_wheel
from reading import CA, DOMAIN, PASSWORDS, UPLOADS, new_token, upload_all

UV = next(Path("/opt/devpi/uv").glob("*/bin/uv"))
INDEXES = {"private": "team/dev", "public": "team/public", "inherited": "team/inherited"}
LOGINS = ["none", "URL", "netrc", "environment", "token"]
CLIENTS = ["uv", "twine", "pip"]
#: A browser reads neither a netrc file nor an environment. It is given a password, or a token for one, in a form.
LOGINS_OF_CHROMIUM = ["none", "URL", "form", "token"]
ON_LOGIN_PAGE = "location.pathname == '/+login'"
#: The path of the page and its text, when it is there as a whole.
PAGE = "return document.readyState == 'complete' && [location.pathname, document.body.innerText]"


def command(client: str, login: str, index: str, secret: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return what a client is started with: its arguments, and its environment."""
    project = UPLOADS[index]
    with_login = f"https://alice:{secret}@{DOMAIN}" if login in ("URL", "token") else f"https://{DOMAIN}"
    by_environment = login == "environment"
    if client == "pip":
        url = f"{with_login}/{index}/+simple/"
        started = [
            "python3",
            "-m",
            "pip",
            "download",
            "-vv",
            "--no-input",
            "--no-cache-dir",
            "--no-deps",
            "--retries=0",
        ]
        if by_environment:
            return [*started, project], {"PIP_INDEX_URL": url.replace("//", f"//alice:{secret}@")}
        return [*started, f"--index-url={url}", project], {}
    if client == "uv":
        started = [
            str(UV),
            "pip",
            "install",
            "--no-cache",
            "--no-config",
            f"--target={folder}/by-uv",
            "--no-deps",
            project,
        ]
        logged_in = {"UV_INDEX_OURS_USERNAME": "alice", "UV_INDEX_OURS_PASSWORD": secret} if by_environment else {}
        return started, {"UV_DEFAULT_INDEX": f"ours={with_login}/{index}/+simple/", **logged_in}
    wheel = make_wheel(f"by_{login}", "1.0", folder)
    started = ["twine", "upload", "--non-interactive", "--disable-progress-bar"]
    # twine takes a token as any password.
    logged_in = {"TWINE_USERNAME": "alice", "TWINE_PASSWORD": secret} if login in ("environment", "token") else {}
    site = with_login if login == "URL" else f"https://{DOMAIN}"
    return [*started, f"--repository-url={site}/{index}/", str(wheel)], logged_in


def result(client: str, login: str, index: str, secret: str) -> str:
    """Return what came of it: yes, or the status that the client was told."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if login == "netrc":
            (folder / ".netrc").touch(mode=0o600)
            (folder / ".netrc").write_text(f"machine {DOMAIN} login alice password {secret}\n")
        arguments, variables = command(client, login, index, secret, folder)
        trust = dict.fromkeys(["PIP_CERT", "SSL_CERT_FILE", "TWINE_CERT", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"], CA)
        done = subprocess.run(
            arguments,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": name, **trust, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        output = done.stdout + done.stderr
        status = re.search(r"\b(401|403)\b", output)
        if status:
            return status[1]
        # Without a login, twine does not even ask.
        return "yes" if done.returncode == 0 else "no login" if client == "twine" and "Credential" in output else output


def opened(page: Browser, login: str, index: str, secret: str) -> str:
    """Return what came of opening a project in chromium: yes, or where it ended."""
    site = f"https://alice:{secret}@{DOMAIN}" if login == "URL" else f"https://{DOMAIN}"
    page.open(f"{site}/{index}/{UPLOADS[index]}")
    if page.run(f"return {ON_LOGIN_PAGE}"):
        if login in ("none", "URL"):
            return "login page"
        typed = f"form.username.value = 'alice'; form.password.value = {json.dumps(secret)}"
        page.run(f"const form = document.forms.login; {typed}; form.submit.click()")
        page.until(f"return !({ON_LOGIN_PAGE}) || document.body.innerText.includes('Invalid credentials')", 20)
        page.until(PAGE, 20)
        if page.run(f"return {ON_LOGIN_PAGE}"):
            return "refused"
    path, text = page.run(PAGE)
    return "yes" if path == f"/{index}/{UPLOADS[index]}" and UPLOADS[index] in text else f"{path}: {text}"


def rows_of_chromium(secrets: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yields a row for each login, all of one browser that forgets the one before."""
    with browser(DOMAIN) as page:
        for login in LOGINS_OF_CHROMIUM:
            row = {kind: opened(page, login, index, secrets[login]) for kind, index in INDEXES.items()}
            page.forget()
            yield {"client": "chromium", "login": login} | row


def main() -> int:
    """Returns the exit status."""
    table = json.loads(Path(sys.argv[1]).read_text() or "[]")
    upload_all()
    secrets = dict.fromkeys([*LOGINS, "form"], PASSWORDS["alice"]) | {"token": new_token("alice", {})}
    rows = [
        *rows_of_chromium(secrets),
        *(
            {"client": client, "login": login}
            | {kind: result(client, login, index, secrets[login]) for kind, index in INDEXES.items()}
            for client, login in itertools.product(CLIENTS, LOGINS)
        ),
    ]
    print(json.dumps(rows, indent=1))
    return 0 if rows == table else 1


if __name__ == "__main__":
    sys.exit(main())
