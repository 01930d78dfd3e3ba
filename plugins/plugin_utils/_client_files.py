# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the role devpi_client writes, from its settings: pure functions."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._tool_files import ini, pip_options, toml

HOST_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""What Debian's update-ca-certificates makes of all CAs that the host trusts."""

TOOLS_FOLDER = "/etc/devpi-client"
TOOLS_BUNDLE = f"{TOOLS_FOLDER}/bundle.crt"
"""The same with the CA of the index, for those alone who are told of it."""

NOT_MADE_YET = "The certificate of the CA, which check mode does not make"
"""What devpi_nginx hands out in check mode on a host that has no CA yet."""

_UPDATE_HOOK = f"""\
#!/bin/sh
# update-ca-certificates runs it when it has made {HOST_BUNDLE} anew.
set -eu
umask 022
cat {TOOLS_FOLDER}/ca.crt {HOST_BUNDLE} >{TOOLS_BUNDLE}.new
mv {TOOLS_BUNDLE}.new {TOOLS_BUNDLE}
"""

UPDATE_HOOK = "/etc/ca-certificates/update.d/devpi-client"

#: What each scope has of pip's and uv's files: path and user. None is whom the folder belongs to.
_PIP_CONF = {"global": ("/etc/pip.conf", "root"), "user": ("~/.config/pip/pip.conf", "")}
_UV_TOML = {"global": ("/etc/uv/uv.toml", "root"), "user": ("~/.config/uv/uv.toml", "")}

Settings: t.TypeAlias = "Mapping[str, t.Any]"
"""The settings of the role by their names without its own, such as ``url``."""

File: t.TypeAlias = "dict[str, t.Any]"
"""A file as the module marked_files takes it."""


def files(settings: Settings) -> list[File]:
    """Return all files that the host shall have. Raises ValueError where an option cannot be written."""
    found = _of_the_ca(settings)
    if "pip" in settings["tools"]:
        found.append({**_place(settings, "pip"), "content": pip_conf(settings), "reader": "pip"})
    if "uv" in settings["tools"]:
        found.append({**_place(settings, "uv"), "content": uv_toml(settings), "reader": "uv"})
    if settings["repositories"]:
        place = {"path": "~/.pypirc", "user": settings["user"]}
        found.append({**place, "secret": pypirc(settings), "mode": "0600", "reader": "pypirc"})
    if _logs_in(settings):
        place = {"path": "~/.netrc", "user": settings["user"]}
        found.append({**place, "secret": netrc(settings), "mode": "0600", "block": True, "reader": "netrc"})
    return found


def places(settings: Settings) -> list[dict[str, str]]:
    """Return where an earlier run with the same scope and user may have written what is not wanted any more."""
    found = []
    if settings["scope"] != "user" or settings["user"]:
        found += [_place(settings, tool) for tool in ("pip", "uv") if (tool, settings["scope"]) != ("uv", "virtualenv")]
    if settings["user"]:
        found += [{"path": path, "user": settings["user"]} for path in ("~/.pypirc", "~/.netrc")]
    if not settings["ca_certificate"] or settings["ca_scope"] == "host":
        found.append({"path": TOOLS_BUNDLE, "user": "root"})
    return found


def _place(settings: Settings, tool: str) -> dict[str, str]:
    if settings["scope"] == "virtualenv":
        return {"path": f"{settings['virtualenv']}/pip.conf"}
    path, user = {"pip": _PIP_CONF, "uv": _UV_TOML}[tool][settings["scope"]]
    return {"path": path, "user": user or settings["user"]}


def bundle(settings: Settings) -> str:
    """Return the file of CAs that the tools verify by, or nothing where they have their own."""
    if not settings["ca_certificate"]:
        return ""
    return HOST_BUNDLE if settings["ca_scope"] == "host" else TOOLS_BUNDLE


