# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA of devpi_nginx is good for its domain and nothing else, as OpenSSL and Python see it."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from ansible_collections.wheelhouse.devpi.tests.unit.program import ROOT

PROGRAM = ROOT / "roles/devpi_nginx/files/own_ca.sh"
DOMAIN = "devpi.example.org"


def own_ca(action: str, folder: Path, domain: str = DOMAIN, *days: int) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = ["sh", str(PROGRAM), action, str(folder), domain, *map(str, days)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def openssl(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run openssl in the folder."""
    return subprocess.run(["openssl", *arguments], cwd=folder, check=False, capture_output=True, text=True)


def sign(folder: Path, name: str) -> None:
    """Sign a certificate as somebody does who has the key of the CA, with no regard for what it may sign."""
    done = openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30"),
        *("-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "leaf.key", "-out", "leaf.pem", "-subj", "/CN=devpi"),
        *("-addext", f"subjectAltName={name}", "-addext", "basicConstraints=critical,CA:FALSE"),
        folder=folder,
    )
    assert done.returncode == 0, done.stderr


def shake_hands(folder: Path, host: str) -> None:
    """Let Python's TLS client meet a server with the leaf. Raises ssl.SSLError where the client does not trust it."""
    at_server, at_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=folder / "ca.crt")
    at_server.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = at_server.wrap_bio(one, other, server_side=True)
    client = at_client.wrap_bio(other, one, server_hostname=host)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


@pytest.fixture(name="ca")
def _ca(tmp_path: Path) -> Path:
    assert own_ca("permits", tmp_path).returncode == 1
    assert own_ca("make", tmp_path, DOMAIN, 3650).returncode == 0
    permits = own_ca("permits", tmp_path)
    assert (permits.returncode, permits.stdout) == (0, "")
    return tmp_path


def test_its_own_certificate_holds(ca: Path) -> None:
    assert own_ca("holds", ca, DOMAIN, 90, 30).returncode != 0
    assert own_ca("renew", ca, DOMAIN, 90, 30).returncode == 0
    assert own_ca("holds", ca, DOMAIN, 90, 30).returncode == 0


@pytest.mark.parametrize(
    ("name", "host", "is_trusted"),
    [
        ("DNS:devpi.example.org", "devpi.example.org", True),
        ("DNS:docs.devpi.example.org", "docs.devpi.example.org", True),
        ("DNS:example.org", "example.org", False),
        ("DNS:notdevpi.example.org", "notdevpi.example.org", False),
        ("DNS:bank.example.com", "bank.example.com", False),
        ("DNS:devpi.example.org,DNS:bank.example.com", "bank.example.com", False),
        ("IP:192.0.2.1", "192.0.2.1", False),
        ("IP:2001:db8::1", "2001:db8::1", False),
    ],
)
def test_nobody_else_is_played_with_its_key(ca: Path, name: str, host: str, is_trusted: bool) -> None:
    sign(ca, name)
    verified = openssl("verify", "-CAfile", "ca.crt", "-purpose", "sslserver", "leaf.pem", folder=ca)
    assert (verified.returncode == 0) is is_trusted, verified.stdout
    if is_trusted:
        shake_hands(ca, host)
        return
    assert "subtree violation" in verified.stdout + verified.stderr
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        shake_hands(ca, host)


def test_another_domain_gets_another_ca(ca: Path) -> None:
    own_ca("renew", ca, DOMAIN, 90, 30)
    before = (ca / "ca.crt").read_bytes()
    refused = own_ca("renew", ca, "other.example.org", 90, 30)
    assert refused.returncode == 1
    assert "may sign for devpi.example.org, and not for other.example.org: run the role devpi_nginx" in refused.stderr
    assert own_ca("permits", ca, "other.example.org").returncode == 1
    assert own_ca("make", ca, "other.example.org", 3650).returncode == 0
    assert own_ca("renew", ca, "other.example.org", 90, 30).returncode == 0
    (former,) = ca.glob("former-devpi.example.org-*")
    assert (former / "ca.crt").read_bytes() == before
    assert (former / "ca.key").is_file()
    assert own_ca("make", ca, "docs.other.example.org", 3650).returncode == 0
    assert len(list(ca.glob("former-*"))) == 1


def test_a_ca_from_before_stays_and_is_told_of(ca: Path) -> None:
    done = openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "3650"),
        *("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=devpi CA", "-addext", "keyUsage=critical,keyCertSign"),
        folder=ca,
    )
    assert done.returncode == 0, done.stderr
    before = (ca / "ca.crt").read_bytes()
    for domain in (DOMAIN, "other.example.org"):
        assert own_ca("make", ca, domain, 3650).returncode == 0
        assert own_ca("renew", ca, domain, 90, 30).returncode == 0
        assert own_ca("holds", ca, domain, 90, 30).returncode == 0
    assert (ca / "ca.crt").read_bytes() == before
    permits = own_ca("permits", ca)
    assert permits.returncode == 0
    assert permits.stdout.startswith(f"The CA in {ca} was made before CAs were limited to their domain: ")
    assert "move the directory away, run the role devpi_nginx" in permits.stdout
