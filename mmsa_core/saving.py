"""Where a training stands, kept on disk so that it can go on as if nothing had happened.

A stage (teacher, student) keeps its last two states in `last/`, each with a digest: a file that was torn or altered is
noticed, and the one before it is used. A state is read as plain data and tensors; nothing in it is executed.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from mmsa_core import checkpoint
from mmsa_core.recipe import Save

FOLDER = "last"
KEPT = 2
"""States of a stage that are on disk at a time."""
State = dict[str, Any]


class Interrupted(Exception):
    """Training was asked to stop; what it needs to go on is saved."""


@dataclass
class Saver:
    """Keeps the states of one stage of one seed."""

    folder: Path
    """Of the seed's run."""
    stage: str
    every: Save
    warn: Callable[[str], None]
    stop: Callable[[], bool] = lambda: False
    """Whether training was asked to end, by a signal."""
    clock: Callable[[], float] = time.monotonic
    _saved_at: float = field(init=False)
    _number: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._saved_at = self.clock()

    def due(self, steps: int) -> bool:
        """Whether a state is to be saved after so many steps of the stage."""
        by_steps = self.every.steps is not None and steps % self.every.steps == 0
        by_time = self.every.minutes is not None and self.clock() - self._saved_at >= 60 * self.every.minutes
        return by_steps or by_time or self.stop()

    def save(self, state: State) -> None:
        """Write a state beside the one before it, in one piece or not at all; a stop that was asked for ends it here."""
        path = self.folder / FOLDER
        path.mkdir(exist_ok=True)
        self._number += 1
        write(path / f"{self.stage}-{self._number:06d}.state", state)
        for old in self._files()[:-KEPT]:
            old.unlink()
        self._saved_at = self.clock()
        if self.stop():
            raise Interrupted

    def load(self) -> State | None:
        """The last state that is whole; None where there is none."""
        files = self._files()
        self._number = int(files[-1].stem.rpartition("-")[2]) if files else 0
        for path in reversed(files):
            state = read(path)
            if state is not None:
                return state
            self.warn(f"{path} is torn or was altered and is not used; training goes on from the state before it")
        return None

    def _files(self) -> list[Path]:
        return sorted((self.folder / FOLDER).glob(f"{self.stage}-*.state"))


def write(path: Path, state: State) -> None:
    """Write a state behind its digest."""
    content = io.BytesIO()
    torch.save(state, content)
    found = content.getvalue()
    checkpoint.write_bytes(path, sha256(found).digest() + found)


def read(path: Path) -> State | None:
    """A state, or None where the file is not what was written."""
    content = path.read_bytes()
    digest, found = content[:32], content[32:]
    if sha256(found).digest() != digest:
        return None
    state: State = torch.load(io.BytesIO(found), map_location="cpu", weights_only=True)
    return state
