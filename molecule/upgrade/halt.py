# Copyright: (c) 2026, The wheelhouse founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`halt.py PROGRAM STATE run` is switch.py, which sends itself a signal as soon as it is in a step that the test names.

Some steps last a millisecond: from outside they would be met by luck.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

#: A signal for each step, once.
SIGNALS = Path("/srv/upgrade/signals.json")


def main(program: str, state: str, command: str) -> int:
    """Run switch.py. Returns its exit status."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("switch", program)
    assert spec is not None
    assert spec.loader is not None
    switch = importlib.util.module_from_spec(spec)
    sys.modules["switch"] = switch
    spec.loader.exec_module(switch)
    keep = switch.Switch.step

    def step(self: Any, name: str, **more: Any) -> None:
        keep(self, name, **more)
        signals = json.loads(SIGNALS.read_text()) if SIGNALS.exists() else {}
        if name in signals:
            number = signals.pop(name)
            SIGNALS.write_text(json.dumps(signals))
            os.kill(os.getpid(), number)

    switch.Switch.step = step
    status: int = switch.main(Path(state), command)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
