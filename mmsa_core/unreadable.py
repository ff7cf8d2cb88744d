"""Distributions whose entry points cannot be read are kept from the libraries that read those of all.

Pydantic, torch and what scikit-learn uses look through every installed distribution's entry points and fail with the
first file that is malformed, whoever it belongs to.
"""

import os
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path

SWITCHES = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
"""For processes that this one starts: they import these libraries before they know what is unreadable."""
FILE = "entry_points.txt"
_found: set[str] = set()


def hide(file: Path) -> None:
    """From now on `importlib.metadata` takes this file for absent."""
    if not _found:
        PathDistribution.read_text = _without(PathDistribution.read_text)  # type: ignore[method-assign, assignment]
    _found.add(os.path.abspath(file))
    for switch, off in SWITCHES.items():
        os.environ.setdefault(switch, off)


def _without(
    whole: Callable[[PathDistribution, str | os.PathLike[str]], str | None],
) -> Callable[[PathDistribution, str | os.PathLike[str]], str | None]:
    def read_text(self: PathDistribution, filename: str | os.PathLike[str]) -> str | None:
        if filename == FILE and os.path.abspath(str(self._path / FILE)) in _found:
            return None
        return whole(self, filename)

    return read_text
