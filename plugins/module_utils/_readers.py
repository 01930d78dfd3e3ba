# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a file read by the tool that it is for, before it takes the place of the one that the tool reads today."""

from __future__ import annotations

import configparser
import importlib
import netrc
import os
import re
import select
import signal
import ssl
import subprocess
import tempfile
import time
import typing as t
from collections.abc import Callable, Sequence

from ansible_collections.wheelhouse.devpi.plugins.module_utils._accounts import Account, acting_as, groups_of

SECONDS = 60
"""What a tool may take to read its file, which is a second."""

MAX_SAID = 64 * 1024
"""How many bytes of what a tool says are read."""

_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def problem(reader: str, path: str, content: bytes, account: Account) -> str | None:
    """Return what a tool says against the content of a file, or None.

    ``account`` is whom the file belongs to: the tool is that user's or the host's, and runs as that user, for root as
    nobody. Where the host does not have it, Python reads the file by the same rules.
    """
    return _READERS[reader](path, content, _NOBODY if account.is_root and os.geteuid() == 0 else account)


def _pip(path: str, content: bytes, account: Account) -> str | None:
    said = _ini(path, content, account)
    # A virtual environment has a pip of its own, beside its configuration.
    candidates = [os.path.join(os.path.dirname(path), "bin"), *_path_of(account)]
    tool = _found("pip", candidates) or _found("pip3", candidates)
    if said or not tool:
        return said

    def ask(file: str) -> str | None:
        # Help is what it shows last, when it has looked at the value of each option.
        return _run([tool, "install", "--help"], {"PIP_CONFIG_FILE": file}, account)

    said = _with_file(content, account, ask)
    # It reads the other files of the host too. What it says of them is true without this one.
    return None if said and said == _with_file(b"", account, ask) else said


def _uv(path: str, content: bytes, account: Account) -> str | None:
    try:
        loads = importlib.import_module("tomllib").loads
    except ImportError:  # Python 3.9 and 3.10
        loads = str
    try:
        loads(content.decode())
    except ValueError as error:
        return str(error)
    tool = _found("uv", _path_of(account))
    if not tool:
        return None
    return _with_file(
        content, account, lambda file: _run([tool, "cache", "dir", "--config-file", file], {}, account), ".toml"
    )


def _ini(path: str, content: bytes, account: Account) -> str | None:
    try:
        configparser.RawConfigParser().read_string(content.decode())
    except (configparser.Error, ValueError) as error:
        return str(error)
    return None


def _netrc(path: str, content: bytes, account: Account) -> str | None:
    def ask(file: str) -> str | None:
        try:
            netrc.netrc(file)
        except (netrc.NetrcParseError, ValueError) as error:
            # The line of a login may be in the message of newer versions of Python.
            line = getattr(error, "lineno", None)
            return f"it cannot be read from line {line} on" if line else "it cannot be read"
        return None

    return _with_file(content, account, ask)


def _certificate(path: str, content: bytes, account: Account) -> str | None:
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        return str(error)
    return None


def _nobody(path: str, content: bytes, account: Account) -> str | None:
    return None


_READERS: dict[str, Callable[[str, bytes, Account], str | None]] = {
    "pip": _pip,
    "uv": _uv,
    "pypirc": _ini,
    "netrc": _netrc,
    "certificate": _certificate,
    "nobody": _nobody,
}

READERS = tuple(_READERS)
"""The tools that files can be for."""


_NOBODY = Account("#65534", 65534, 65534, "/nonexistent")
"""The user nobody. To read what everybody may read, no tool needs to be root."""


def _path_of(account: Account) -> list[str]:
    """Return where a user's programs are."""
    return [os.path.join(account.home, ".local/bin"), *_SYSTEM_PATH.split(":")]


def _found(name: str, folders: Sequence[str]) -> str | None:
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _with_file(content: bytes, account: Account, ask: Callable[[str], str | None], suffix: str = "") -> str | None:
    """Return what is said of a file that only the user can read, and that is gone afterwards."""
    with acting_as(account):
        descriptor, file = tempfile.mkstemp(suffix=suffix)
        with open(descriptor, "wb") as opened:
            opened.write(content)
    try:
        said = ask(file)
    finally:
        with acting_as(account):
            os.unlink(file)
    return said.replace(file, "the file") if said else None


def _run(command: list[str], environment: dict[str, str], account: Account) -> str | None:
    """Return the last thing that a program said where it failed, as the user and with nothing of this process."""
    drop: dict[str, t.Any] = {}
    if os.geteuid() != account.uid:
        drop = {"user": account.uid, "group": account.gid, "extra_groups": groups_of(account)}
    base = {"HOME": account.home, "PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    try:
        # run_command knows no other user.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            env={**base, **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **drop,
        )
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    said, status = _outcome(process)
    if status == 0:
        return None
    if status is None:
        return f"{command[0]} took longer than {SECONDS} s, or had too much to say"
    shown = re.sub(r"(?<=//)[^\s/]*@", "***@", said.decode(errors="replace"))
    words = "".join(letter if letter.isprintable() else " " for letter in shown).split()
    return " ".join(words)[:600] or f"{command[0]} failed with status {status}"


def _outcome(process: subprocess.Popen[bytes]) -> tuple[bytes, int | None]:
    """Return what a program said and its status, or None where it did not end. It may be anything that a user wrote."""
    if process.stdout is None:
        raise AssertionError("the program was started without a pipe")
    deadline, said = time.monotonic() + SECONDS, b""
    with process.stdout as pipe:
        while len(said) < MAX_SAID and select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(pipe.fileno(), MAX_SAID)
            if not part:
                break
            said += part
    try:
        return said, process.wait(timeout=1 if len(said) >= MAX_SAID else max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return said, None
