"""What validation says of a trial, read from its run folders: wherever it trains, they are where it writes."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint
from mmsa_core.sweeps.sweep import Objective
from mmsa_core.training import resume

Row = dict[str, Any]


@dataclass
class Log:
    """The validated epochs of one seed's student."""

    path: Path
    epochs: dict[int, Row] = field(default_factory=dict)
    _position: int = 0

    def read(self) -> dict[int, Row]:
        """All of them so far; a training that goes on writes the same again."""
        if not self.path.exists():
            return self.epochs
        with self.path.open("rb") as file:
            if file.seek(0, 2) < self._position:
                self._position = 0
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._position += len(line)
                if b'"best"' in line and (row := json.loads(line))["stage"] == "student":
                    self.epochs[row["epoch"]] = row
        return self.epochs


class Observed:
    """A trial's progress and outcome."""

    def __init__(self, folder: Path, recipe: Recipe, objective: Objective) -> None:
        self._folders = {seed: folder / f"seed-{seed}" for seed in recipe.seeds}
        self._logs = {seed: Log(each / "metrics.jsonl") for seed, each in self._folders.items()}
        self._epochs, self._objective = recipe.train.epochs, objective

    def steps(self) -> dict[int, float]:
        """By the epochs trained, those of earlier seeds included: the mean of these seeds and of the epoch.

        Where that is undefined nothing is said of it.
        """
        found, finished = dict[int, float](), list[float]()
        for position, (seed, log) in enumerate(self._logs.items()):
            for epoch, row in log.read().items():
                value = fmean([*finished, self._of(row)])
                if math.isfinite(value):
                    found[position * self._epochs + epoch] = value
            if not resume.is_finished(self._folders[seed]):
                break
            finished.append(self._seed(seed))
        return found

    def outcome(self) -> dict[int, float]:
        """The objective of each seed of a trial that is trained; NaN where it is undefined."""
        return {seed: self._seed(seed) for seed in self._folders}

    def _of(self, row: Row) -> float:
        value = row.get(f"valid/{self._objective.metric}")
        return math.nan if value is None else float(value)

    def _seed(self, seed: int) -> float:
        results = checkpoint.read_results(self._folders[seed] / "results.json")
        if self._objective.under == "complete":
            value = results["conditions"]["valid_complete"][self._objective.metric]
            return math.nan if value is None else float(value)
        return self._of(self._logs[seed].read()[results["best_epoch"]])
