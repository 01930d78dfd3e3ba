"""The hooks of the plugin, which devpi-server finds by its entry point."""

from __future__ import annotations

from typing import Any

from pluggy import HookimplMarker
from pyramid.tweens import EXCVIEW

from devpi_wheelhouse import auth, logs, patches
from devpi_wheelhouse.rules import RulesFile

hookimpl = HookimplMarker("devpiserver")
TRANSACTION = "devpi_server.views.tween_keyfs_transaction"


@hookimpl
def devpiserver_add_parser_options(parser: Any) -> None:
    """Add the options to devpi-server."""
    group = parser.addgroup("wheelhouse")
    group.addoption(
        "--documentation-max-mib", type=int, default=512, help="MiB that documentation may have when it is unpacked"
    )
    group.addoption("--wheelhouse-private", default="", help="file of JSON that says what is private, and who reads it")
    group.addoption("--wheelhouse-without", default="", help="patches that are left out: their names, with commas")


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:
    """Put all in."""
    logs.clean()
    patches.apply(config.args.wheelhouse_without.split(","))
    auth.add(pyramid_config, RulesFile(config.args.wheelhouse_private))
    pyramid_config.add_tween("devpi_wheelhouse.documentation.tween")
    pyramid_config.add_tween("devpi_wheelhouse.mirror_logins.tween", under=TRANSACTION, over=EXCVIEW)
