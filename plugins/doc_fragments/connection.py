# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that every module shares to reach devpi-server."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of CONNECTION_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where devpi-server answers, without the name of an index.
      - >-
        On its own host that is its unix socket, written V(unix:///run/devpi/devpi.sock). Nothing is sent to it unless
        root or the owner of its folder listens there, and only root could make that folder.
      - >-
        Any user of a host can listen at a port of it. So V(http://127.0.0.1:3141) and its like are refused where a user
        listens who is neither root, nor a system account, nor who runs the task.
      - The environment variable E(DEVPI_URL) of the managed host is used where the option is not set.
      - No HTTP proxy is used for C(localhost) and the loopback addresses.
    type: str
    default: unix:///run/devpi/devpi.sock
  login_user:
    description:
      - The user to log in as. Only V(root), or a user named by C(--restrict-modify) of devpi-server, may change users.
      - The environment variable E(DEVPI_USER) of the managed host is used where the option is not set.
    type: str
    default: root
  login_password:
    description:
      - The password of O(login_user). It must not be empty.
      - The environment variable E(DEVPI_PASSWORD) of the managed host is used where the option is not set.
    type: str
  login_password_file:
    description:
      - A file on the managed host whose first line is the password of O(login_user).
      - The password then passes through no variable, fact or log. Wins over O(login_password).
    type: path
  validate_certs:
    description:
      - Whether the certificate of an C(https) O(url) must be trusted.
      - Write O(ca_path) rather than V(false) for a CA of your own.
    type: bool
    default: true
  ca_path:
    description:
      - A file on the managed host with the certificates of the CAs to trust, in PEM format.
    type: path
  timeout:
    description:
      - How many seconds a request may take.
    type: int
    default: 30
requirements:
  - Python 3.9 or newer on the managed host; no library, and no C(devpi) command.
  - devpi-server 6.20.2 or newer, or 7.
notes:
  - The options to connect can be set for all modules at once with C(module_defaults) and the action group
    C(group/wheelhouse.devpi.devpi).
"""
