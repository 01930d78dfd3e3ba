"""Give the S3 server of this host a user, and keep the key: s3.py URL FILE.

The server lets three requests pass without a key, which these are. From then on it asks for the one that they made.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

#: It names the service, and proves nothing.
NOBODY = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def call(url: str, action: str, **more: str) -> str:
    """Return what the server answers."""
    said = {"Version": "2010-05-08", "Action": action, "UserName": "keeper", **more}
    asked = urllib.request.Request(url, urllib.parse.urlencode(said).encode(), {"Authorization": NOBODY})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return str(answer.read().decode())


def main(url: str, kept: Path) -> None:
    """Wait for the server, and make the user."""
    for _second in range(120):
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=10).close()
            break
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(1)
    call(url, "CreateUser")
    call(url, "PutUserPolicy", PolicyName="all", PolicyDocument=json.dumps(ALL))
    made = call(url, "CreateAccessKey")
    names = {"AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey"}
    key = {name: re.findall(f"<{tag}>([^<]+)<", made)[0] for name, tag in names.items()}
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(key, file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
