"""Files of a folder that somebody else may have packed: none outside it, and nothing but regular files."""

import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmsa_core.errors import UserError


def folder(path: Path, holds: str) -> Path:
    """The folder of a data set."""
    found = path.expanduser()
    if not found.is_dir():
        state = "is a file" if found.exists() else "does not exist"
        raise UserError(
            f"{path}: {state}; expected a folder with {holds}. Set data.path to it; a relative path starts at the "
            f"folder where the command runs ({Path.cwd()})."
        )
    return found


def file(root: Path, name: str, where: str) -> Path:
    """The regular file that a relative path names; paths that lead out of the folder are refused."""
    parts = PurePosixPath(name).parts
    if "\0" in name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute() or ".." in parts:
        raise UserError(f"{where}: the path {name!r:.200} leads out of {root}; give one relative to it, without '..'")
    path = root / name
    try:
        if not path.resolve(strict=True).is_relative_to(root.resolve()):
            raise UserError(f"{where}: {path} is a link that leads out of {root}, and is not followed; copy the file")
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{where}: {path} is no regular file")
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{where}: {path} cannot be read ({reason})") from error
    return path
