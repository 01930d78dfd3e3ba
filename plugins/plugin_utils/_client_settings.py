# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_client have to be."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.wheelhouse.devpi.plugins.module_utils._names import NAME_RULE, is_index
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _client_files as client_files
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _rules as rules
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings, shown
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._tool_files import pip_options, toml

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9/._~%+-]*)?")
_CERTIFICATE = re.compile(r"\s*-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*")

_OWN_OPTIONS = frozenset(
    [
        "allow-insecure-host",
        "cert",
        "extra-index-url",
        "index",
        "index-url",
        "native-tls",
        "system-certs",
        "trusted-host",
    ]
)
"""What the role writes by itself."""


def derive(settings: Settings) -> None:
    """Fill in what follows from other settings where it was left empty."""
    settings.derive("devpi_client_url", rules.authority_url(settings) if settings.get("devpi_domain") else None)
    if settings.problems or not settings.get("devpi_client_url"):
        return
    values = settings.keyed()
    try:
        files = client_files.files(values)
    except ValueError:
        return  # The checks say why.
    settings.derived.update(
        files=files,
        ca_files=[file for file in files if file["path"].endswith((".crt", client_files.UPDATE_HOOK))],
        places=client_files.places(values),
        bundle=client_files.bundle(values),
        pages=client_files.pages(values),
        service_environment=client_files.service_environment(values),
    )


def check(settings: Settings, _read: Callable[[str], str | None]) -> None:
    """Add what is wrong."""
    _check_server(settings)
    _check_indexes(settings)
    _check_scope(settings)
    _check_options(settings)
    _check_repositories(settings)
    _check_login(settings)
    certificate = (settings.get("devpi_client_ca_certificate") or "").strip()
    if certificate and certificate != client_files.NOT_MADE_YET and not _CERTIFICATE.fullmatch(certificate):
        settings.problems.append(
            f"devpi_client_ca_certificate is '{certificate[:60]}': it has to be the PEM text of one certificate, from "
            "BEGIN CERTIFICATE to END CERTIFICATE, or empty."
        )


def _check_server(settings: Settings) -> None:
    rules.domain(settings)
    rules.numbers(settings, {"devpi_https_port": (1, 65535)})
    url = settings.get("devpi_client_url")
    if url is None:
        if "devpi_domain" in settings.values and not settings.get("devpi_domain"):
            settings.problems.append("devpi_domain is missing. Write the host name of the index, or devpi_client_url.")
    elif not _URL.fullmatch(url) or "/+" in url:
        settings.refuse(
            "devpi_client_url",
            "it has to be the URL of the server, such as https://devpi.example.org, with scheme and host, without "
            "user, password, index or +simple. Credentials belong into ~/.netrc.",
        )


def _check_indexes(settings: Settings) -> None:
    index, further = settings.get("devpi_client_index"), rules.items(settings.get("devpi_client_extra_indexes"))
    if index is not None and not is_index(index):
        settings.refuse("devpi_client_index", f"it has to be user/index, such as root/pypi ({NAME_RULE}).")
    settings.problems += [
        f"devpi_client_extra_indexes[{number}] is {shown(one, 'devpi_client_extra_indexes')}: it has to be user/index, "
        "such as root/pypi, or a URL without credentials, such as https://mirrors.example.org/simple/."
        for number, one in enumerate(further)
        if not is_index(one) and not _URL.fullmatch(one)
    ]
    if settings.get("devpi_client_allow_http") is False:
        places = {"devpi_client_url": settings.get("devpi_client_url") or ""}
        places.update((f"devpi_client_extra_indexes[{number}]", one) for number, one in enumerate(further))
        settings.problems += [
            f"{place} is {shown(one, place)}: use https://, or set devpi_client_allow_http to true and accept that "
            "packages can be replaced on their way."
            for place, one in places.items()
            if one.startswith("http://") and _URL.fullmatch(one)
        ]


