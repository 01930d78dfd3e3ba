"""What the tests upload. The same call makes the same bytes."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from pathlib import Path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def wheel(folder: Path, name: str, version: str, *, called: str = "", payload: bytes = b"") -> Path:
    """Write a wheel; its file may be called otherwise than its metadata says."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made for a test\n"
    files = {
        f"{name}.py": f"__version__ = '{version}'\n".encode(),
        f"{name}.bin": payload,
        f"{info}/METADATA": f"{metadata}Requires-Python: >=3.9\n\nTold in detail.\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    return zipped(folder / (called or f"{name}-{version}-py3-none-any.whl"), files)


def source(folder: Path, name: str, version: str) -> Path:
    """Write a source distribution."""
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        for member in (f"{name}-{version}/PKG-INFO", f"{name}-{version}/{name}.egg-info/PKG-INFO"):
            entry = tarfile.TarInfo(member)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return path


def make(place: Path) -> None:
    """Make everything."""
    house = place / "wheelhouse"
    for name in ("proof_a", "proof_b", "proof_c"):
        wheel(house, name, "1.0")
    wheel(house, "proof_a", "1.0+local.1")
    source(house, "proof-source", "1.0")
    (house / "README.txt").write_text("No distribution.\n")
    zipped(house / "proof-a-1.0.doc.zip", {"index.html": b"not a distribution either"})
    (place / "empty").mkdir()

    wheel(place / "more", "proof_d", "2.0")
    wheel(place / "other", "proof_a", "1.0", payload=b"other content")

    damaged = wheel(place / "broken", "damaged", "1.0", payload=b"x" * 5000)
    bits = bytearray(damaged.read_bytes())
    bits[bits.index(b"x" * 100) + 50] ^= 1
    damaged.write_bytes(bits)
    cut = source(place / "broken", "cut", "1.0")
    cut.write_bytes(cut.read_bytes()[:-8])
    wheel(place / "broken", "proof_x", "1.0", called="renamed-1.0-py3-none-any.whl")
    wheel(place / "broken", "proof_v", "1.0", called="proof_v-2.0-py3-none-any.whl")
    wheel(place / "broken", "strange", "1.0", called="strange.whl")
    zipped(place / "broken" / "bare-1.0.zip", {"bare-1.0/setup.py": b""})

    html = {"index.html": b"<html><title>Proof</title><body>The proof is here.</body></html>", "_static/a.css": b"b {}"}
    for name, content in {**html, ".doctrees/environment.pickle": b"x"}.items():
        path = place / "html" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    zipped(place / "html.zip", html)
    zipped(place / "html-2.zip", {**html, "index.html": b"<html><body>Second edition.</body></html>"})
    zipped(place / "no-index.zip", {"html/index.html": b""})

    # The noise cannot be compressed.
    noise = random.Random(4)
    for number in range(10):
        wheel(place / "large", f"large_{number}", "1.0", payload=noise.randbytes(200_000))
    for number in range(100):
        wheel(place / "many", f"many_{number}", "1.0")
