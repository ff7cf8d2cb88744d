"""A folder that appears whole or not at all: Ctrl-C, a crash or a full disk leaves nothing of its name."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsa_core.errors import UserError
from mmsa_core.run_folder.checkpoint import umask


def check(out: Path) -> None:
    """Refuse a folder that holds something, before anything is computed for it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: already holds something, and nothing is overwritten; name a new folder")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        yield made
        made.chmod(0o777 & ~umask())
        if out.exists():
            out.rmdir()  # it is empty
        made.rename(out)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
