# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the nginx that a host has already, before anything changes.

Usage: look_at_nginx.py PLAN, where PLAN is the JSON of a Plan. Prints as JSON: `problems`, sentences that say
what is in the way and what to do about it; `default_ports`, those of our ports whose default server no other site is;
and `removes_default`, whether sites-enabled/default is Debian's own page, which has to go.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Written into each vhost of ours.
MARK = "wheelhouse.devpi.devpi_nginx"
VHOST = "sites-enabled/devpi.conf"
DEFAULT = "sites-enabled/default"
LUA = "ngx_http_lua_module"
#: What our vhost says outside of its servers, and nginx takes once only.
ONCE = ("server_names_hash_bucket_size", "lua_max_running_timers", "lua_package_path", "init_by_lua_file")
TOKEN = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\\.|\$\{[^}]*\}|[^\s{};"'\\])+""")


@dataclass(frozen=True)
class Plan:
    """What the role is going to do.

    Attributes:
        domain: The name of the index.
        ports: The ports for it, by the variable that gives each.
        needs_lua: Whether the vhost has Lua in it.
        devpi: What a server block has in it that passes requests to devpi or reads its files.
        sandbox: A file that only a run of the role writes.
        etc: The folder of nginx.
    """

    domain: str
    ports: dict[str, int]
    needs_lua: bool
    devpi: list[str]
    sandbox: str
    etc: str = "/etc/nginx"


@dataclass
class Directive:
    """A directive of nginx: its words, where it stands, and what is in its block."""

    words: list[str]
    path: str
    line: int
    inner: list[Directive] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the name of the directive."""
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


def tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a configuration, each with its line. The code of a block of Lua is one word."""
    position = line = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        word = found[0] if found else text[position]
        line_of_word = line + 1
        if not word.isspace() and not word.startswith("#"):
            yield word, line_of_word
        position += len(word)
        line += word.count("\n")
        if word.endswith("_by_lua_block"):
            start = text.index("{", position)
            end = end_of_block(text, start)
            yield ";", line_of_word
            line += text.count("\n", position, end)
            position = end


def end_of_block(text: str, start: int) -> int:
    """Return where a block of Lua ends. Brackets in its texts and comments are no brackets of the code."""
    depth = 0
    for found in re.compile(r"""--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}]""").finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return len(text)


def parse(words: Iterator[tuple[str, int]], path: str) -> list[Directive]:
    """Return the directives of a file, or of a block of it. What includes name is not in there."""
    made: list[Directive] = []
    sentence: list[str] = []
    begin = 0
    for word, line in words:
        if word == "}":
            break
        if word in {";", "{"}:
            if sentence:
                inner = parse(words, path) if word == "{" else []
                made.append(Directive(sentence, path, begin, inner))
            sentence = []
            continue
        begin = begin if sentence else line
        sentence.append(word[1:-1] if word[0] in "\"'" and word[-1] == word[0] else word)
    return made


class Configuration:
    """All files that nginx of this host reads, as one tree."""

    def __init__(self, etc: str, without: tuple[str, ...] = ()) -> None:
        self.etc, self.without = etc, {os.path.join(etc, name) for name in without}
        self.includes: list[str] = []
        self.top = self.read(os.path.join(etc, "nginx.conf"))

    def read(self, path: str) -> list[Directive]:
        """Return what is in a file, with what it includes in the place of each include."""
        try:
            text = Path(path).read_text("utf-8", "replace")
        except OSError:
            return []
        return list(self.resolve(parse(tokens(text), path)))

    def resolve(self, directives: list[Directive]) -> Iterator[Directive]:
        """Yield the directives, with what they include. A file that includes itself is none that nginx starts with."""
        for one in directives:
            if one.name != "include" or len(one.words) != 2:
                one.inner = list(self.resolve(one.inner))
                yield one
                continue
            pattern = os.path.join(self.etc, one.words[1])
            known = self.includes.count(pattern) > 20
            self.includes.append(pattern)
            for path in sorted(glob.glob(pattern)) if not known else []:
                if path not in self.without:
                    yield from self.read(path)

    def reads(self, name: str) -> bool:
        """Return whether a file of that name below /etc/nginx would be read."""
        path = os.path.join(self.etc, name)
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.includes)

    def http(self) -> list[Directive]:
        """Return what stands in the block http."""
        return [inner for one in self.top if one.name == "http" for inner in one.inner]

    def servers(self) -> list[Directive]:
        """Return the servers."""
        return [one for one in self.http() if one.name == "server"]


