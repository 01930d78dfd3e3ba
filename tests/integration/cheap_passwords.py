"""Run a command of devpi-server whose passwords cost little to check: cheap_passwords.py PATH ARGUMENT...

Each call of a module logs in, and argon2 takes a third of a second of CPU for that. Only the parameters of the
hash are others, as with the --argon2 options, which count for the key of logins alone.
"""

from __future__ import annotations

import runpy
import sys

from devpi_server.auth import pwd_context

pwd_context.update(argon2__memory_cost=1024, argon2__time_cost=1, argon2__parallelism=1)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
