"""What trains a trial, wherever it runs: an ordinary experiment in a folder of its own, which goes on where it was."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmsa_core.devices import pick
from mmsa_core.display import Display
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import lock
from mmsa_core.training import experiment

PATIENCE = 60.0
"""Seconds that a process of an earlier try gets to let go of the folder."""


def train(recipe: dict[str, Any], folder: Path, log: Path, device: str, command: str) -> None:
    """Train all seeds of a trial, one after the other; what is printed goes into a file."""
    with _into(log):
        _wait(folder)
        found = Recipe.model_validate(recipe)
        experiment.train(found, folder, pick(device), command, Display(), processes=1, resumed=True)


def _wait(folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while lock.taken(folder) and time.monotonic() < until:
        time.sleep(0.2)


@contextmanager
def _into(log: Path) -> Iterator[None]:
    """Append all that this process and its libraries print to a file, while the block runs."""
    log.parent.mkdir(parents=True, exist_ok=True)
    before = [os.dup(stream) for stream in (1, 2)]
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        for written in (sys.stdout, sys.stderr):
            written.flush()
        for stream, kept in zip((1, 2), before, strict=True):
            os.dup2(kept, stream)
            os.close(kept)
