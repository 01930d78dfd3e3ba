"""What the integration tests share: `pytest tests/integration --devpi 6`, or 7.

devpi-server is installed once, as the lock says; each file of tests has a new server of its own, whose state its tests
share in their order.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).parent / "locks"
#: A folder that has ansible_collections/wheelhouse/devpi: tools/setup makes one, a gate has the checkout in another.
COLLECTIONS = (
    CHECKOUT.parents[2]
    if CHECKOUT.parts[-3:] == ("ansible_collections", "wheelhouse", "devpi")
    else CHECKOUT / ".ansible/collections"
)
sys.path.insert(0, str(COLLECTIONS))

if TYPE_CHECKING:
    from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Upstream
    from live import Devpi

#: Makes a virtual environment from a lock, with options for pip, and returns it.
Install = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the major version of devpi-server."""
    parser.addoption("--devpi", choices=["6", "7"], required=True, help="the major version of devpi-server")


@pytest.fixture(scope="session", name="major")
def _major(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--devpi"))


@pytest.fixture(scope="session", name="install")
def _install() -> Install:
    """Install what a lock says, once: into a virtual environment, or by the pip of one into a folder beside it."""

    def install(lock: str, pip: Path | None = None) -> Path:
        file = LOCKS / f"{lock}.txt"
        digest = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()[:12]
        place = CHECKOUT / ".cache/integration" / f"{lock}-{digest}"
        if (place / "complete").exists():
            return place
        into = ["--no-deps", f"--target={place}"] if pip else []
        if pip is None:
            subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        command: list[str | Path] = [
            pip or place / "bin/pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ]
        subprocess.run([*command, *into, "--requirement", file], check=True)
        (place / "complete").touch()
        return place

    return install


@pytest.fixture(scope="session", name="venv")
def _venv(major: str, install: Install) -> Path:
    return install(f"devpi-{major}")


@pytest.fixture(scope="module", name="options_of_server")
def _options_of_server() -> dict[str, Any]:
    """Return what a file of tests wants of its server; one with upstreams of its own says that it is not offline."""
    return {}


@pytest.fixture(scope="module", name="devpi")
def _devpi(
    major: str, venv: Path, tmp_path_factory: pytest.TempPathFactory, options_of_server: dict[str, Any]
) -> Iterator[Devpi]:
    # Only now is the folder of collections in sys.path.
    from live import Devpi  # noqa: PLC0415

    with Devpi(major, venv, tmp_path_factory.mktemp("devpi"), **options_of_server).running() as devpi:
        yield devpi


@pytest.fixture(scope="module", name="upstreams")
def _upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Upstream]]:
    """Run upstreams on loopback. The one called untrusted speaks TLS, with a certificate that nobody trusts."""
    # As above.
    from ansible_collections.wheelhouse.devpi.tests.upstream.upstream import Behaviour, serving  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("certificate")
    certificate = folder / "upstream.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", certificate, "-out", folder / "crt"], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (folder / "crt").read_text())
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(Behaviour(), str(certificate) if name == "untrusted" else None))
            for name in ("old", "new", "store", "untrusted")
        }
