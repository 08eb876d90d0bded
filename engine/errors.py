"""The exceptions whose text is meant for the user."""


class UserError(Exception):
    """Something the user can mend: bad input, a missing file, an unusable device.

    The message is one line that says what is wrong, where, and what is allowed or what to do.
    Front ends print it as it is, without a traceback, and nothing has been changed when it is raised.
    """


class CardTooSmallError(UserError):
    """A card has no room for what was asked of it; the message says what would fit."""
