"""What a user can put right: one clear message, exit code 2, no traceback."""


class UserError(Exception):
    """Says what was found, where, what was expected and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: the message, without the way to it."""
        return [f"error: {self}"]


class Together(UserError):
    """What every process of a training finds by itself; the first one says it."""


class Interrupted(Exception):
    """Training was asked to stop; what it needs to go on is saved."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it."""
        return [f"stopped; {self}"]
