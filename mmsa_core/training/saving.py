"""Where a training stands, kept on disk so that it can go on as if nothing had happened.

A stage (teacher, student) keeps its last two states in `last/`, each behind a digest: a file that was torn or altered
is noticed, and the one before it is used. A state is read as plain data and tensors; nothing in it is executed.
"""

import io
import re
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmsa_core.errors import Interrupted
from mmsa_core.recipes.recipe import Save
from mmsa_core.run_folder import checkpoint
from mmsa_core.training.usage import Usage

FOLDER = "last"
STAGES = ("student", "teacher")
"""The last one first."""
KEPT = 2
"""States of a stage that are on disk at a time."""
TORN = re.compile(r"\.[\w-]+\.(csv|json|png|safetensors|state|yaml)\.[a-z0-9_]{8}")
"""What `checkpoint.atomic` calls a file until it is whole; a kill leaves it behind."""
State = dict[str, Any]


class Saved(NamedTuple):
    """A state, and how long the log was when it was saved."""

    state: State
    logged: int
    used: Usage = {}  # noqa: RUF012 - never changed
    """What the training had taken until then."""


@dataclass
class Saver:
    """Keeps the states of one stage of one seed."""

    folder: Path
    """Of the seed's run."""
    stage: str
    every: Save
    warn: Callable[[str], None]
    logged: Callable[[], int] = lambda: 0
    """Bytes of the log that are safely on disk."""
    used: Callable[[], Usage] = dict
    """What the training has taken so far."""
    stop: Callable[[], bool] = lambda: False
    """Whether training was asked to end, by a signal."""
    clock: Callable[[], float] = time.monotonic
    _saved_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._saved_at = self.clock()

    def due(self, steps: int) -> bool:
        """Whether a state is to be saved after so many steps of the stage."""
        by_steps = self.every.steps is not None and steps % self.every.steps == 0
        by_time = self.every.minutes is not None and self.clock() - self._saved_at >= 60 * self.every.minutes
        return by_steps or by_time or self.stop()

    def save(self, state: State) -> None:
        """Keep a state. If a stop was asked for, training ends here."""
        self.keep(state)
        if self.stop():
            raise Interrupted

    def keep(self, state: State) -> None:
        """Write a state beside the one before it, whole or not at all."""
        folder = self.folder / FOLDER
        folder.mkdir(exist_ok=True)
        before = files(self.folder, self.stage)
        number = int(before[-1].stem.rpartition("-")[2]) + 1 if before else 1
        write(folder / f"{self.stage}-{number:06d}.state", Saved(state, self.logged(), self.used()))
        for old in files(self.folder, self.stage)[:-KEPT]:
            old.unlink()
        self._saved_at = self.clock()

    def load(self) -> State | None:
        """The last state that is whole; None where there is none."""
        found = last(self.folder, self.stage, self.warn)
        return found.state if found else None


def files(folder: Path, stage: str) -> list[Path]:
    """The states of a stage, the last one last; what has another name is none."""
    named = re.compile(rf"{stage}-[0-9]{{6}}\.state")
    return sorted(path for path in (folder / FOLDER).glob(f"{stage}-*.state") if named.fullmatch(path.name))


def last(folder: Path, stage: str, warn: Callable[[str], None]) -> Saved | None:
    """The last state of a stage that is whole."""
    for path in reversed(files(folder, stage)):
        if found := read(path):
            return found
        warn(f"{path} is torn or was altered and is not used")
    return None


def last_of(folder: Path, warn: Callable[[str], None]) -> Saved | None:
    """The state that a seed's training goes on from; None where it begins anew."""
    return next((saved for stage in STAGES if (saved := last(folder, stage, warn))), None)


def tidy(folder: Path, finished: bool = False) -> None:
    """Remove what a kill left of files that were being written, and the states of a seed that needs none any more."""
    for path in (*folder.glob(".*"), *folder.glob(f"{FOLDER}/.*")):
        if TORN.fullmatch(path.name) and path.is_file():
            path.unlink()
    if finished:
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def kept(folder: Path) -> str:
    """Which state of a seed is whole, and how its training goes on, for a person to read."""
    out = folder.parent
    ways = f"mmsa resume {shlex.quote(str(out))}, or the same command with --out {out} --resume,"
    for path in (path for stage in STAGES for path in reversed(files(folder, stage))):
        with path.open("rb") as file:
            digest = file.read(32)
            whole = sha256()
            while part := file.read(1 << 20):
                whole.update(part)
        if whole.digest() == digest:
            return f"the last state is whole: {path}; {ways} goes on from it"
    return f"no state was saved yet in {folder}; {ways} trains it anew"


def write(path: Path, saved: Saved) -> None:
    """Write a state behind its digest."""
    content = io.BytesIO()
    torch.save(saved._asdict(), content)
    found = content.getvalue()
    checkpoint.write_bytes(path, sha256(found).digest() + found)


def read(path: Path) -> Saved | None:
    """A state, or None where the file is not what was written."""
    content = path.read_bytes()
    digest, found = content[:32], content[32:]
    if sha256(found).digest() != digest:
        return None
    try:
        state = torch.load(io.BytesIO(found), map_location="cpu", weights_only=True)
    except Exception:  # whoever can write a file can write a digest; torch raises anything at what is no data
        return None
    if not isinstance(state, dict) or set(state) != set(Saved._fields) or not isinstance(state["state"], dict):
        return None
    used = state["used"]
    fine = isinstance(used, dict) and all(type(value) in (int, float) for value in used.values())
    return Saved(**state) if fine and type(state["logged"]) is int and state["logged"] >= 0 else None
