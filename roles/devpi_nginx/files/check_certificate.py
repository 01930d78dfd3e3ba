"""Does a client that trusts this certificate accept it, with this key, for this domain? A handshake in memory tells."""

import ssl
import sys

certificate, key, domain = sys.argv[1:]


def no_passphrase():
    raise ValueError("the key has a passphrase, which nginx could not ask for at a boot")


def step(handshake):
    try:
        handshake()
    except ssl.SSLWantReadError:
        pass


def try_handshake():
    for path in (certificate, key):
        with open(path, "rb"):
            pass  # ssl would not say which of the two is missing
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key, password=no_passphrase)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)

    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=domain)
    answering = served.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):
        step(asking.do_handshake)
        step(answering.do_handshake)


def explain(error):
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return "the key does not belong to the certificate."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message.rstrip('.')}."
    if isinstance(error, ssl.SSLError):
        return f"one of the two files is not what it should be, in PEM form ({error})."
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}."
    return f"{error}."


try:
    try_handshake()
except (OSError, ValueError) as error:
    sys.exit(explain(error))
