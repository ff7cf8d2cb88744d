"""Core's source as git knows it; where it was installed from a wheel, git knows nothing."""

import subprocess
from hashlib import sha256
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of core's source."""


def commit() -> tuple[str | None, bool | None]:
    """The git commit that the code was run from, and whether files differ from it; None where git does not know it."""
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:  # installed below a repository of somebody's own
        return None, None
    found, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", ".")
    return found, None if changed is None else bool(changed)


def changes() -> str | None:
    """The SHA-256 of how the source differs from its commit, files that git does not know included."""
    known, added = _git("diff", "HEAD", "--binary", "--", "."), _git("ls-files", "--others", "--exclude-standard", ".")
    if known is None or added is None:
        return None
    digest = sha256(known.encode())
    for name in added.splitlines():
        digest.update(name.encode() + b"\0" + (PACKAGE / name).read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str | None:
    try:
        command = ["git", *arguments]
        found = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
