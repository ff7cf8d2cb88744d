"""Whether a network's graph is being recorded for `mmsa export`: lengths are symbols then, not numbers.

A symbol can be no key of a cache or dict, and what is decided by its value holds for one length only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import SymInt, Tensor

_recording = ContextVar("recording", default=False)


def recording() -> bool:
    """Whether the operations that run now are recorded."""
    return _recording.get()


@contextmanager
def recorded() -> Iterator[None]:
    """What runs in the block is recorded, for any lengths and without gradients."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


def uncached(function: Any) -> Callable[..., Tensor]:
    """A function whose results `lru_cache` keeps; while recording without: what is made then belongs to the graph."""
    found: Callable[..., Tensor] = function.__wrapped__ if recording() else function
    return found


def symbolic(size: int) -> bool:
    """Whether a size stands for any number, because a graph is being recorded."""
    return isinstance(size, SymInt)