def service_environment(settings: Settings) -> list[str]:
    """Return what services find in their environment. Without it, flit and twine verify by certifi."""
    if not bundle(settings) or not settings["ca_environment"]:
        return []
    return [f"{name}={bundle(settings)}" for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")]


def _split(value: str) -> tuple[str, str]:
    name, _equals, path = value.partition("=")
    return name, path


def _of_the_ca(settings: Settings) -> list[File]:
    text = settings["ca_certificate"].strip()
    if not text:
        return []
    certificate = {
        "user": "root",
        "content": f"{text}\n",
        "reader": "nobody" if text == NOT_MADE_YET else "certificate",
    }
    if settings["ca_scope"] == "host":
        host = urlsplit(settings["url"]).hostname
        found: list[File] = [{**certificate, "path": f"/usr/local/share/ca-certificates/devpi-{host}.crt"}]
    else:
        found = [
            {**certificate, "path": f"{TOOLS_FOLDER}/ca.crt"},
            {"path": UPDATE_HOOK, "user": "root", "content": _UPDATE_HOOK, "mode": "0755"},
        ]
    values = service_environment(settings)
    if values:
        logins = "".join(f"{value}\n" for value in values)
        found.append({"path": "/etc/environment", "user": "root", "content": logins, "block": True})
        # A login without PAM, such as sudo --login, has no more than the profile.
        exports = "".join(f'[ -n "${{{name}-}}" ] || export {name}={path}\n' for name, path in map(_split, values))
        found.append({"path": "/etc/profile.d/devpi-client.sh", "user": "root", "content": exports})
        services = f"[Manager]\nDefaultEnvironment={' '.join(values)}\n"
        found.append({"path": "/etc/systemd/system.conf.d/50-devpi-client.conf", "user": "root", "content": services})
    return found


def url_of(index: str, settings: Settings) -> str:
    """Return the simple page of an index, ``user/index`` or a URL of somebody else's."""
    if "://" in index:
        return index
    return f"{settings['url'].rstrip('/')}/{quote(index, safe='/@')}/+simple/"


def _indexes(settings: Settings) -> list[str]:
    """Return the further indexes, each once."""
    return list(dict.fromkeys(index for index in settings["extra_indexes"] if index != settings["index"]))


def pip_conf(settings: Settings) -> str:
    """Return pip.conf. Raises ValueError where an option cannot be written."""
    values = {"index-url": url_of(settings["index"], settings)}
    further = [url_of(index, settings) for index in _indexes(settings)]
    if further:
        values["extra-index-url"] = " ".join(further)
    if bundle(settings):
        values["cert"] = bundle(settings)
    plain = [urlsplit(url).netloc for url in (values["index-url"], *further) if url.startswith("http://")]
    if plain:
        # Without it, pip takes nothing from an index that is not encrypted.
        values["trusted-host"] = " ".join(dict.fromkeys(plain))
    of_all, of_commands = pip_options(settings["pip_options"], "devpi_client_pip_options")
    return ini({"global": {**values, **dict(sorted(of_all.items()))}, **of_commands})


def uv_toml(settings: Settings) -> str:
    """Return uv.toml. Raises ValueError where an option cannot be written."""
    options = {key: settings["uv_options"][key] for key in sorted(settings["uv_options"], key=str)}
    if settings["ca_certificate"] and settings["ca_scope"] == "host":
        options = {settings["uv_certificate_key"]: True, **options}
    text = toml(options, "devpi_client_uv_options")
    names: set[str] = set()
    # uv asks its indexes in this order, and the default one last.
    for index in [*_indexes(settings), settings["index"]]:
        entry: dict[str, t.Any] = {}
        name = index.replace("/", "-")
        # The names that uv takes. Two indexes may come to the same one.
        if re.fullmatch("[A-Za-z0-9._-]+", name) and name not in names:
            names.add(name)
            entry["name"] = name
        entry["url"] = url_of(index, settings)
        if index == settings["index"]:
            entry["default"] = True
        text += "\n[[index]]\n" + toml(entry, "devpi_client_index")
    return text


def pypirc(settings: Settings) -> str:
    """Return .pypirc. Its names and logins have been checked."""
    repositories: Sequence[Mapping[str, t.Any]] = settings["repositories"]
    text = "[distutils]\nindex-servers =\n" + "".join(f"    {one['name']}\n" for one in repositories)
    for one in repositories:
        values = {"repository": f"{settings['url'].rstrip('/')}/{quote(one['index'], safe='/@')}/"}
        values["username"] = one["username"]
        if one.get("password") is not None:
            values["password"] = one["password"]
        if bundle(settings):
            values["ca_cert"] = bundle(settings)
        text += "\n" + ini({one["name"]: values})
    return text


def pages(settings: Settings) -> list[dict[str, str]]:
    """Return the indexes of the server that have to answer, each with its address."""
    own = [index for index in dict.fromkeys([settings["index"], *settings["extra_indexes"]]) if "://" not in index]
    return [{"index": index, "url": url_of(index, settings).removesuffix("/+simple/")} for index in own]


def _logs_in(settings: Settings) -> bool:
    login = settings["login"] or {}
    return login.get("username") is not None and login.get("password") is not None


def netrc(settings: Settings) -> str:
    """Return the block of .netrc. Its words have been checked."""
    login = settings["login"]
    host = urlsplit(settings["url"]).hostname
    return f"machine {host}\nlogin {login['username']}\npassword {login['password']}\n"
