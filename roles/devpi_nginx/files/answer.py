"""Ask the nginx of this host for devpi's API as a client would, whatever the name resolves to from here."""

import http.client
import socket
import ssl
import sys

domain, port, trust_anchor = sys.argv[1:]

try:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trust_anchor)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    connection = http.client.HTTPConnection(domain, int(port))
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 5), server_hostname=domain)
    connection.request("GET", "/+api")
    response = connection.getresponse()
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"no answer: {error}")
if response.status != 200:
    sys.exit(f"the answer is {response.status} {response.reason}")
