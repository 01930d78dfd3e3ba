# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write an upstream index as a folder that nginx serves: real wheels, and for each project its HTML and JSON page.

    static.py [--details] FOLDER URL PROJECT:FILES[:BYTES]...

URL is where FOLDER will answer; the links of the pages are absolute, as those of the public index are. Each PROJECT
gets so many small wheels, or wheels of so many bytes; ``p*300:10`` stands for the projects p1 to p300. With --details,
the pages tell what the public index does (the Python that a file requires, the time of its upload, the digest of its
metadata), and the metadata lies beside each file (PEP 658). upstream.py is the other upstream: slow, lying or down, as
a test wants it; this one is for speed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from make_wheel import make_wheel

#: Bytes that zip does not find twice, so that a large wheel is large on the wire as well.
NOISE = hashlib.shake_256(b"noise").digest(1 << 20)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def projects(wanted: list[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each project with the number of its files, and the least bytes of each."""
    for entry in wanted:
        name, files, size = [*entry.split(":"), "0"][:3]
        prefix, several, number = name.partition("*")
        for project in [f"{prefix}{n}" for n in range(1, int(number) + 1)] if several else [name]:
            yield project, int(files), int(size)


def fill(wheel: Path, size: int) -> Path:
    """Make a wheel as large as that, where it is smaller."""
    rest = size - wheel.stat().st_size
    if rest > 0:
        with zipfile.ZipFile(wheel, "a") as archive, archive.open(f"{wheel.name}.bin", "w") as content:
            for begin in range(0, rest, len(NOISE)):
                content.write(NOISE[: rest - begin])
    return wheel


def describe(wheel: Path, url: str) -> dict[str, Any]:
    """Return what each page says of a wheel, as in JSON."""
    return {"filename": wheel.name, "url": f"{url}/files/{wheel.name}", "hashes": {"sha256": digest(wheel)}}


def details(wheel: Path) -> dict[str, Any]:
    """Return what the public index says beyond that, and write the metadata of the wheel beside it."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        beside = Path(f"{wheel}.metadata")
        beside.write_bytes(archive.read(metadata))
    return {
        "size": wheel.stat().st_size,
        "core-metadata": {"sha256": digest(beside)},
        "requires-python": ">=3.8",
        "upload-time": "2026-01-02T03:04:05.000000Z",
    }


def write_page(folder: Path, content: dict[str, Any], links: list[str]) -> None:
    """Write the two pages of a project, or of the root."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").write_text(json.dumps({"meta": {"api-version": "1.1"}, **content}))
    (folder / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links) + "\n")


def link(file: dict[str, Any]) -> str:
    """Return the link of a file on an HTML page."""
    more = ""
    if "core-metadata" in file:
        more = f' data-requires-python="&gt;=3.8" data-core-metadata="sha256={file["core-metadata"]["sha256"]}"'
    return f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}"{more}>{file["filename"]}</a><br/>'


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--details", action="store_true")
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("projects", nargs="+")
    options = parser.parse_args()
    folder: Path = options.folder
    (folder / "files").mkdir(parents=True)
    wheels = {
        name: [fill(make_wheel(name, f"1.{number}", folder / "files"), size) for number in range(files)]
        for name, files, size in projects(options.projects)
    }
    for name, paths in wheels.items():
        files = [describe(path, options.url) | (details(path) if options.details else {}) for path in paths]
        write_page(folder / "simple" / name, {"name": name, "files": files}, [link(file) for file in files])
    write_page(
        folder / "simple",
        {"projects": [{"name": name} for name in wheels]},
        [f'<a href="{name}/">{name}</a><br/>' for name in wheels],
    )


if __name__ == "__main__":
    main()