def all_words(directive: Directive) -> list[str]:
    """Return the words of a directive and of all in its block."""
    return [*directive.words, *(word for inner in directive.inner for word in all_words(inner))]


def ports_of(server: Directive, *options: str) -> set[int]:
    """Return the TCP ports of a server, or those whose listen has one of the options."""
    listens = [one.words[1:] for one in server.inner if one.name == "listen" and len(one.words) > 1]
    found = set()
    for address, *said in listens or [["80"]]:
        port = re.search(r"(?:^|[\]:])(\d+)$", address)
        if not address.startswith("unix:") and (not options or set(options) & set(said)):
            found.add(int(port[1]) if port else 80)
    return found


def names_of(server: Directive) -> set[str]:
    """Return the names of a server, in lower case."""
    return {word.lower() for one in server.inner if one.name == "server_name" for word in one.words[1:]}


def problems(plan: Plan, configuration: Configuration, listeners: dict[int, str], is_ours: bool) -> list[str]:
    """Return a sentence for all that the vhost would break on, or that would answer in its place.

    Args:
        plan: What the role is going to do.
        configuration: That of the host, without what is ours. It has no directives where there is no nginx.
        listeners: The processes that listen, but for nginx, by port.
        is_ours: Whether a run of the role made the host's devpi.conf.
    """
    found = [
        f"{variable} is {port}, and on that port listens {listeners[port]}: stop it, or set {variable} to another port."
        for variable, port in plan.ports.items()
        if port in listeners
    ]
    etc = Path(plan.etc)
    for path in (etc / VHOST, etc / "sites-available/devpi.conf"):
        # One that is ours links to the other one, and may be made from a template without the mark.
        if (path.exists() or path.is_symlink()) and not is_ours and MARK not in text_of(path):
            found.append(
                f"{path} is not of this collection, which would overwrite it: mv {path} {etc}/devpi.conf.before, and"
                " look whether nginx -t still passes."
            )
    return found + (problems_of_configuration(plan, configuration) if configuration.top else [])


def problems_of_configuration(plan: Plan, configuration: Configuration) -> list[str]:
    """Return what is wrong with the configuration that is there."""
    found, etc = [], configuration.etc
    if not configuration.reads(VHOST):
        found.append(
            f"{etc}/nginx.conf does not read {etc}/{VHOST}: write `include {etc}/sites-enabled/*;` at the end of its"
            " block http."
        )
    loads = any(one.name == "load_module" and LUA in one.words[-1] for one in configuration.top)
    if plan.needs_lua and not loads and not configuration.reads("modules-enabled/50-mod-http-lua.conf"):
        found.append(
            f"{etc}/nginx.conf does not load the modules of Debian's packages, and the index needs that of Lua: write"
            f" `include {etc}/modules-enabled/*.conf;` before its block events."
        )
    found += [
        f"{one} has `{one.name}`, which may stand once only and is in the vhost of the index: remove it there,"
        " or put it into the servers that need it where nginx allows that."
        for one in configuration.http()
        if one.name in ONCE
    ]
    ports = set(plan.ports.values())
    for server in configuration.servers():
        addresses = addresses_of(server, ports)
        if addresses:
            bare = sorted(ports_of(server) & ports)
            found.append(
                f"{server} listens to {addresses[0]}, and nginx gives what comes to that address to the servers that"
                f" name it, never to the index: write `listen {bare[0]}` there, with the options that it has now."
            )
        if plan.domain not in names_of(server):
            continue
        devpi = [word for word in all_words(server) if any(what in word for what in plan.devpi)]
        if ports_of(server) & ports or devpi:
            what = f" and passes to `{devpi[0]}`" if devpi else ""
            numbers = ", ".join(map(str, sorted(ports_of(server))))
            found.append(
                f"{server} has a server for {plan.domain} as well (port {numbers}{what}), which would answer past the"
                " TLS, the limits and the privacy of the index: remove it, or take the name from it."
            )
    return found


