"""Being asked to end: at the first SIGINT or SIGTERM (Slurm's time limit) the step is finished and the state saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mmsa_core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: what was begun can go on."""


class Stop:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self.asked = False
        self.patient = False
        """Whether the first signal is only remembered; before there is anything to save it ends all at once."""

    def __call__(self) -> bool:
        return self.asked

    @contextmanager
    def heard(self) -> Iterator["Stop"]:
        """Hear the signals; a second one ends the block at once. Only the main thread hears any.

        Raises:
            Interrupted: where the block was ended by a signal.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {each: signal.signal(each, self._hear) for each in SIGNALS}
        try:
            yield self
        except KeyboardInterrupt as error:
            raise Interrupted from error
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = self.asked, True
        if again or not self.patient:
            raise KeyboardInterrupt
