# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a devpi-server that has to do with releases, and files to upload to it."""

from __future__ import annotations

import hashlib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ansible_collections.wheelhouse.devpi.tests.unit.fake_devpi import FakeDevpi

Files = dict[str, bytes]


class FakeReleases(FakeDevpi):
    """devpi-server with indexes that take uploads: ``team/dev``, ``team/prod`` (not volatile), and ``root/pypi``.

    ``releases`` holds the content of files by index, project, version and name; that of documentation is called
    ``doc.zip``. ``tells_hashes`` is false for what devpi 7.0.0b4 does: only the URL of a file tells its hash.
    """

    def __init__(self) -> None:
        super().__init__()
        stage = {"type": "stage", "volatile": True, "bases": ["root/pypi"], "acl_upload": ["root"]}
        self.users["team"] = {
            "username": "team",
            "indexes": {"dev": stage, "prod": {**stage, "volatile": False, "bases": []}},
        }
        self.users["root"]["indexes"]["pypi"] = {"type": "mirror", "volatile": False, "mirror_url": "http://x"}
        self.releases: dict[str, dict[str, dict[str, Files]]] = {"team/dev": {}, "team/prod": {}}
        self.tells_hashes = True

    def parsed(self, body: bytes, headers: Message) -> Any:
        """Return what a request sent: the fields of a form, of those that come several times a list."""
        kind = headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            return super().parsed(body, headers)
        form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        fields: dict[str, Any] = {}
        for part in form.walk():
            if part.is_multipart():
                continue
            name = str(part.get_param("name", header="Content-Disposition"))
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            if part.get_filename():
                fields[name] = (part.get_filename(), content)
            elif name in fields:
                fields[name] = [*([fields[name]] if isinstance(fields[name], str) else fields[name]), content.decode()]
            else:
                fields[name] = content.decode()
        return fields

    def answer(self, method: str, path: str, body: Any, user: str | None) -> tuple[int, dict[str, Any] | bytes]:
        """Return the answer to a request for an index or something in it; leave the others to devpi_server."""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        if len(parts) < 2 or path.startswith("/+"):
            return super().answer(method, path, body, user)
        name, rest = "/".join(parts[:2]), parts[2:]
        config = self.users.get(parts[0], {}).get("indexes", {}).get(parts[1])
        if config is None:
            return 404, {"message": f"The stage {name} could not be found."}
        if method == "GET":
            return self._read_stage(name, config, rest, urlsplit(path).query)
        if user not in config.get("acl_upload", ()):
            return 403, {"message": "\n\n", "code": "403 no permission to submit", "title": "no permission to submit"}
        return self._write(method, name, config, rest, body)

    def _read_stage(self, name: str, config: Any, rest: list[str], query: str) -> tuple[int, dict[str, Any] | bytes]:
        projects = self.releases.get(name, {})
        if not rest:
            listed = {} if query == "no_projects=" else {"projects": sorted(projects)}
            return 200, {"result": {**config, **listed}}
        if rest[0] == "+f":
            place = "".join(rest[1:3])
            found = [c for p in projects.values() for v in p.values() for c in v.values() if _digest(c)[:16] == place]
            return 200, found[0]
        assert query == "ignore_bases="
        if rest[0] not in projects:
            return 404, {"message": f"no project {rest[0]!r}"}
        return 200, {"result": {v: self._links(name, rest[0], v, f) for v, f in projects[rest[0]].items()}}

    def _links(self, index: str, project: str, version: str, files: Files) -> dict[str, Any]:
        links = []
        for file_name, content in files.items():
            digest = _digest(content)
            link = {
                "rel": "doczip" if file_name == "doc.zip" else "releasefile",
                "href": f"http://outside.test/{index}/+f/{digest[:3]}/{digest[3:16]}/{quote(file_name)}",
            }
            links.append({**link, "hash_spec": f"sha256={digest}"} if self.tells_hashes else link)
        return {"name": project, "version": version, "+links": links}

    def _write(
        self, method: str, name: str, config: Any, rest: list[str], body: Any
    ) -> tuple[int, dict[str, Any] | bytes]:
        projects = self.releases[name]
        if method == "DELETE":
            assert rest[0] in projects
            if len(rest) == 1 or len(projects[rest[0]]) == 1:
                del projects[rest[0]]
            else:
                del projects[rest[0]][rest[1]]
        elif "targetindex" in body:
            source = projects[body["name"]][body["version"]]
            files = {
                n: c
                for n, c in source.items()
                if not (body.get("only_docs") and n != "doc.zip") and not (body.get("no_docs") and n == "doc.zip")
            }
            target = self.releases[body["targetindex"]].setdefault(body["name"], {}).setdefault(body["version"], {})
            if not self.users["team"]["indexes"][body["targetindex"][5:]]["volatile"] and target.keys() & files:
                return 409, {"message": "already exists in non-volatile index"}
            target.update(files)
        else:
            file_name, content = body["content"]
            project = body["name"].lower().replace("_", "-")
            files = projects.setdefault(project, {}).setdefault(body["version"], {})
            if body[":action"] == "doc_upload":
                file_name = "doc.zip"
            if file_name in files and not config["volatile"]:
                return 409, {"message": "\n", "title": f"{file_name} already exists in non-volatile index"}
            files[file_name] = content
            self.serial += 1
            return 200, b""
        self.serial += 1
        return 200, {"result": [[200, "done"]]}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(path: Path, files: dict[str, str]) -> Path:
    """Write a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def make_wheel(folder: Path, name: str, version: str, called: str | None = None, **more: str) -> Path:
    """Write a wheel; ``more`` are further headers of its metadata, whose hyphens are underscores here."""
    headers = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in more.items())
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}\nTold in detail.\n"
    info = f"{name}-{version}.dist-info"
    path = folder / (called or f"{name}-{version}-py3-none-any.whl")
    return zipped(path, {f"{name}.py": "x" * 1000, f"{info}/METADATA": text, f"{info}/RECORD": ""})