def _check_scope(settings: Settings) -> None:
    scope, user = settings.get("devpi_client_scope"), settings.get("devpi_client_user")
    if user == "":
        reasons = {
            "devpi_client_scope user": scope == "user",
            "devpi_client_repositories": bool(settings.get("devpi_client_repositories")),
            "devpi_client_login": _has_login(settings),
        }
        needed = [reason for reason, holds in reasons.items() if holds]
        if needed:
            settings.refuse("devpi_client_user", f"it has to be a user of the host, for {' and '.join(needed)}.")
    elif user is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*\$?", user):
        settings.refuse("devpi_client_user", "it has to be the name of a user of the host, such as ci.")
    if scope == "virtualenv":
        folder = settings.get("devpi_client_virtualenv")
        if folder is not None and (not folder.startswith("/") or folder == "/"):
            settings.refuse(
                "devpi_client_virtualenv",
                "devpi_client_scope virtualenv needs the absolute path of a virtual environment, such as "
                "/srv/app/venv.",
            )
        if "uv" in rules.items(settings.get("devpi_client_tools")):
            settings.problems.append(
                "devpi_client_tools has uv, which has no configuration of a virtual environment: set it to [pip], and "
                "point uv at the index with devpi_client_scope global or user."
            )


def _check_options(settings: Settings) -> None:
    writers: dict[str, Callable[[t.Any, str], t.Any]] = {
        "devpi_client_pip_options": pip_options,
        "devpi_client_uv_options": toml,
    }
    for variable, write in writers.items():
        options = settings.get(variable) or {}
        inner = [value for value in options.values() if isinstance(value, Mapping)]
        taken = {_plain(key) for part in (options, *inner) for key in part} & _OWN_OPTIONS
        if taken:
            settings.problems.append(
                f"{variable} has {', '.join(sorted(taken))}: the role writes that itself, from devpi_client_index, "
                "devpi_client_extra_indexes, devpi_client_allow_http and devpi_client_ca_certificate."
            )
        try:
            write(options, variable)
        except ValueError as error:
            settings.problems.append(str(error))


def _plain(key: t.Any) -> str:
    return str(key).lower().replace("_", "-").lstrip("-")


def _check_repositories(settings: Settings) -> None:
    seen: set[str] = set()
    for number, one in enumerate(rules.items(settings.get("devpi_client_repositories"))):
        place = f"devpi_client_repositories[{number}]"
        if not re.fullmatch("[A-Za-z0-9._-]+", one["name"]) or one["name"] == "distutils":
            settings.problems.append(
                f"{place}.name is '{one['name']}': it has to be of letters, digits and . _ -, and not distutils."
            )
        elif one["name"].lower() in seen:
            settings.problems.append(f"{place}.name is '{one['name']}' once more: write each repository once.")
        seen.add(one["name"].lower())
        if not is_index(one["index"]):
            settings.problems.append(
                f"{place}.index is '{one['index']}': it has to be user/index, such as team/dev, without +simple."
            )
        settings.problems += [
            f"{place}.{key} is empty, begins or ends with a blank, or has several lines: .pypirc cannot hold it. "
            "Without a password, twine asks for it."
            for key in ("username", "password")
            if one[key] is not None and not re.fullmatch(r"[^\s\x00-\x1f](?:[^\x00-\x1f\x7f]*[^\s])?", one[key])
        ]


def _has_login(settings: Settings) -> bool:
    return any(value is not None for value in (settings.get("devpi_client_login") or {}).values())


def _check_login(settings: Settings) -> None:
    if not _has_login(settings):
        return
    login = settings.values["devpi_client_login"]
    settings.problems += [
        f"devpi_client_login.{key} is {'missing' if login[key] is None else 'not shown here'}: it needs username and "
        "password, and neither may be empty or have a blank, a quote, a backslash or '#', which .netrc cannot hold."
        for key in ("username", "password")
        if login[key] is None or not re.fullmatch(r"[^\s\"'\\#\x00-\x1f\x7f]+", login[key])
    ]
