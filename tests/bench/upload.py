# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long uploads take: devpi_release, `devpi upload --from-dir` and `twine upload`; and when all is there already.

    .venv/bin/python tests/bench/upload.py FOLDER

FOLDER is a virtual environment with devpi-server, devpi-client and twine. The Python that runs this must have
ansible-core.

Each duration is that of one process on the managed host, as in layout.py. The three take turns, each on a new index,
and medians count. devpi_release logs in each time, devpi did so before; twine sends the password with each file, and
that the server checks it each time is most of what twine takes. Then devpi_release meets 1,000 wheels of 1,000 projects
that are all there, and is compared with the mere requests for the 1,000 projects, one after the other on one
connection.

Exits with 1 where devpi_release uploads slower than one of the others, or takes more than 3 seconds beyond the mere
requests.
"""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from layout import COLLECTION, PASSWORD, devpi_server, extremes, run_devpi, run_module

WHEELS, MANY = 60, 1000
ROUNDS, LOOKS = 5, 3
AT_MOST_SECONDS_BEYOND_REQUESTS = 3

Seconds = dict[str, list[float]]


def make_wheels(folder: Path, number: int) -> list[Path]:
    """Make small wheels, each of a project of its own."""
    folder.mkdir()
    for count in range(number):
        name, info = f"bench_{count:04}", f"bench_{count:04}-1.0.dist-info"
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}.py", os.urandom(8000))
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Bench\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
    return sorted(folder.iterdir())


def run_twine(venv: Path, url: str, files: list[Path]) -> float:
    """Run twine upload and return its seconds."""
    command: list[str | Path] = [venv / "bin" / "twine", "upload", "--non-interactive", "--disable-progress-bar"]
    environment = {**os.environ, "TWINE_USERNAME": "root", "TWINE_PASSWORD": PASSWORD}
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--repository-url", url, *files], env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"twine failed: {done.stdout}{done.stderr}")
    return seconds


class Bench:
    """One server, and what was measured on it."""

    def __init__(self, venv: Path, folder: Path, url: str) -> None:
        self._venv = venv
        self._folder = folder
        self._url = url
        self._connection = {"url": url, "login_password": PASSWORD}
        self.seconds: Seconds = {}

    def note(self, name: str, seconds: float) -> None:
        """Keep a duration."""
        self.seconds.setdefault(name, []).append(seconds)

    def index(self, name: str) -> str:
        """Make an index and return its full name."""
        run_module("devpi_index", self._folder, **self._connection, name=f"root/{name}", acl_upload=["root"])
        return f"root/{name}"

    def release(self, index: str, house: Path, changes: int) -> float:
        """Upload a folder by devpi_release, see that it made so many changes, and return its seconds."""
        seconds, result = run_module("devpi_release", self._folder, **self._connection, index=index, files=[str(house)])
        if len(result["changes"]) != changes:
            raise SystemExit(f"devpi_release made {len(result['changes'])} changes, not {changes}.")
        return seconds

    def first_uploads(self) -> None:
        """Let the three take turns."""
        house = self._folder / "house"
        files = make_wheels(house, WHEELS)
        run_devpi(self._venv, self._folder, "use", self._url)
        run_devpi(self._venv, self._folder, "login", "root", f"--password={PASSWORD}")
        for turn in range(ROUNDS):
            self.note("devpi_release", self.release(self.index(f"release{turn}"), house, WHEELS))
            run_devpi(self._venv, self._folder, "use", self.index(f"devpi{turn}"))
            self.note("devpi", run_devpi(self._venv, self._folder, "upload", "--from-dir", str(house)))
            self.note("twine", run_twine(self._venv, f"{self._url}/{self.index(f'twine{turn}')}/", files))

    def nothing_to_do(self) -> None:
        """Look at an index that has all files, as the module does and by mere requests."""
        house, index = self._folder / "many", self.index("many")
        projects = [path.name.split("-")[0].replace("_", "-") for path in make_wheels(house, MANY)]
        self.note("first", self.release(index, house, MANY))
        for _turn in range(LOOKS):
            self.note("again", self.release(index, house, 0))
            started = time.perf_counter()
            connection = http.client.HTTPConnection(urlsplit(self._url).netloc)
            for project in projects:
                connection.request("GET", f"/{index}/{project}?ignore_bases=", headers={"Accept": "application/json"})
                with connection.getresponse() as response:
                    if response.status != 200 or b'"releasefile"' not in response.read():
                        raise SystemExit(f"GET {project} answered {response.status}.")
            connection.close()
            self.note("requests", time.perf_counter() - started)

    def report(self) -> bool:
        """Print the table, and tell whether the floors hold."""
        rows = {
            "devpi_release": f"devpi_release, {WHEELS} wheels, first upload",
            "devpi": "devpi upload --from-dir",
            "twine": "twine upload",
            "first": f"devpi_release, {MANY} wheels, first upload",
            "again": f"devpi_release, {MANY} wheels, all there",
            "requests": f"{MANY} mere requests",
        }
        print(f"{'in seconds':44}{'turns':>8}{'median':>8}{'least':>8}{'most':>8}")
        for name, text in rows.items():
            values = self.seconds[name]
            figures = "".join(f"{figure:8.2f}" for figure in (statistics.median(values), *extremes(values)))
            print(f"{text:44}{len(values):8}{figures}")
        median = {name: statistics.median(values) for name, values in self.seconds.items()}
        floors = [
            ("devpi_release / devpi upload", median["devpi_release"] / median["devpi"], 1.0),
            ("devpi_release / twine upload", median["devpi_release"] / median["twine"], 1.0),
            ("all there - mere requests", median["again"] - median["requests"], AT_MOST_SECONDS_BEYOND_REQUESTS),
        ]
        for text, value, floor in floors:
            print(f"{text:44}{value:8.2f}  at most {floor}: {'holds' if value <= floor else 'MISSED'}")
        return all(value <= floor for _text, value, floor in floors)


def main() -> int:
    """Measure, and return the exit status."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    venv = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="wheelhouse-bench-") as name:
        folder = Path(name)
        place = folder / "ansible_collections" / "wheelhouse"
        place.mkdir(parents=True)
        (place / "devpi").symlink_to(COLLECTION)
        with devpi_server(venv, folder) as url:
            bench = Bench(venv, folder, url)
            bench.first_uploads()
            bench.nothing_to_do()
        return 0 if bench.report() else 1


if __name__ == "__main__":
    sys.exit(main())
