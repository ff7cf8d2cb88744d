"""What runs jobs: the little that those who have work to do need to know of it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from mmsa_core.run_folder.lock import Handed


class Failure(NamedTuple):
    """Why a job failed."""

    message: str
    where: str = ""
    """The traceback in its process."""
    crashed: bool = False
    """Whether it was ended from outside, without a word: begun again it may end well."""


class Running(Protocol):
    """A job that was started."""

    interrupted: bool
    """Whether it has ended because it was told to."""

    def ended(self) -> bool:
        """Whether it is over, however it ended."""

    def close(self) -> Failure | None:
        """Of a job that has ended: why it failed, or None."""

    def terminate(self) -> None:
        """Tell it to save its state and to end."""

    def stop(self) -> None:
        """See to it that a job which was told to end does."""


class Executor(Protocol):
    """Starts jobs."""

    capacity: int
    """CPU cores that it has."""

    def start(
        self, function: Callable[..., None], arguments: tuple[Any, ...], name: str, locked: Handed | None
    ) -> Running:
        """Begin `function(*arguments)` elsewhere.

        A mistake that it raises becomes its `Failure`. Where it can, it keeps the lock `locked` until it has ended.
        """

    def wait(self, running: Iterable[Any], seconds: float) -> None:
        """Until one of some jobs may have ended, and so long at most."""

    def close(self) -> None:
        """Nothing more will be started."""
