"""Does a client that trusts this certificate accept it, with this key, for this domain? A handshake in memory tells.

Arguments: the paths of the certificate and the key, the domain. Where it does not, exits with a sentence that says why.
Prints "public" where a client does that trusts what this host trusts.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from pathlib import Path


def no_passphrase() -> str:
    """Refuse what nginx could not ask for at a boot."""
    raise ValueError("the key has a passphrase, which nginx could not ask for at a boot")


def trusting(certificate: str) -> ssl.SSLContext:
    """Return a client that trusts this certificate alone."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    return client


def try_handshake(certificate: str, key: str, domain: str, client: ssl.SSLContext) -> None:
    """Let a server and a client in memory agree. Raises OSError (ssl.SSLError among them) or ValueError."""
    for path in (certificate, key):
        Path(path).read_bytes()  # ssl would not say which of the two is missing
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key, password=no_passphrase)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=domain)
    answering = served.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, answering, asking, answering):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()


def explain(error: OSError | ValueError) -> str:
    """Return a sentence that says what is wrong."""
    # The second is what OpenSSL says of a key of another kind, such as one for RSA.
    if getattr(error, "reason", None) in {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED", "KEY_TYPE_MISMATCH"}:
        return "the key does not belong to the certificate."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message.rstrip('.')}."
    if isinstance(error, ssl.SSLError):
        return f"one of the two files is not what it should be, in PEM form ({error})."
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}."
    return f"{error}."


if __name__ == "__main__":
    certificate, key, domain = sys.argv[1:]
    try:
        try_handshake(certificate, key, domain, trusting(certificate))
    except (OSError, ValueError) as error:
        sys.exit(explain(error))
    with contextlib.suppress(ssl.SSLCertVerificationError):
        try_handshake(certificate, key, domain, ssl.create_default_context())
        print("public")
