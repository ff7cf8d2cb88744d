"""One process at a time trains into a folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsa_core.errors import UserError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from it while the block runs; the end of this process frees it."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # where folders cannot be locked
        yield
        return
    from fcntl import LOCK_EX, LOCK_NB, flock

    handle = os.open(folder, os.O_RDONLY)
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UserError(
            f"--out {folder}: another process is training into it; wait until it has ended, or name another folder"
        ) from error
    try:
        yield
    finally:
        os.close(handle)
