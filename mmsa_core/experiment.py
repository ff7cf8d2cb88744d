"""One recipe from data to run folders: for every seed the teacher, then the student, then its evaluation."""

import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mmsa_core import assemble, batching, checkpoint, data, edges, metrics, provenance, recipe_file
from mmsa_core.components import Masker
from mmsa_core.corpus import Corpus, Split
from mmsa_core.devices import pick
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import references, summarize
from mmsa_core.missing import Draw
from mmsa_core.model import Model
from mmsa_core.recipe import EnsembleTeacher, Init, ModelSection, Recipe, RunTeacher, TrainedTeacher
from mmsa_core.runner import Fit, Watcher, predict
from mmsa_core.stages import Stages
from mmsa_core.tasks import NoTask
from mmsa_core.tracking import JsonLines, Trackers, WandbTracker


@dataclass(frozen=True)
class Setting:
    """What all seeds of an experiment share."""

    recipe: Recipe
    data: data.Data
    device: torch.device
    out: Path
    command: str
    display: Display


def train(
    recipe: Recipe,
    out: Path | None,
    device: torch.device | None = None,
    command: str = "python",
    display: Display | None = None,
    corpus: Corpus | None = None,
) -> Path:
    """Train and evaluate every seed, on the recipe's data or on a corpus in memory; returns the experiment's folder.

    Raises:
        UserError: for bad data, a recipe whose parts do not fit, or a folder that holds another run.
    """
    assemble.contracts(recipe)
    folder = free_folder(recipe, out)
    recipe = anchored(recipe)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    device, display = device or pick("auto"), display or Display()
    loaded = data.load(recipe, corpus)
    splits = {name: batching.to_device(split, device) for name, split in loaded.splits.items()}
    setting = Setting(recipe, replace(loaded, splits=splits), device, folder, command, display)
    for note in setting.data.notes:
        display.note(note)
    results = {}
    with component_warnings(display):
        for seed in recipe.seeds:  # what would be refused is refused before anything is made
            Stages(recipe, setting.data, seed, device, Watcher()).rehearse()
        for seed in recipe.seeds:
            display.seed(seed, recipe.seeds)
            results[seed] = run_seed(setting, seed)
    found = {
        "name": recipe.name,
        "seeds": list(recipe.seeds),
        "conditions": {
            name: summarize([results[seed]["conditions"][name] for seed in recipe.seeds])
            for name in results[recipe.seeds[0]]["conditions"]
        },
        "references": _references(setting),
    }
    checkpoint.write_json(folder / "results.json", found)
    display.results(recipe.task, found)
    return folder


def run_seed(setting: Setting, seed: int) -> dict[str, Any]:
    """Train teacher and student with one seed, evaluate the student, and write the run folder."""
    recipe = setting.recipe.model_copy(update={"seeds": (seed,)})
    folder = setting.out / f"seed-{seed}"
    folder.mkdir(parents=True)
    began = time.perf_counter()
    checkpoint.write_text(folder / "recipe.yaml", recipe_file.dump(recipe))
    about = provenance.provenance(recipe, seed, setting.data, setting.device, setting.command)
    stages = Stages(recipe, setting.data, seed, setting.device, setting.display)
    about |= {"teachers": stages.taught_by(), "initialised_from": stages.initialised_from()}
    checkpoint.write_json(folder / "provenance.json", about)
    trackers = Trackers(setting.display.warn)
    trackers.add("metrics.jsonl", lambda: JsonLines(folder / "metrics.jsonl"))
    if recipe.track.wandb is not None:
        wandb = recipe.track.wandb
        trackers.add("wandb", lambda: WandbTracker(wandb, recipe, seed, folder, setting.out.name))
    setting.display.trackers = trackers
    results = _train_stages(stages, folder)
    checkpoint.write_json(folder / "results.json", results)
    checkpoint.write_json(folder / "provenance.json", about | {"seconds": round(time.perf_counter() - began, 1)})
    trackers.finish(results)
    return results


def _train_stages(stages: Stages, folder: Path) -> dict[str, Any]:
    trainer, taught = stages.student()
    fit = trainer.fit(stages.train, stages.valid)
    recipe, channels, lengths = stages.recipe, stages.data.channels, stages.data.lengths
    checkpoint.save_model(folder / "student.safetensors", trainer.network, channels, lengths)
    if taught is not None:
        read = {m: width for m, width in channels.items() if m in taught.encoders}
        checkpoint.save_model(folder / "teacher.safetensors", taught, read, lengths)
    if len(trainer.terms.modules):
        checkpoint.write_tensors(folder / "distillers.safetensors", trainer.terms.modules.state_dict(), {})
        edges.draw(folder, trainer.network, trainer.terms.modules, stages.valid, recipe, stages.watcher.warn)
    without_task = isinstance(recipe.task, NoTask)
    found = _validated(recipe, fit) if without_task else _evaluate(recipe, trainer.network, stages.data.splits, folder)
    return found | {
        "seed": stages.seed,
        "best_epoch": fit.best_epoch,
        "epochs": fit.epochs,
        "selected_by": recipe.train.select,
    }


