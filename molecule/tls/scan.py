"""Print as JSON what sslscan finds that a port of this host offers. Arguments: the domain, the port."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

domain, port = sys.argv[1:]
command = ["sslscan", f"--sni-name={domain}", "--no-colour", "--xml=-", f"127.0.0.1:{port}"]
(test,) = ElementTree.fromstring(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
protocols = [
    f"{found.get('type')} {found.get('version')}" for found in test.iter("protocol") if found.get("enabled") == "1"
]
print(
    json.dumps(
        {
            "protocols": sorted(protocols),
            "ciphers": sorted({found.get("cipher", "") for found in test.iter("cipher")}),
            "groups": sorted({found.get("name", "").split()[0] for found in test.iter("group")}),
        }
    )
)
