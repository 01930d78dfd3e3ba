"""Install pip into the virtual environment of this Python, with the wheel of pip that Debian carries.

ansible-test runs it in place of the script that it would download, with options for `pip install` and two more.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

wheel = next(Path("/usr/share/python-wheels").glob("pip-*.whl"))
sys.path.insert(0, str(wheel))
options = [option for option in sys.argv[1:] if option not in {"--no-setuptools", "--no-wheel"}]
sys.argv = ["pip", "install", "--root-user-action=ignore", *options]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