def _validated(recipe: Recipe, fit: Fit) -> dict[str, Any]:
    """All that there is to say of a student without a task: the loss that its epoch was picked by."""
    loss = fit.best_value if math.isfinite(fit.best_value) else None
    name = "valid_complete" if recipe.masker is None else "valid_masked"
    return {"threshold": None, "conditions": {name: {"loss": loss}}}


def _references(setting: Setting) -> dict[str, dict[str, float | None]]:
    if isinstance(setting.recipe.task, NoTask):
        return {}
    return references(setting.recipe.task, setting.data.splits["train"], setting.data.splits["test"])


def _evaluate(recipe: Recipe, student: Model, splits: Mapping[str, Split], folder: Path) -> dict[str, Any]:
    """Validation and test, complete and under the recipe's masks; the test split is evaluated here, once."""
    task, size = recipe.task, recipe.evaluate.batch_size
    masker = assemble.masker(recipe, splits["train"])
    numbers = range(recipe.train.valid_draws if masker else 1)
    draws = {name: [Draw(name, recipe.evaluate.seed, n) for n in numbers] for name in ("valid", "test")}
    threshold = task.threshold(*predict(student, splits["valid"], task, draws["valid"], masker, size))

    def measured(name: str, draw: Draw, hide: Masker | None) -> dict[str, float | None]:
        return task.metrics(*predict(student, splits[name], task, [draw], hide, size), threshold)

    found = {}
    for name in ("valid", "test"):
        if masker:
            found[f"{name}_masked"] = metrics.average([measured(name, draw, masker) for draw in draws[name]])
        found[f"{name}_complete"] = measured(name, data.NO_DRAW, None)
    logits, _ = predict(student, splits["test"], task, [data.NO_DRAW], None, size)
    write_predictions(folder / "predictions.csv", task, splits["test"], logits)
    return {"threshold": threshold, "conditions": found}


def write_predictions(path: Path, task: Any, split: Split, logits: torch.Tensor) -> None:
    """One row per sample: id, the modalities that it has, prediction, target."""
    columns, target = task.prediction(logits), task.target(split).tolist()
    flat = [" ".join(map(str, value)) if isinstance(value, list) else value for value in target]
    rows = zip(split.ids, data.seen(split), *columns.values(), flat, strict=True)
    checkpoint.write_csv(path, ["id", "seen", *columns, "target"], rows)


def free_folder(recipe: Recipe, out: Path | None) -> Path:
    """Where the experiment goes: a folder that is not there yet, or is empty."""
    if out is None:
        base = Path("runs") / recipe.name
        numbered = (base.with_name(f"{base.name}-{n}") for n in range(2, 10**6))
        return base if not base.exists() else next(path for path in numbered if not path.exists())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: already holds something, and nothing is overwritten; name a new folder")
    above = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"--out {out}: cannot be made, {above} is no folder that can be written to")
    return out


def anchored(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths, so that a run folder can be used from anywhere."""
    update: dict[str, Any] = {}
    path = getattr(recipe.data, "path", None)
    if isinstance(path, Path):
        update["data"] = recipe.data.model_copy(update={"path": _absolute(path)})
    replayed = getattr(recipe.masker, "path", None)
    if recipe.masker is not None and isinstance(replayed, Path):
        update["masker"] = recipe.masker.model_copy(update={"path": _absolute(replayed)})
    update["model"] = _anchored_section(recipe.model)
    if isinstance(recipe.teacher, TrainedTeacher) and recipe.teacher.model is not None:
        update["teacher"] = recipe.teacher.model_copy(update={"model": _anchored_section(recipe.teacher.model)})
    if isinstance(recipe.teacher, RunTeacher):
        update["teacher"] = recipe.teacher.model_copy(update={"run": _absolute(recipe.teacher.run)})
    if isinstance(recipe.teacher, EnsembleTeacher):
        runs = tuple(map(_absolute, recipe.teacher.runs))
        update["teacher"] = recipe.teacher.model_copy(update={"runs": runs})
    return recipe.model_copy(update=update)


def _anchored_section(section: ModelSection) -> ModelSection:
    if section.init is None:
        return section
    return section.model_copy(update={"init": Init(run=_absolute(section.init.run))})


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


@contextmanager
def component_warnings(display: Display) -> Iterator[None]:
    """Show what components say through the `mmsa` logger."""
    handler = logging.Handler()
    handler.emit = lambda record: display.warn(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("mmsa")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
