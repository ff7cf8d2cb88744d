"""A trained experiment in a notebook: its recipe, its network, its results; it predicts and is evaluated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from mmsa_core.calibration import calibration_file
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.devices import pick
from mmsa_core.display import cell, headline
from mmsa_core.errors import UserError
from mmsa_core.evaluation import evaluation, prediction, protocol_file, reports
from mmsa_core.evaluation.evaluation import summarize
from mmsa_core.model import Model
from mmsa_core.notebook.evaluated import Evaluation
from mmsa_core.notebook.screens import display, threads_kept
from mmsa_core.notebook.table import Table
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder.checkpoint import Loaded
from mmsa_core.tasks import NoTask

Data = str | PathLike[str] | Corpus
"""A file in any format that `mmsa predict` reads, or a corpus in memory."""


@dataclass(frozen=True, repr=False)
class Run:
    """The finished seeds of an experiment, read from its folder."""

    folder: Path
    loaded: tuple[Loaded, ...]
    """One for each seed."""
    corpus: Corpus | None = None
    """The data in memory that it was trained on."""

    @property
    def recipe(self) -> Recipe:
        """The filled recipe."""
        return self.loaded[0].recipe.model_copy(update={"seeds": self.seeds})

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that are finished."""
        return tuple(each.recipe.seeds[0] for each in self.loaded)

    def seed(self, seed: int) -> "Run":
        """One of its seeds."""
        found = [each for each in self.loaded if each.recipe.seeds[0] == seed]
        if not found:
            raise UserError(f"{self.folder} holds no seed {seed!r}; it holds {', '.join(map(str, self.seeds))}")
        return Run(found[0].folder, (found[0],), self.corpus)

    @property
    def model(self) -> Model:
        """The student's network, of one seed."""
        return self._one("model").model

    @property
    def results(self) -> Mapping[str, Any]:
        """Metrics of validation and test at the end of the training: mean, std and values over the seeds."""
        conditions = [each.results.get("conditions", {}) for each in self.loaded]
        return {name: summarize([each[name] for each in conditions]) for name in conditions[0]}

    @property
    def table(self) -> Table:
        """The same, one row for each condition and metric."""
        rows = [
            [name, metric, value["mean"], value["std"]]
            for name, values in self.results.items()
            for metric, value in values.items()
        ]
        return Table.of(["condition", "metric", "mean", "std"], rows)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was logged while one seed trained, a row for each step and epoch."""
        text = (self._one("log").folder / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def predict(
        self,
        data: Data,
        *,
        split: str | None = None,
        reader: str | None = None,
        calibrate: bool = False,
        overrides: Sequence[str] = (),
        device: str = "auto",
    ) -> Table:
        """Id, split, the modalities seen and the prediction of every sample, as `mmsa predict` writes them."""
        run = self._one("predict")
        given = data if isinstance(data, Corpus) else Path(data)
        with threads_kept():
            return Table.of(*prediction.predicted(run.folder, given, reader, split, overrides, pick(device), calibrate))

    def evaluate(
        self,
        protocol: str = "inter",
        *,
        split: Literal["valid", "test"] = "test",
        calibrate: bool = False,
        overrides: Sequence[str] = (),
        device: str = "auto",
        quiet: bool = True,
    ) -> Evaluation:
        """Metrics under a protocol, a name that `mmsa protocols` lists or a YAML file, as `mmsa evaluate` has them."""
        check_split(split)
        shown = display(quiet)
        with threads_kept():
            runs = [each for one in self.loaded for each in reports.opened(one.folder, overrides, shown)]
            calibrations = [calibration_file.load(each) for each in runs] if calibrate else []
            prepared = reports.data_of(runs, shown, self.corpus)
            file = protocol_file.load(protocol)
            resolved = protocol_file.resolve(file, tuple(runs[0].channels), prepared.splits[split])
            command = "mmsa_core.Run.evaluate"
            found = evaluation.evaluate(runs, prepared, split, resolved, pick(device), command, calibrations)
        return Evaluation(self.recipe.name, found.summary())

    def __repr__(self) -> str:
        lines = [f"<Run {self.recipe.name} in {self.folder}: seeds {', '.join(map(str, self.seeds))}"]
        shown = [] if isinstance(self.recipe.task, NoTask) else headline(self.recipe.task, self.results)
        for name, values in self.results.items():
            lines.append(f"  {name}: {', '.join(f'{metric} {cell(metric, values.get(metric))}' for metric in shown)}")
        return "\n".join(lines) + ">"

    def _one(self, what: str) -> Loaded:
        if len(self.loaded) > 1:
            example = f"run.seed({self.seeds[0]}).{what}"
            raise UserError(
                f"{self.folder} holds the seeds {', '.join(map(str, self.seeds))}; choose one, such as {example}"
            )
        return self.loaded[0]


def check_split(split: str) -> None:
    """Refuse what is evaluated by nobody."""
    if split not in ("valid", "test"):
        raise UserError(f"split: expected 'valid' or 'test', found {split!r}")


def load_run(path: str | PathLike[str], overrides: Sequence[str] = (), corpus: Corpus | None = None) -> Run:
    """An experiment, or one of its seeds, from its folder alone; nothing in it is executed.

    Raises:
        UserError: for a folder that holds no finished run, or one that needs a class which this process lacks.
    """
    folder = Path(path)
    with threads_kept():
        return Run(folder, tuple(reports.opened(folder, overrides, display(quiet=True), predicts=False)), corpus)


def predict(run: Run | str | PathLike[str], data: Data, **options: Any) -> Table:
    """`Run.predict`, for a run or its folder."""
    return (run if isinstance(run, Run) else load_run(run)).predict(data, **options)
