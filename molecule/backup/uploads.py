"""Upload releases of a project as fast as devpi takes them, and write down each that was acknowledged.

uploads.py PROJECT COUNT FILE: with COUNT 0, until the file FILE.stop is there.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from make_wheel import make_wheel

PASSWORD = "the c4nary of the team"
INDEX = "/team/dev/"


def devpi() -> http.client.HTTPConnection:
    """Return a connection to devpi itself."""
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect("/run/devpi/devpi.sock")
    return connection


def login(user: str, password: str) -> str:
    """Return what opens the API, as a client would keep it."""
    connection = devpi()
    body = json.dumps({"user": user, "password": password})
    connection.request("POST", "/+login", body, {"Accept": "application/json", "Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{user} cannot log in: {answer.status} {said[:200].decode()}")
    return base64.b64encode(f"{user}:{json.loads(said)['result']['password']}".encode()).decode()


def form(fields: dict[str, str], wheel: Path) -> bytes:
    """Return the form that twine would send."""
    part = '--devpi\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = [part.format(name, text) for name, text in fields.items()]
    head = f'--devpi\r\nContent-Disposition: form-data; name="content"; filename="{wheel.name}"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + wheel.read_bytes() + b"\r\n--devpi--\r\n"


def main(project: str, count: int, kept: Path) -> None:
    """Upload, and write down."""
    token, stop = login("team", PASSWORD), kept.with_name(kept.name + ".stop")
    connection = devpi()
    number = 0
    with tempfile.TemporaryDirectory() as folder, kept.open("a") as acknowledged:
        while number < count if count else not stop.exists():
            number += 1
            wheel = make_wheel(project, f"1.{number}", Path(folder))
            fields = {":action": "file_upload", "name": project, "version": f"1.{number}", "filetype": "bdist_wheel"}
            headers = {"X-Devpi-Auth": token, "Content-Type": "multipart/form-data; boundary=devpi"}
            connection.request("POST", INDEX, form(fields, wheel), headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{wheel.name}: {answer.status} {said[:200].decode()}")
            acknowledged.write(f"{wheel.name} {hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
            acknowledged.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
