# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of the role devpi_backup have to be."""

from __future__ import annotations

import re
from collections.abc import Callable

from ansible_collections.wheelhouse.devpi.plugins.plugin_utils import _rules as rules
from ansible_collections.wheelhouse.devpi.plugins.plugin_utils._settings import Settings

PERIODS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")


def derive(settings: Settings) -> None:
    """Read the numbers of what is kept."""
    keep = settings.get("devpi_backup_keep")
    if keep is not None:
        settings.values["devpi_backup_keep"] = {
            period: int(number) if re.fullmatch(r"[0-9]+", str(number)) else number for period, number in keep.items()
        }


def check(settings: Settings, _read: Callable[[str], str | None]) -> None:
    """Add what is wrong."""
    rules.domain(settings)
    rules.unix_socket(settings, "devpi_socket")
    folders = ["devpi_directory", "devpi_install_directory", "devpi_backup_state_directory"]
    for variable in folders:
        rules.folder(settings, variable)
    rules.apart(settings, folders)
    _repository(settings)
    rules.one_line(settings, "devpi_backup_password", "and everybody who has the repository can read it")
    rules.environment(settings, "devpi_backup_environment")
    _keep(settings)
    for variable in ("devpi_backup_schedule", "devpi_backup_drill_schedule"):
        value = settings.get(variable)
        if value is not None and not re.fullmatch(r"[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*", value):
            settings.refuse(
                variable,
                "it has to be a time as systemd's OnCalendar takes it, such as '*-*-* 01:30:00' for each night.",
            )
    snapshot = settings.get("devpi_backup_restore_snapshot")
    if snapshot is not None and not re.fullmatch(r"latest|[0-9a-f]{8,64}", snapshot):
        settings.refuse(
            "devpi_backup_restore_snapshot",
            "it has to be latest, or 8 digits or more of an id that `restic snapshots` lists.",
        )
    key, hosts = settings.get("devpi_backup_ssh_key"), settings.get("devpi_backup_ssh_known_hosts")
    if key and (not re.search("-----BEGIN [A-Z ]*PRIVATE KEY-----", key) or hosts == []):
        settings.problems.append(
            "devpi_backup_ssh_key has to be the text of a private key, and devpi_backup_ssh_known_hosts the lines that "
            "ssh-keyscan prints for the host of the repository: without them nobody knows whether it is that host."
        )


def _repository(settings: Settings) -> None:
    repository = settings.get("devpi_backup_repository")
    if repository is None:
        return
    if repository.startswith("/"):
        # In a home as well: the unit may write to this folder.
        closed = [place for place in rules.CLOSED if place not in ("/home", "/root")]
        if rules.path(settings, "devpi_backup_repository"):
            rules.reachable(settings, "devpi_backup_repository", closed, "/mnt/backup/devpi")
        rules.apart(settings, ["devpi_backup_repository", "devpi_directory", "devpi_backup_state_directory"])
    elif not re.fullmatch(r"(sftp:\S+|s3:\S+|rest:https?://\S+)", repository):
        settings.refuse(
            "devpi_backup_repository",
            "it has to be an absolute folder of the host, sftp:user@host:/folder, s3:https://host/bucket or "
            "rest:https://host/.",
        )


def _keep(settings: Settings) -> None:
    keep = settings.get("devpi_backup_keep")
    if keep is None:
        return
    numbers = [
        number for number in keep.values() if isinstance(number, int) and not isinstance(number, bool) and number > 0
    ]
    if not keep or len(numbers) < len(keep) or not all(period in PERIODS for period in keep):
        settings.problems.append(
            f"devpi_backup_keep has {', '.join(map(str, keep)) or 'nothing'}: it has to give, for some of "
            f"{', '.join(PERIODS)}, how many backups are kept, such as {{daily: 7, weekly: 5}}."
        )
