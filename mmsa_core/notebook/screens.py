"""What a notebook sees of a command's work, and that its torch is left as it was."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmsa_core.display import Display
from mmsa_core.plain import plain
from mmsa_core.screen import Screen


class Quiet(Display):
    """Shows warnings alone, on standard error."""

    def __init__(self) -> None:
        super().__init__(Screen(quiet=True))

    def warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            print(plain(f"warning: {message}"), file=sys.stderr)


def display(quiet: bool) -> Display:
    """Where things are printed."""
    return Quiet() if quiet else Display()


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give torch its number of threads back, which a recipe sets for its own work."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
