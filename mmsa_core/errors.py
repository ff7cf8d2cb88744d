"""What a user can put right: one clear message, exit code 2, no traceback."""


class UserError(Exception):
    """Says what was found, where, what was expected and what to do."""


class Together(UserError):
    """What every process of a training finds by itself; the first one says it."""


class Interrupted(Exception):
    """Training was asked to stop; what it needs to go on is saved."""
