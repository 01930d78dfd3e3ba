"""Which index a request is for, by its path as the client typed it."""

from __future__ import annotations

import re
import urllib.parse

#: A percent sign that begins no byte.
STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: No name has these, and the front and devpi could read them as two paths. `\x85` and the like are control characters.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


#: Characters of a name of a user or an index. devpi keeps in memory what it was asked for, and strangers ask.
MOST_NAME = 255


class OddPath(Exception):
    """A path that two programs could read in two ways."""


def plain(uri: str) -> str:
    """Return the decoded path of a request's URI, whose characters stand for bytes (latin-1).

    devpi reads the path as it was sent, and nginx made it plain: both must find the same index in it. Raises OddPath
    where that is not certain: empty and dot segments, other encodings than UTF-8, control characters,
    and names of users and indexes that are longer than any is.
    """
    raw = re.split(r"[?#]", uri, maxsplit=1)[0]
    if not raw.startswith("/") or STRAY.search(raw):
        raise OddPath
    try:
        path = urllib.parse.unquote_to_bytes(raw.encode("latin-1")).decode()
    except UnicodeError:
        raise OddPath from None
    parts = path.split("/")
    if "//" in path or {".", ".."} & set(parts) or CONTROL.search(path):
        raise OddPath
    if any(len(name) > MOST_NAME for name in parts[1:3]):
        raise OddPath
    return path


def user_and_index(path: str) -> tuple[str, str]:
    """Return the user and the index that a plain path is below, '' for each that it does not name.

    >>> user_and_index("/team/dev/+simple/hidden/")
    ('team', 'dev')
    >>> user_and_index("/team/+tokens")
    ('team', '')
    >>> user_and_index("/+search")
    ('', '')
    """
    user, index = [*path.split("/")[1:3], "", ""][:2]
    if user.startswith("+"):
        return "", ""
    return user, "" if index.startswith("+") else index
