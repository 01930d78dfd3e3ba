"""An end of the waiting for LDAP: devpi-ldap waits for ever, and a login that waits keeps all others from writing."""

from __future__ import annotations

import functools
from typing import Any

from devpi_server.log import threadlog

#: Seconds that a server has to take a connection.
CONNECT_TIMEOUT = 5


class Bounded:
    """ldap3, with an end of the waiting for servers that do not answer."""

    def __init__(self, ldap3: Any) -> None:
        self._ldap3 = ldap3
        ldap3.set_config_parameter("POOLING_LOOP_TIMEOUT", 0)
        self.Server = functools.partial(ldap3.Server, connect_timeout=CONNECT_TIMEOUT)
        # Each server is tried once.
        self.ServerPool = functools.partial(ldap3.ServerPool, active=1)

    def __getattr__(self, name: str) -> Any:
        """Everything else is ldap3's own."""
        return getattr(self._ldap3, name)


def give_up(module: Any) -> None:
    """Let devpi-ldap (its module `main`) give up, and devpi go on with the passwords of its own."""
    validate = module.LDAP.validate

    def validate_or_give_up(self: Any, username: str, password: str) -> Any:
        try:
            return validate(self, username, password)
        except (module.LDAP.LDAPException, module.AuthException) as problem:
            threadlog.error("LDAP gave no answer, so %r cannot log in by it: %s", username, problem)
            return {"status": "unknown"}

    module.LDAP.ldap3 = Bounded(module.ldap3)
    module.LDAP.validate = validate_or_give_up
