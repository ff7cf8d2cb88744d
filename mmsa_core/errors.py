"""What a user can put right: one clear message, exit code 2, no traceback."""


class UserError(Exception):
    """Says what was found, where, what was expected and what to do."""
