# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user could pick instead of this collection, and how each is run, all of them on loopback of one host.

Those that come from the package index are installed from candidates/NAME.txt, a lock with hashes, each into a virtual
environment of its own; each runs as its documentation says, in a unit of systemd of its own, which tells what it costs.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loads import fetch

HERE = Path("/srv/bench")
UPSTREAM = "http://127.0.0.1:8100"
STATE = HERE / "state"
#: The index of devpi that is warm, and those that are cold until a turn uses them: COLD % number. Each of these has a
#: user of its own, because devpi copies a user with all its indexes for each file that it learns of.
WARM, COLD, PREFETCHED = "root/bench", "cold%d/mirror", "prefetched%d/mirror"
PYPICLOUD = f"""\
[app:main]
use = egg:pypicloud
pypi.default_read = everyone
pypi.cache_update = everyone
pypi.fallback = cache
pypi.fallback_base_url = {UPSTREAM}
pypi.always_show_upstream = true
pypi.storage = file
storage.dir = {STATE}/pypicloud/packages
db.url = sqlite:///{STATE}/pypicloud/db.sqlite
auth.admins =
session.encrypt_key = 0123456789012345678901234567890123456789012=
session.validate_key = 0123456789012345678901234567890123456789012=
session.secure = false
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = 8204
"""
#: What pypicloud calls is gone since Python 3.11; its successor takes its place, so that there are figures at all.
PSERVE = (
    "import inspect, sys; inspect.getargspec = inspect.getfullargspec; "
    "from pyramid.scripts.pserve import main; sys.exit(main(['pserve', sys.argv[1]]))"
)


@dataclass(frozen=True)
class Candidate:
    """One of them. ``simple`` is the URL of its index, where {index} is an index of devpi.

    ``units`` are those whose processor time counts. ``command`` starts it, below the folder of its virtual environment;
    without one it runs already. ``slow`` needs longer turns. ``holds`` tells what it is: "cache", or "folder" for one
    that has to be given the files, or "nothing" for one that asks the upstream each time for the files.
    ``note`` is what a reader of its figures has to know.
    """

    name: str
    simple: str
    units: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    slow: bool = True
    holds: str = "cache"
    note: str = ""

    @property
    def unit(self) -> str:
        """The unit of one that has its own."""
        return self.units[0]

    def page(self, project: str, index: str = WARM) -> str:
        """Return the URL of a project's page."""
        return f"{self.simple.format(index=index)}/{project}/"

    @property
    def is_devpi(self) -> bool:
        """Whether devpi is behind it."""
        return "devpi" in self.units

    @property
    def package(self) -> str:
        """The package that it is on the index, "" for none."""
        return "" if not self.command or self.command[0].startswith("/") else self.unit.removeprefix("bench-")

    def start(self) -> None:
        """Start it with nothing in its cache, and wait until it answers. Raises RuntimeError where it does not."""
        subprocess.run(["systemctl", "stop", self.unit], capture_output=True, check=False)  # It may not run yet.
        state = STATE / self.unit.removeprefix("bench-")
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        if self.package == "pypicloud":
            (state / "config.ini").write_text(PYPICLOUD)
        command = [str(HERE / "venvs" / self.package / "bin" / self.command[0]), *self.command[1:]]
        environment = [f"--setenv={name}={value}" for name, value in self.environment.items()]
        subprocess.run(
            ["systemd-run", "--quiet", "--collect", f"--unit={self.unit}", *environment, f"--working-directory={state}"]
            + (list(self.command) if not self.package else command),
            check=True,
        )
        wait_for(self.page("p300"), self.unit)


def wait_for(url: str, unit: str, seconds: float = 30) -> None:
    """Wait until a page is there. Raises RuntimeError with what the unit said where it never does."""
    end = time.monotonic() + seconds
    while True:
        try:
            fetch(url)
        except OSError as problem:
            if time.monotonic() > end:
                said = subprocess.run(
                    ["journalctl", "--no-pager", "-qn5", "-u", unit], stdout=subprocess.PIPE, check=True
                )
                raise RuntimeError(f"{unit}: {problem}\n{said.stdout.decode()}") from None
            time.sleep(0.2)
        else:
            return


def own(name: str, port: int, path: str, *command: str, **more: Any) -> Candidate:
    """Return a candidate with a unit of its own."""
    unit = f"bench-{name.replace(' ', '-')}"
    return Candidate(name, f"http://127.0.0.1:{port}{path}", (unit,), command, **more)