def addresses_of(server: Directive, ports: set[int]) -> list[str]:
    """Return the addresses of a server that are no wildcards and no loopback, on these ports."""
    listens = [one.words[1] for one in server.inner if one.name == "listen" and len(one.words) > 1]
    named = [re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(\d+))?", address) for address in listens]
    return [
        one[0]
        for one in named
        if one and not one[1].isdigit() and int(one[2] or 80) in ports
        and one[1] not in {"*", "[::]", "0.0.0.0", "[::1]", "localhost"} and not one[1].startswith("127.")
    ]  # fmt: skip


def broken_already() -> list[str]:
    """Return what nginx says of the configuration as it is, where there is an nginx and it would not start."""
    os.umask(0o027)  # nginx makes the logs that are not there yet, which tell who asked for what.
    try:
        test = subprocess.run(["nginx", "-t", "-q"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return [f"nginx of this host would not start as it is, so mend that first: {test.stderr.strip()}"] * (
        test.returncode != 0
    )


def default_ports(plan: Plan, configuration: Configuration) -> list[int]:
    """Return those of our ports whose default server no site of somebody else is."""
    theirs = {
        port for server in configuration.servers() for port in ports_of(server, "default_server", "default")
    }  # fmt: skip
    return [port for port in plan.ports.values() if port not in theirs]


def text_of(path: Path) -> str:
    """Return what is in a file, or "" where nobody can read it."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def is_debians(path: Path) -> bool:
    """Return whether the site is the page that the package nginx-common brings, unchanged, as a link or a copy."""
    if not path.exists():
        return True  # It leads nowhere: nginx does not start with it.
    try:
        said = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Conffiles}", "nginx-common"],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
    except OSError:
        return False
    sums = re.findall(r"/sites-available/default (\S+)", said)
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() in sums


def look_at_listeners(proc: Path = Path("/proc")) -> dict[int, str]:
    """Return the processes that listen to TCP ports, by port, as `apache2 (process 12, of apache2.service)`."""
    inodes = {}
    for name in ("net/tcp", "net/tcp6"):
        for line in text_of(proc / name).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                inodes[f"socket:[{words[9]}]"] = int(words[1].rpartition(":")[2], 16)
    found = dict.fromkeys(inodes.values(), "a process of another user or container")
    for folder in proc.glob("[0-9]*") if inodes else []:
        with contextlib.suppress(OSError):  # It has ended.
            for handle in os.listdir(folder / "fd"):
                port = inodes.get(os.readlink(folder / "fd" / handle))
                if port is not None:
                    unit = re.search(r"([^/\n]+\.(?:service|scope))$", text_of(folder / "cgroup"), re.MULTILINE)
                    of_unit = f", of {unit[1]}" if unit else ""
                    found[port] = f"{text_of(folder / 'comm').strip()} (process {folder.name}{of_unit})"
    return found


def look(plan: Plan) -> dict[str, object]:
    """Look at the host."""
    etc = Path(plan.etc)
    # The package may bring it yet.
    removes_default = not os.path.lexists(etc / DEFAULT) or is_debians(etc / DEFAULT)
    configuration = Configuration(plan.etc, without=(VHOST, *([DEFAULT] if removes_default else [])))
    listeners = {port: who for port, who in look_at_listeners().items() if not who.endswith(" of nginx.service)")}
    is_ours = Path(plan.sandbox).exists()
    return {
        "problems": problems(plan, configuration, listeners, is_ours) + ([] if is_ours else broken_already()),
        "default_ports": default_ports(plan, configuration),
        "removes_default": removes_default,
    }


def read_plan(text: str) -> Plan:
    """Return the plan of a JSON. Ansible before 2.19 makes texts of numbers."""
    given = json.loads(text)
    return Plan(**{**given, "ports": {variable: int(port) for variable, port in given["ports"].items()}})


if __name__ == "__main__":
    print(json.dumps(look(read_plan(sys.argv[1]))))
