# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation is refused before anything of it is kept, by a real devpi with devpi-web."""

from __future__ import annotations

import io
import zipfile

import pytest
from devpi import ROOT, Devpi
from webob import Request


def archive(members: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return content.getvalue()


@pytest.fixture
def index(devpi: Devpi) -> Devpi:
    """A server with a project."""
    devpi.add_index("root/dev")
    return devpi


def upload(devpi: Devpi, content: bytes) -> tuple[int, str]:
    """Send documentation. Returns the status and the text."""
    fields = {":action": "doc_upload", "name": "pkg", "version": "1.0", "content": ("pkg-1.0.doc.zip", content)}
    request = Request.blank("/root/dev/", POST=fields, headers=ROOT)
    response = request.get_response(devpi.app)
    return response.status_code, response.text


def test_documentation_is_kept(index: Devpi) -> None:
    fields = {":action": "submit", "name": "pkg", "version": "1.0"}
    assert Request.blank("/root/dev/", POST=fields, headers=ROOT).get_response(index.app).status_code == 200
    assert upload(index, archive({"index.html": b"hello"}))[0] == 200


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (archive({"index.html": bytes(513 << 20)}), "bytes when it is unpacked"),
        (archive({f"{number}.html": b"" for number in range(50_001)}), "50001 members"),
        (b"no archive", "not a zip archive"),
    ],
    ids=["large", "many", "none"],
)
def test_documentation_is_refused(index: Devpi, content: bytes, why: str) -> None:
    status, text = upload(index, content)
    assert status == 413
    assert why in text
