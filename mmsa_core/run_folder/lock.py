"""One process at a time trains into a folder.

The lock is held by the operating system on a file in the folder, and ends with its process, however that ends: a file
that was left behind locks nothing. Processes that train its seeds hold it too, so that nobody else begins while one of
them still writes. What the file says is for people: which process took the lock, and since when.
"""

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from mmsa_core.errors import UserError

Handed = Connection
"""The locked file on its way to another process."""
FILE = ".lock"
UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)
"""What disks say that know no locks, as some that are shared over a network."""


@contextmanager
def held(folder: Path, warn: Callable[[str], None]) -> Iterator[int | None]:
    """Make the folder, and keep other processes from it while the block runs; yields the file that is locked."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # it has no flock
        yield None
        return
    path = folder / FILE
    handle = _taken(folder, path, warn)
    try:
        yield handle
    finally:
        path.unlink(missing_ok=True)  # first: whoever opened it meanwhile sees that it is another file now
        os.close(handle)


def taken(folder: Path) -> bool:
    """Whether a process trains into a folder; False too where that cannot be known."""
    if sys.platform == "win32" or not (folder / FILE).is_file():
        return False
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        with (folder / FILE).open("r+b") as file:
            flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def shared(handle: int | None) -> Handed | None:
    """The locked file in a form that can be handed to a process, which then holds the lock until it ends."""
    return None if handle is None else Connection(os.dup(handle))


def _taken(folder: Path, path: Path, warn: Callable[[str], None]) -> int:
    """The open file that is locked by this process."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except OSError as error:
            who = _holder(handle)
            if isinstance(error, BlockingIOError):
                os.close(handle)
                raise UserError(
                    f"--out {folder}: another process is training into it{who}; wait until it has ended, or name "
                    "another folder"
                ) from error
            if error.errno not in UNSUPPORTED:
                os.close(handle)
                raise
            warn(f"{folder}: this disk knows no locks; see to it yourself that no other process trains into it{who}")
        if _is(handle, path):
            break
        os.close(handle)  # its last holder removed it before it was locked here
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    os.truncate(handle, 0)
    os.pwrite(handle, json.dumps(about).encode(), 0)
    return handle


def _holder(handle: int) -> str:
    """Which process says that it holds the lock; nothing where it has not said it yet."""
    try:
        about = json.loads(os.pread(handle, 1000, 0))
        who = f"process {about['pid']:d} on {about['host']!s:.100}, since {about['since']!s:.40}"
        return f" ({who}, or one that it started)"
    except (ValueError, TypeError, KeyError):
        return ""


def _is(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
