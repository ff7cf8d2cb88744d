"""What a machine runs out of, or takes away: disk, memory, a folder. What is said of it, and that nothing is lost."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsa_core.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
REMEDIES = {
    **dict.fromkeys(FULL, "make room there (or have the quota raised)"),
    **dict.fromkeys(READ_ONLY, "see who may read and write there, or name another place"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or the disk's own",
    errno.ESTALE: "it was there before: see what removed it, or whether the network's disk is back",
    errno.EIO: "the disk, or the network to it, failed: see the system's log",
    errno.ENOMEM: "take a smaller train.batch_size, fewer --jobs, or a machine with more memory",
}
CPU_MEMORY = "take a smaller train.batch_size or evaluate.batch_size, fewer --jobs, or a machine with more memory"
CUDA_MEMORY = (
    "take a smaller train.batch_size (train.accumulate makes up for it) or evaluate.batch_size, or free the device: "
    "nvidia-smi shows what else is on it"
)


def explained(error: BaseException) -> str | None:
    """What ran out or was taken away, where, and what to do; None of an error of another kind."""
    if isinstance(error, OSError) and error.errno in REMEDIES:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror or os.strerror(error.errno)}; {REMEDIES[error.errno]}"
    if isinstance(error, MemoryError):
        return f"memory ran out{_detail(error)}; {CPU_MEMORY}"
    if isinstance(error, RuntimeError):
        if type(error).__name__ == "OutOfMemoryError":  # torch's; this module is imported before torch is
            return f"the device's memory ran out{_detail(error)}; {CUDA_MEMORY}"
        if "DefaultCPUAllocator" in str(error):
            return f"memory ran out{_detail(error)}; {CPU_MEMORY}"
    return None


@contextmanager
def told(folder: Path, kept: Callable[[], str]) -> Iterator[None]:
    """Turn what the machine runs out of while it writes into a folder into a message.

    `kept` says what of it is safe, and how to go on.
    """
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError) and not folder.exists():
            raise UserError(
                f"{folder} was removed or renamed while it was written to; with what was in it put back --resume goes "
                "on, without it the training begins anew"
            ) from error
        if (message := explained(error)) is None:
            raise
        raise UserError(f"{message}\n{kept()}") from error


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors in the block are of this file; of a full disk they name none."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _detail(error: BaseException) -> str:
    """How much was asked for, where the allocator says it."""
    found = re.search(r"tried to allocate ([\d.]+ \w+)", str(error), re.IGNORECASE)
    return f" ({found[1]} were asked for)" if found else ""
