# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules promise about check mode, diffs and running twice."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing it.
    support: full
    details:
      - The HTTP client of the collection refuses to write in check mode, so no module can write by mistake.
  diff_mode:
    description: Tells in diff mode what changed, or would change in check mode.
    support: full
    details:
      - Passwords, and user and password in the URLs of mirrors, are not shown.
  idempotent:
    description: Run again with the same options, it changes nothing and says so.
    support: full
    details:
      - A change is reported only where the serial of the server rises.
"""

    INFO = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing it.
    support: full
    details:
      - The module only reads.
  diff_mode:
    description: Tells in diff mode what changed, or would change in check mode.
    support: N/A
    details:
      - The module only reads.
  idempotent:
    description: Run again with the same options, it changes nothing and says so.
    support: full
    details:
      - The module only reads.
"""

    WATCHED = r"""
attributes:
  action:
    description: Has an action plugin of the same name, which runs on the controller.
    support: full
    details:
      - It shows how far the module is. Everything else is done by the module.
  async:
    description: Can run in the background with C(async).
    support: full
"""

    FILES = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing it.
    support: full
  diff_mode:
    description: Tells in diff mode what changed, or would change in check mode.
    support: full
    details:
      - Secrets, files that are removed, and user and password in URLs are not shown.
  idempotent:
    description: Run again with the same options, it changes nothing and says so.
    support: full
"""
