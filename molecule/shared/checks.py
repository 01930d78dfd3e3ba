# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests compare with."""

from __future__ import annotations


class Checks:
    """Counts what was as it should be."""

    passed = 0
    failed = 0

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Compare."""
        if found == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{what}: {found} instead of {wanted}")

    def report(self) -> int:
        """Print the count. Returns the exit status."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