OURS = Candidate("ours", "http://bench.test:8081/{index}/+simple", ("nginx", "devpi"), slow=False)
TLS = Candidate(
    "ours, with TLS",
    "https://bench.test/{index}/+simple",
    ("nginx", "devpi"),
    slow=False,
    note="As clients reach it. The others speak HTTP here, and so does ours where they are compared.",
)
GENERATED = Candidate(
    "vhost of devpi-gen-config",
    "http://bench.test:8082/{index}/+simple",
    ("nginx", "devpi"),
    note="It keeps a page for 30 minutes, whatever is uploaded meanwhile, for the kind of client that asked when devpi "
    "had to ask the upstream. An install after a cold one finds such pages. All others are made by devpi each time, "
    "because devpi forbids to keep them: so are those of the tables of pages.",
)
DEVPI = Candidate(
    "devpi alone",
    "http://127.0.0.1:3141/{index}/+simple",
    ("devpi",),
    note="It is the devpi of ours, here and behind the generated vhost. Without the plugin of the role, whose queue "
    "lets no thread sleep, a cold install with uv takes twice as long.",
)
LIMIT = Candidate(
    "the limit",
    "http://bench.test:8081/+limit",
    ("nginx",),
    slow=False,
    holds="folder",
    note="The bytes of ours as static, precompressed files, from the server block and the nginx of ours.",
)
DIRECT = Candidate("the upstream itself", f"{UPSTREAM}/simple", ("bench-upstream",), slow=False, holds="folder")
CANDIDATES = [
    OURS,
    TLS,
    GENERATED,
    DEVPI,
    own(
        "proxpi", 8201, "/index", "gunicorn", "--preload", "--threads=2", "--bind=127.0.0.1:8201", "proxpi.server:app",
        environment={"PROXPI_INDEX_URL": f"{UPSTREAM}/simple/", "PROXPI_CACHE_DIR": f"{STATE}/proxpi/cache"},
    ),
    own(
        "pypiserver", 8202, "/simple", "pypi-server", "run", "--port=8202", "--interface=127.0.0.1",
        "--disable-fallback", "--backend=cached-dir", "--server=gunicorn", f"{HERE}/upstream/files",
        environment={"GUNICORN_CMD_ARGS": "--workers=2 --threads=4"},
        holds="folder",
        note="No caching mirror: it was given the files.",
    ),
    own(
        "simple-repository-server", 8203, "/simple", "simple-repository-server", "--host=127.0.0.1", "--port=8203",
        "--stream-http-resources", f"{UPSTREAM}/simple/",
        holds="nothing",
        note="It keeps no files: each download asks the upstream.",
    ),
    own(
        "pypicloud", 8204, "/simple", "python", "-c", PSERVE, "config.ini",
        note="Its newest release does not start on Python 3.11 or newer, which took away inspect.getargspec: the bench "
        "puts that back. Its HTML names no hashes.",
    ),
    own(
        "pypiron", 8205, "/simple", "pypiron", "serve", "--bind-addr=127.0.0.1:8205",
        f"--data-dir={STATE}/pypiron/data", f"--proxy-upstream={UPSTREAM}",
        "--allow-insecure-upstream", "--advisory-feed=",
    ),
    own(
        "pytail", 8206, "/simple", "pytail", "--bind=127.0.0.1:8206", f"--upstream-base-url={UPSTREAM}",
        f"--cache-dir={STATE}/pytail/cache",
    ),
    own(
        "nginx proxy_cache", 8207, "/simple", "/usr/sbin/nginx", "-c", f"{HERE}/proxy_cache.conf", "-g", "daemon off;",
        slow=False,
        note="Pages for ten minutes, files for good, links rewritten by sub_filter.",
    ),
    LIMIT,
]  # fmt: skip


def layout() -> dict[str, Any]:
    """Return the variables of devpi_layout: an index that gets warm, a chain of bases on it, and cold ones."""

    def mirror(name: str) -> dict[str, str]:
        return {"name": name, "type": "mirror", "mirror_url": f"{UPSTREAM}/simple/"}

    chain = [
        {"name": f"chain{depth}", "type": "stage", "bases": [f"root/chain{depth - 1}" if depth > 1 else WARM]}
        for depth in range(1, 7)
    ]
    users: list[dict[str, Any]] = [{"name": "root", "indexes": [mirror(WARM.rpartition("/")[2]), *chain]}]
    cold = [COLD % number for number in range(1, 41)] + [PREFETCHED % number for number in (1, 2, 3, 51, 52, 53)]
    for index in cold:
        user, _slash, name = index.partition("/")
        users.append({"name": user, "password": secrets.token_hex(), "indexes": [mirror(name)]})
    return {"devpi_layout_users": users}


if __name__ == "__main__":
    print(json.dumps(layout()))
