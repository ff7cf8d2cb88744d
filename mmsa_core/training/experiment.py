"""One recipe from data to run folders: every seed is trained and evaluated, then summarised with the others."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mmsa_core import assemble, limits
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.devices import pick
from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.evaluation.evaluation import references, summarize
from mmsa_core.execution.executor import Failure
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.sections import Init, ModelSection
from mmsa_core.recipes.teachers import EnsembleTeacher, RunTeacher, TrainedTeacher
from mmsa_core.run_folder import by_hand, checkpoint, lock
from mmsa_core.tasks import NoTask
from mmsa_core.tracking import wandb_tracking
from mmsa_core.training import component_log, jobs, resume, seed_run, world
from mmsa_core.training.deterministic import algorithms
from mmsa_core.training.seed_run import Setting
from mmsa_core.training.stages import Stages
from mmsa_core.training.stopping import Stop
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import ALONE, World


def train(
    recipe: Recipe,
    out: Path | None,
    device: torch.device | None = None,
    command: str = "python",
    display: Display | None = None,
    corpus: Corpus | None = None,
    processes: int | None = 1,
    resumed: bool = False,
    origin: Mapping[str, str] | None = None,
    together: World = ALONE,
) -> Path:
    """Train and evaluate every seed, on the recipe's data or on a corpus in memory; returns the experiment's folder.

    So many `processes` train seeds at once (None: as many as cores allow), but a corpus in memory is trained on in this
    one. Those of `together` train one seed after another, each of them together; this is the first one. If `resumed`,
    what `out` holds of this experiment is kept, and the seeds that it lacks are trained. Provenance tells of the
    recipe's `origin`.

    Raises:
        UserError: for bad data, a recipe whose parts do not fit, or a folder that holds another run.
        Interrupted: when SIGINT or SIGTERM asked for an end; all that is needed to go on is saved.
    """
    assemble.contracts(recipe)
    world.check(recipe, together)
    processes = by_hand.check_jobs(recipe, processes)
    if resumed and out is None:
        raise UserError("--resume: name the folder of the experiment that is to go on, with --out")
    folder = out if resumed and out is not None and resume.begun(out) else free_folder(recipe, out)
    recipe = anchored(recipe)
    device, display = device or pick("auto"), display or Display()
    if together.size > 1:
        display.note(f"{together.size} processes train each seed together, one seed after another (no --jobs)")
        processes = 1
    deterministic = algorithms(recipe.deterministic)
    with component_log.shown(display.warn), _going_on(folder, command), deterministic, Stop().heard() as stop:
        setting = seed_run.prepare(recipe, device, folder, command, display, corpus, stop, origin, together)
        for note in setting.data.notes:
            display.note(note)
        there = resume.finished(setting)
        missing = [seed for seed in recipe.seeds if seed not in there]
        rehearse(setting, missing)
        with lock.held(folder, display.warn) as locked:
            if not resumed:
                free_folder(recipe, folder)  # another process may have begun and ended here meanwhile
            elif resume.trained(setting) != there:
                there = resume.finished(setting)
            missing, stop.patient = resume.make_room(setting, missing), True
            seeds = [*recipe.seeds, *(seed for seed in there if seed not in recipe.seeds)]
            whole = recipe.model_copy(update={"seeds": tuple(seeds)})
            for seed in missing[:1]:  # first: by this a folder is known as an experiment's
                setting.folder(seed).mkdir(exist_ok=True)
            checkpoint.write_text(folder / resume.RECIPE, recipe_file.dump(whole))
            number = jobs.number(processes, recipe, device, missing)
            if number > 1 and corpus is None:
                jobs.run(setting, missing, number, lock.shared(locked))
            else:
                _one_by_one(setting, missing)
            found = _summary(setting, seeds)
            checkpoint.write_json(folder / "results.json", found)
    if recipe.track.wandb is not None and len(found["seeds"]) > 1:
        wandb = recipe.track.wandb
        setting.switches.attempt("W&B", lambda: wandb_tracking.aggregate(wandb, recipe, folder, found))
    display.results(recipe.task, found)
    return folder


@contextmanager
def _going_on(folder: Path, command: str) -> Iterator[None]:
    """Say how an experiment goes on that was interrupted, or that disk or memory did not suffice for."""
    again = f"the same command with --out {folder} --resume"
    ways = f"mmsa resume {shlex.quote(str(folder))} goes on, or {again}"
    if command.startswith("mmsa_core."):  # a notebook's
        again = f"the same call with out={str(folder)!r} and resume=True"
        ways = f"{again} goes on"
    try:
        with limits.told(folder, lambda: f"what was finished is kept; {ways}"):
            yield
    except Interrupted as error:
        done = f"what was done is saved; {ways}"
        raise Interrupted(done if resume.begun(folder) else "nothing was begun") from error


def rehearse(setting: Setting, seeds: Sequence[int]) -> None:
    """What would be refused is refused before anything is made."""
    for seed in seeds:
        Stages(setting.recipe, setting.data.training, seed, setting.device, Watcher()).rehearse()


def _one_by_one(setting: Setting, seeds: Sequence[int]) -> None:
    for seed in seeds:
        if setting.stop():
            raise Interrupted
        setting.display.seed(seed, setting.recipe.seeds)
        try:
            seed_run.run(setting, seed)
        except UserError as error:
            raise jobs.failed({seed: Failure(str(error))}, setting) from error


def _summary(setting: Setting, seeds: Sequence[int]) -> dict[str, Any]:
    """Mean and deviation over seeds of what each run folder holds, and predictors that look at nothing."""
    results = [checkpoint.read_results(setting.folder(seed) / "results.json") for seed in seeds]
    for seed, each in zip(seeds, results, strict=True):
        if set(each["conditions"]) != set(results[0]["conditions"]):
            raise UserError(
                f"{setting.folder(seed) / 'results.json'}: has {', '.join(each['conditions'])}, but "
                f"seed {seeds[0]} has {', '.join(results[0]['conditions'])}; one of them was changed"
            )
    return {
        "name": setting.recipe.name,
        "seeds": list(seeds),
        "conditions": {
            name: summarize([each["conditions"][name] for each in results]) for name in results[0]["conditions"]
        },
        "references": _references(setting),
    }


def _references(setting: Setting) -> dict[str, dict[str, float | None]]:
    if isinstance(setting.recipe.task, NoTask) or not setting.recipe.evaluate.test:
        return {}
    return references(setting.recipe.task, setting.data.splits["train"], setting.data.splits["test"])


def free_folder(recipe: Recipe, out: Path | None) -> Path:
    """Where the experiment goes: a folder that is not there yet, or is empty."""
    if out is None:
        base = Path("runs") / recipe.name
        numbered = (base.with_name(f"{base.name}-{n}") for n in range(2, 10**6))
        return base if not base.exists() else next(path for path in numbered if not path.exists())
    if out.exists() and (not out.is_dir() or any(path.name != lock.FILE for path in out.iterdir())):
        resumable = " or go on with --resume" if resume.begun(out) else ""
        raise UserError(
            f"--out {out}: already holds something, and nothing is overwritten; name a new folder{resumable}"
        )
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
