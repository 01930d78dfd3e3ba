# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload 100 versions, and install each at once from an index that inherits it. Then delete one, and look at once."""

from __future__ import annotations

import base64
import sys
import threading

from front import PASSWORD, USER, Connection, ask, file_names, install, upload

UPLOADS = 100
INHERITING = "team/dev"
PAGE = f"/{INHERITING}/+simple/proof/"


def main() -> int:
    """Returns the exit status."""
    done = threading.Event()

    def keep_warm() -> None:
        # Without somebody who asks all the time, there would be nothing in the cache to be seen instead.
        connection = Connection()
        while not done.wait(0.02):
            connection.ask(PAGE)
        connection.close()

    warming = threading.Thread(target=keep_warm)
    warming.start()
    problems = []
    try:
        for number in range(UPLOADS):
            upload("proof", f"1.{number}", "team/base")
            problem = install(("pip download", "uv")[number % 2], INHERITING, f"proof==1.{number}")
            if problem:
                problems.append(f"1.{number}: {problem}")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
        status, _headers, said = ask("/team/base/proof/1.7", method="DELETE", headers=headers)
        listed = file_names(ask(PAGE)[2])
    finally:
        done.set()
        warming.join()
    print(f"uploaded and installed at once: {UPLOADS - len(problems)} of {UPLOADS}")
    print(*problems, sep="\n")
    deleted = status == 200 and not any("-1.7-" in name for name in listed) and len(listed) == UPLOADS - 1
    print(f"deleted and gone at once: {deleted} (status {status} {said.decode()[:100]})")
    return 0 if deleted and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
