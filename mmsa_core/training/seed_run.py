"""One seed of an experiment: its teacher, its student, their evaluation, and the run folder of all that."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mmsa_core import assemble, limits, metrics
from mmsa_core.components import Masker
from mmsa_core.corpora import batching, data
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.display import Display
from mmsa_core.edges import edges
from mmsa_core.errors import Interrupted
from mmsa_core.evaluation.asking import predict
from mmsa_core.missing import Draw
from mmsa_core.model import Model
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import checkpoint, provenance, sealed, test_log
from mmsa_core.tasks import NoTask
from mmsa_core.tracking.tracking import JsonLines, Switches, Trackers
from mmsa_core.tracking.wandb_tracking import WandbTracker
from mmsa_core.training import orders, saving
from mmsa_core.training.agreed import Agreed
from mmsa_core.training.runner import Fit
from mmsa_core.training.saving import Saver
from mmsa_core.training.stages import Stages
from mmsa_core.training.usage import Meter
from mmsa_core.training.world import ALONE, World


@dataclass(frozen=True)
class Setting:
    """What all seeds of an experiment share."""

    recipe: Recipe
    data: data.Data
    device: torch.device
    out: Path
    command: str
    display: Display
    stop: Callable[[], bool] = lambda: False
    """Whether training was asked to end."""
    origin: Mapping[str, str] | None = None
    """Where the recipe was found, for provenance."""
    world: World = ALONE
    """The processes that train each seed together."""
    switches: Switches = field(init=False)
    """Of the trackers."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "switches", Switches(self.display.warn))

    def folder(self, seed: int) -> Path:
        """Where a seed's run goes."""
        return self.out / f"seed-{seed}"


def prepare(
    recipe: Recipe,
    device: torch.device,
    out: Path,
    command: str,
    display: Display,
    corpus: Corpus | None = None,
    stop: Callable[[], bool] = lambda: False,
    origin: Mapping[str, str] | None = None,
    world: World = ALONE,
) -> Setting:
    """Load the recipe's data (or take a corpus from memory), and what can be there to the device."""
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    loaded = data.load(recipe, corpus)
    splits = {name: batching.to_device(split, device) for name, split in loaded.splits.items()}
    return Setting(recipe, replace(loaded, splits=splits), device, out, command, display, stop, origin, world)


def run(setting: Setting, seed: int) -> dict[str, Any]:
    """Train teacher and student with one seed, evaluate the student, and write the run folder.

    Where it was interrupted before, it goes on; what it ends with is the same.

    Raises:
        UserError: also where disk or memory ran out, or the folder was removed; it names the last state.
        Interrupted: when an end was asked for.
    """
    folder = setting.folder(seed)
    with limits.told(folder, lambda: saving.kept(folder)):
        return _run(setting, seed)


def _run(setting: Setting, seed: int) -> dict[str, Any]:
    recipe, world = setting.recipe.model_copy(update={"seeds": (seed,)}), setting.world
    folder = setting.folder(seed)
    folder.mkdir(parents=True, exist_ok=True)  # it may be there with what an interrupted run left
    checkpoint.write_text(folder / "recipe.yaml", recipe_file.dump(recipe))
    about = provenance.provenance(recipe, seed, setting.data, setting.device, setting.command, setting.origin)
    log = JsonLines(folder / "metrics.jsonl")
    saved = saving.last_of(folder, setting.display.warn)
    if saved and log.position() < saved.logged:
        setting.display.warn(f"{log.path} is shorter than when the state was saved: rows of it are lost")
    log.rewind(saved.logged if saved else 0)
    meter = Meter(setting.device, saved.used if saved else None)

    def saver(stage: str) -> Saver:
        kind = Saver if world.size == 1 else partial(Agreed, world=world)
        return kind(folder, stage, recipe.save, setting.display.warn, log.position, meter, setting.stop)

    stages = Stages(recipe, setting.data.training, seed, setting.device, setting.display, saver, world)
    about |= {"processes": world.size} if world.size > 1 else {}
    about |= {"teachers": stages.taught_by(), "initialised_from": stages.initialised_from()}
    if saved:
        first = checkpoint.read_json(folder / "provenance.json")
        before = first.get("resumed", [])
        otherwise = provenance.causes(first, about)
        if otherwise:
            setting.display.warn(f"going on under other conditions, so numbers may differ: {'; '.join(otherwise)}")
        again = {"command": setting.command, "commit": about["commit"], "otherwise": otherwise}
        again |= {"processes": world.size}
        about = first | {"resumed": [*(before if isinstance(before, list) else [before]), again]}
    checkpoint.write_json(folder / "provenance.json", about)
    trackers = Trackers(log, setting.switches)
    if recipe.track.wandb is not None:
        wandb = recipe.track.wandb
        trackers.add("W&B", lambda: WandbTracker(wandb, recipe, seed, folder, setting.out.name))
    setting.display.trackers = trackers
    try:
        results = _results(setting, stages, folder)
    except BaseException:
        trackers.fail()
        raise
    written = sealed.digests(folder) | {"results.json": sealed.of(checkpoint.json_text(results))}
    checkpoint.write_json(folder / "provenance.json", about | meter() | {"files": written})
    checkpoint.write_json(folder / "results.json", results)  # the last: now the seed is finished
    saving.tidy(folder, finished=True)
    trackers.finish(results)
    return results


