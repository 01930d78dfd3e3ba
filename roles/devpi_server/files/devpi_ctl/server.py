"""What a devpi of this host says, and whether a release can be installed from it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from devpi_ctl import http as local_http
from devpi_ctl.errors import PrivateError, SwitchError

Json = dict[str, Any]

#: Seconds that one answer may take: a mirror may ask its upstream first.
PATIENCE = 60
#: The largest file that is installed for a proof.
LARGEST_SAMPLE = 50 * 1024 * 1024
SAMPLES = 3


class Server:
    """A devpi that is asked over HTTP: by itself (`api` is its unix socket or URL), or through nginx of this host."""

    def __init__(self, api: str, connect: str | None = None) -> None:
        self.api = api
        # Who listens on a socket does not look at the host.
        self.url = "http://localhost/" if api.startswith("unix:") else api.rstrip("/") + "/"
        self.connect = connect

    def get(self, path: str, accept: str = "*/*") -> tuple[http.client.HTTPMessage, bytes]:
        """Return the headers and the body of a good answer. Raises SwitchError."""
        parts = urlsplit(urljoin(self.url, path))
        asked = parts.path + (f"?{parts.query}" if parts.query else "")
        where = f"{self.api.rstrip('/')}{asked}"
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = Nginx(str(parts.hostname), parts.port or 443, self.connect)
        else:
            connection = local_http.connection_to(self.api, PATIENCE)
        # With a cookie, nginx of this collection lets devpi answer and takes nothing from a cache.
        headers = {"Accept": accept, "Cookie": "devpi-switch=1"}
        try:
            connection.request("GET", asked, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as reason:
            raise SwitchError(f"{where} gives no answer: {reason}.") from reason
        finally:
            connection.close()
        if answer.status != 200:
            raise (PrivateError if answer.status == 401 else SwitchError)(f"{where} answers {answer.status}.")
        return answer.headers, body

    def version(self) -> str:
        """Return the version that the API says. Raises SwitchError."""
        headers, body = self.get("+api", "application/json")
        if parsed(body).get("type") != "apiconfig":
            raise SwitchError(f"{self.api}: +api does not answer as devpi does.")
        return str(headers.get("X-Devpi-Server-Version"))

    def look(self) -> Json:
        """Return what must be the same after the switch. Raises SwitchError."""
        version = self.version()
        headers, body = self.get("", "application/json")
        users = parsed(body).get("result")
        if not isinstance(users, dict):
            raise SwitchError(f"{self.api} does not list the users.")
        return {"version": version, "serial": int(headers.get("X-Devpi-Serial") or 0), "users": users}

    def link_to(self, sample: Json) -> str:
        """Return the URL of a file on the page of its project. Raises SwitchError."""
        path = f"{sample['index']}/+simple/{sample['project']}/"
        _headers, body = self.get(path, "text/html")
        for link in re.findall(r'href="([^"]+)"', body.decode(errors="replace")):
            url = urljoin(urljoin(self.url, path), link)
            file, _hash, digest = url.partition("#")
            if file.endswith(f"/{sample['file']}") and digest == f"sha256={sample['sha256']}":
                return str(file)
        raise SwitchError(f"{self.api}/{path} does not list {sample['file']} with the hash that it had.")

    def install(self, sample: Json) -> None:
        """Do what an installer does: read the page, fetch the file, compare its hash. Raises SwitchError."""
        _headers, body = self.get(self.link_to(sample))
        if hashlib.sha256(body).hexdigest() != sample["sha256"]:
            raise SwitchError(f"{sample['file']} of {sample['index']} has another content than before.")


class Front(Server):
    """nginx on the way to a devpi that was asked itself before."""

    def install(self, sample: Json) -> None:
        """Do what an installer does, up to where nginx wants a login. Raises SwitchError."""
        with contextlib.suppress(PrivateError):
            super().install(sample)


class Nginx(http.client.HTTPSConnection):
    """HTTPS to nginx of this host under the name of the index, whatever that name means elsewhere."""

    def __init__(self, host: str, port: int, connect: str | None) -> None:
        # To this host, where nobody is in between; and a certificate is not what is tried here.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=PATIENCE, context=context)
        self.address, self.tls = connect or host, context

    def connect(self) -> None:
        """Connect to the address, and ask for the host."""
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)


def parsed(body: bytes) -> Json:
    """Return JSON as a dictionary, an empty one where it is none."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def compare(before: Json, after: Json, other_data: bool) -> None:
    """Refuse a server that lost something. Data that were made anew have serials and words of their own."""
    missing = sorted(before["users"].keys() ^ after["users"].keys())
    if missing:
        raise SwitchError(f"The users are not those from before the switch: {', '.join(missing)}.")
    for user, old in before["users"].items():
        old_indexes, indexes = old.get("indexes", {}), after["users"][user].get("indexes", {})
        missing = sorted(old_indexes.keys() ^ indexes.keys())
        if missing:
            raise SwitchError(f"The indexes of {user} are not those from before the switch: {', '.join(missing)}.")
        for index, settings in old_indexes.items():
            for name in [] if other_data else settings.keys() & indexes[index].keys():
                if settings[name] != indexes[index][name]:
                    raise SwitchError(f"The setting {name} of {user}/{index} is not that from before the switch.")
    if not other_data and after["serial"] < before["serial"]:
        raise SwitchError(f"The serial fell from {before['serial']} to {after['serial']}: changes are missing.")


def project_of(file: str) -> str | None:
    """Return the normalised name of the project of a release file.

    >>> project_of("Some_Thing-1.0-py3-none-any.whl"), project_of("some-thing-1.0.tar.gz"), project_of("a.txt")
    ('some-thing', 'some-thing', None)
    """
    match = re.match(r"([^-]+)-.+\.whl$", file) or re.match(r"(.+)-[^-]+\.(tar\.gz|zip)$", file)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else None


def samples(data: Path, server: Server) -> list[Json]:
    """Return release files that the server can install now, one of each index, from what lies in the data."""
    found: list[Json] = []
    for folder in sorted((data / "+files").glob("*/*/+f")):
        index = "/".join(folder.relative_to(data / "+files").parts[:2])
        for path in first_files(folder):
            project = project_of(path.name)
            if project is None or path.stat().st_size > LARGEST_SAMPLE:
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            sample = {"index": index, "project": project, "file": path.name, "sha256": digest}
            with contextlib.suppress(SwitchError):
                server.install(sample)
                found.append(sample)
                break
        if len(found) == SAMPLES:
            break
    return found


def first_files(folder: Path) -> Iterator[Path]:
    """Return a few files below a folder, without reading all of a large one."""
    count = 0
    for path, _folders, files in os.walk(folder):
        for file in files:
            yield Path(path) / file
            count += 1
            if count == SAMPLES:
                return
