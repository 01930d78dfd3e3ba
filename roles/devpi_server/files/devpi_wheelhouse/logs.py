"""devpi logs the settings of an index as they are: here without the logins in the URLs of mirrors."""

from __future__ import annotations

import logging

from devpi_wheelhouse.mirror_logins import LOGIN


class WithoutLogins(logging.Formatter):
    """Formats a record as another formatter does, and takes the logins out of all URLs, also those of a traceback."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the text that is logged."""
        return LOGIN.sub("", self._formatter.format(record))


def clean() -> None:
    """Let all handlers log without logins."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, WithoutLogins):
            handler.setFormatter(WithoutLogins(handler.formatter))