def _results(setting: Setting, stages: Stages, folder: Path) -> dict[str, Any]:
    """Train, evaluate, and say how both went."""
    recipe = stages.recipe
    with orders.called(setting.world, setting.recipe, stages.seed, setting.data.digest):
        student, fit = train(stages, folder)
    found = _validated(recipe, fit) if isinstance(recipe.task, NoTask) else _evaluate(setting, recipe, student, folder)
    ended = {"best_epoch": fit.best_epoch, "epochs": fit.epochs, "selected_by": recipe.train.select}
    return found | {"seed": stages.seed, **ended}


def train(stages: Stages, folder: Path) -> tuple[Model, Fit]:
    """Train teacher and student and write their weights; of the data this sees train and valid alone."""
    trainer, taught = stages.student()
    fit = trainer.fit(stages.train, stages.valid)
    recipe, channels = stages.recipe, stages.data.channels
    if taught is not None:
        read = {m: width for m, width in channels.items() if m in taught.encoders}
        checkpoint.save_model(folder / "teacher.safetensors", taught, read)
    if len(trainer.terms.modules):
        checkpoint.write_tensors(folder / "distillers.safetensors", trainer.terms.modules.state_dict(), {})
        edges.draw(folder, trainer.network, trainer.terms.modules, stages.valid, recipe, stages.watcher.warn)
    checkpoint.save_model(folder / "student.safetensors", trainer.network, channels)
    return trainer.network, fit


def _validated(recipe: Recipe, fit: Fit) -> dict[str, Any]:
    """All that there is to say of a student without a task: the loss that its epoch was picked by."""
    loss = fit.best_value if math.isfinite(fit.best_value) else None
    name = "valid_complete" if recipe.masker is None else "valid_masked"
    return {"threshold": None, "conditions": {name: {"loss": loss}}}


def _evaluate(setting: Setting, recipe: Recipe, student: Model, folder: Path) -> dict[str, Any]:
    """Validation and test, complete and under the recipe's masks; the test split is evaluated here, once.

    With `evaluate.test: false` nothing looks at the test split.
    """
    task, size, splits = recipe.task, recipe.evaluate.batch_size, setting.data.splits
    masker = assemble.masker(recipe, splits["train"])
    numbers = range(recipe.train.valid_draws if masker else 1)
    names = ("valid", "test") if recipe.evaluate.test else ("valid",)
    draws = {name: [Draw(name, recipe.evaluate.seed, n) for n in numbers] for name in names}
    threshold = task.threshold(*predict(student, splits["valid"], task, draws["valid"], masker, size))

    def measured(name: str, draw: Draw, hide: Masker | None) -> dict[str, float | None]:
        if setting.stop():  # the network is kept in the last state of its training
            raise Interrupted
        return task.metrics(*predict(student, splits[name], task, [draw], hide, size), threshold)

    if recipe.evaluate.test:
        conditions = ["test_masked", "test_complete"] if masker else ["test_complete"]
        test_log.record(folder, "train", setting.command, conditions)
    found = {}
    for name in names:
        if masker:
            found[f"{name}_masked"] = metrics.average([measured(name, draw, masker) for draw in draws[name]])
        found[f"{name}_complete"] = measured(name, data.NO_DRAW, None)
    if recipe.evaluate.test:
        logits, _ = predict(student, splits["test"], task, [data.NO_DRAW], None, size)
        write_predictions(folder / "predictions.csv", task, splits["test"], logits)
    return {"threshold": threshold, "conditions": found}


def write_predictions(path: Path, task: Any, split: Split, logits: torch.Tensor) -> None:
    """One row per sample: id, the modalities that it has, prediction, target."""
    columns, target = task.prediction(logits), task.target(split).tolist()
    flat = [" ".join(map(str, value)) if isinstance(value, list) else value for value in target]
    rows = zip(split.ids, data.seen(split), *columns.values(), flat, strict=True)
    checkpoint.write_csv(path, ["id", "seen", *columns, "target"], rows)
