# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`data.py fill` puts data on the server and keeps what there is; `data.py look` compares with that, and installs."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from index import HERE, SITE, TEAM, ask, install, log_in, upload
from make_wheel import make_wheel

INDEXES = ("root/up", "team/base", "team/dev", "alice/dev")
JSON_TYPE = "application/vnd.pypi.simple.v1+json"
PROJECTS, VERSIONS = 8, 3
BEFORE = HERE / "before.json"
DOCUMENTATION = "/team/base/own-1/1.0/+doc/index.html"


def fill() -> None:
    """Upload releases and documentation, and let the mirror cache a file."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PROJECTS):
            for version in range(VERSIONS):
                wheel = make_wheel(f"own_{number}", f"1.{version}", Path(folder))
                status = upload("team/base" if number % 2 else "team/dev", f"own_{number}", f"1.{version}", wheel)
                if status != 200:
                    raise SystemExit(f"The upload of {wheel.name} got {status}.")
        documentation = Path(folder) / "own_1-1.0.doc.zip"
        with zipfile.ZipFile(documentation, "w") as archive:
            archive.writestr("index.html", "<p>how to own</p>")
        if (status := upload("team/base", "own_1", "1.0", documentation, action="doc_upload")) != 200:
            raise SystemExit(f"The upload of the documentation got {status}.")
    if (problem := documentation_is_lost()) is not None:
        raise SystemExit(problem)
    login = log_in(*TEAM)[1]
    BEFORE.write_text(json.dumps({"login": login, "files": files()}))
    BEFORE.chmod(0o600)


def files() -> dict[str, str]:
    """Return the SHA-256 of each file that clients find, by its URL."""
    found = {}
    for index in INDEXES:
        _status, _headers, body = ask(f"/{index}?", headers={"Accept": "application/json"}, login=TEAM)
        for project in json.loads(body)["result"]["projects"]:
            page = f"/{index}/+simple/{project}/"
            status, _headers, body = ask(page, headers={"Accept": JSON_TYPE})
            # Of the upstream, one project is cached, and the other one has to stay unknown to the cache.
            if project in ("other", "written"):
                continue
            if status != 200:
                raise SystemExit(f"{page} answers {status}.")
            for file in json.loads(body)["files"]:
                path = urlsplit(urljoin(f"{SITE}{page}", file["url"])).path
                status, _headers, content = ask(path, headers={"Accept": "*/*"})
                if status != 200:
                    raise SystemExit(f"{path} answers {status}.")
                found[path] = hashlib.sha256(content).hexdigest()
    return found


def documentation_is_lost() -> str | None:
    """Return what is wrong with the documentation."""
    status, _headers, body = ask(DOCUMENTATION, headers={"Accept": "text/html"})
    return None if status == 200 and b"how to own" in body else f"the documentation: {status}"


def look() -> None:
    """Compare with what was kept, log in as before, and install."""
    before = json.loads(BEFORE.read_text())
    problems = []
    now = files()
    if now != before["files"] or len(now) < PROJECTS * VERSIONS:
        problems.append(f"files: {len(now)} now, {len(before['files'])} before")
    for user, password in (TEAM, ("alice", "the password of alice")):
        if log_in(user, password)[0] != 200 or log_in(user, "wrong")[0] != 401:
            problems.append(f"the password of {user}")
    _status, _headers, body = ask("/+api", headers={"X-Devpi-Auth": before["login"]})
    if json.loads(body)["result"]["authstatus"][:2] != ["ok", "team"]:
        problems.append(f"a login from before: {body.decode()}")
    if (problem := documentation_is_lost()) is not None:
        problems.append(problem)
    for tool in ("pip", "uv"):
        for requirement in ("own-1==1.2", "own-2==1.1"):
            said = install(tool, "team/dev", requirement)
            if said:
                problems.append(f"{tool} {requirement}: {said}")
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"{len(now)} files, 2 passwords, a login and the documentation are as before; pip and uv install.")


if __name__ == "__main__":
    {"fill": fill, "look": look}[sys.argv[1]]()
