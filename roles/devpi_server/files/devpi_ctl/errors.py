"""What ends a program, with a reason for a person."""


class SwitchError(Exception):
    """The switch cannot go on; the message is the reason, for a person."""


class PrivateError(SwitchError):
    """An answer is for those who log in."""
