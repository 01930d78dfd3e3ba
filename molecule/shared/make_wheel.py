"""Make a small real wheel: make_wheel.py NAME VERSION FOLDER [DESCRIPTION] prints its path."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path


def make_wheel(name: str, version: str, folder: Path, description: str = "") -> Path:
    """Write a wheel with one module that knows its version (the format: packaging.python.org, binary distributions)."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made for a test\n\n"
        f"{description}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: make_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


if __name__ == "__main__":
    print(make_wheel(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:]))
