"""Name the settings on this host that change what pip and uv do, each as PATH: KEY. It prints no value.

The argument is JSON: the mark of our own files, a user or none for all, the pattern of a setting, and the files to look
at: in homes, by their path below it, and of the host, by patterns of paths.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterator

MAX_BYTES = 1024 * 1024


@contextlib.contextmanager
def acting_as(user: pwd.struct_passwd) -> Iterator[None]:
    """Have the rights of a user: a link in a home leads no further than its user gets."""
    if os.geteuid() != 0 or user.pw_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([user.pw_gid])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def read(path: str) -> str:
    """Return the text of a plain file, or nothing where there is none, or this user cannot read it."""
    try:
        # Without O_NONBLOCK, a pipe that somebody put there would keep this waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""  # What cannot be read here does not change the tools either.
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(MAX_BYTES).decode(errors="replace")


def settings(text: str, pattern: str, mark: str) -> list[str]:
    """Return the names of the settings in a text, without those between our marks."""
    if re.match(rf"(#!.*\n)?# {re.escape(mark)}", text):
        return []
    text = re.sub(rf"(?ms)^# BEGIN {re.escape(mark)}$.*?^# END {re.escape(mark)}$", "", text)
    found = (re.match(rf"[ \t]*({pattern})", line) for line in text.splitlines())
    names = (re.sub(r"^export\s+|\s*[=:]$", "", one[1]).strip() for one in found if one)
    return list(dict.fromkeys(names))


def main(argument: str) -> None:
    """Look at all files."""
    search = json.loads(argument)
    users = [user for user in pwd.getpwall() if search["user"] in ("", user.pw_name)]
    if search["user"] and not users:
        users = [pwd.getpwnam(search["user"])]  # A directory need not list its users.
    homes = {user.pw_dir: user for user in users if user.pw_dir not in ("", "/", "/nonexistent")}
    files = [(os.path.join(home, name), user) for home, user in homes.items() for name in search["home_files"]]
    root = pwd.getpwuid(0)
    files += [(path, root) for name in search["host_files"] for path in sorted(glob.glob(name))]
    for path, user in files:
        with acting_as(user):
            text = read(path)
        for name in settings(text, search["pattern"], search["mark"]):
            print(f"{path}: {name}")


if __name__ == "__main__":
    main(sys.argv[1])
