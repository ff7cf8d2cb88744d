"""What components say through the `mmsa` logger reaches the user as warnings."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown(warn: Callable[[str], None]) -> Iterator[None]:
    """Hand every message to `warn` while the block runs."""
    handler = logging.Handler()
    handler.emit = lambda record: warn(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("mmsa")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
