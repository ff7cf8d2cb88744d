"""What `mmsa ablate` does: the full recipe and each variant are trained on the same seeds and masks, then compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mmsa_core import assemble, registry
from mmsa_core.ablation import ablation, ablation_tables
from mmsa_core.ablation.ablation import FULL, Variant
from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.evaluation import protocol_file, reports
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.tasks import NoTask
from mmsa_core.training import component_log, experiment, seed_run


def run(
    variants: Sequence[Variant],
    protocols: Sequence[str],
    out: Path | None,
    device: torch.device,
    command: str,
    display: Display,
    processes: int | None = 1,
    resumed: bool = False,
    origin: Mapping[str, str] | None = None,
) -> Path:
    """Train each variant into a folder of its own, print tables and write them; returns the ablation's folder.

    If `resumed`, seeds that are finished there are kept.

    Raises:
        UserError: where a variant cannot be trained; if that can be known, before the first is trained.
    """
    folder = _folder(variants[0].recipe, out, resumed)
    for name in protocols:
        protocol_file.load(name)  # a mistake in a name is found before anything is trained
    with component_log.shown(display.warn):
        check(variants, folder, device, command, display)
    for number, variant in enumerate(variants, start=1):
        display.note(f"{variant.name} ({number} of {len(variants)})")
        own = folder / variant.name
        try:
            recipe = _grouped(variant.recipe, f"{folder.name}/{variant.name}")
            options: dict[str, Any] = {"processes": processes, "resumed": resumed, "origin": origin}
            experiment.train(recipe, own, device, command, display, **options)
        except Interrupted as error:
            raise Interrupted(
                f"what was done is saved; the same command with --out {folder} --resume goes on"
            ) from error
        except UserError as error:
            raise UserError(f"{variant.name}: {error}") from error
    evaluated = {
        each.name: reports.evaluations(folder / each.name, protocols, "test", [], device, display) for each in variants
    }
    for number in range(len(protocols)):
        ablation_tables.show(_same_seeds({name: found[number] for name, found in evaluated.items()}), folder, display)
    return folder


def check(variants: Sequence[Variant], folder: Path, device: torch.device, command: str, display: Display) -> None:
    """Build and try every variant, so that one that cannot be trained is found before another is trained."""
    data = variants[0].recipe.data  # of all of them
    for variant in variants:
        try:
            assemble.contracts(variant.recipe)
        except UserError as error:
            raise UserError(f"{variant.name}: {error}") from error
    corpus = registry.datasets.get(data.name)(data).load()
    for variant in variants:
        recipe = experiment.anchored(variant.recipe)
        try:
            setting = seed_run.prepare(recipe, device, folder, command, display, corpus)
            experiment.rehearse(setting, recipe.seeds)
        except UserError as error:
            raise UserError(f"{variant.name}: {error}") from error
        if _idle(recipe):
            together = ablation.JOIN.join(dict.fromkeys(["teacher", *variant.dropped]))
            display.note(
                f"{variant.name}: no term needs its teacher, which changes nothing and is there all the same; "
                f"--drop {together} leaves it out too"
            )


def _folder(recipe: Recipe, out: Path | None, resumed: bool) -> Path:
    if isinstance(recipe.task, NoTask):
        raise UserError("a recipe with task.kind none predicts nothing, so that there is nothing to compare")
    if resumed and out is None:
        raise UserError("--resume: name the folder of the ablation that is to go on, with --out")
    if resumed and out is not None and (out / FULL).is_dir():
        return out
    return experiment.free_folder(recipe.model_copy(update={"name": f"{recipe.name}-ablation"}), out)


def _grouped(recipe: Recipe, group: str) -> Recipe:
    """With a group of its own at W&B, unless the recipe names one."""
    wandb = recipe.track.wandb
    if wandb is None or wandb.group is not None:
        return recipe
    track = recipe.track.model_copy(update={"wandb": wandb.model_copy(update={"group": group})})
    return recipe.model_copy(update={"track": track})


def _idle(recipe: Recipe) -> bool:
    """Whether a teacher is prepared that no term needs."""
    needed = any(registry.distillers.get(config.name).needs_teacher for config in recipe.distillers.values())
    return recipe.teacher.kind in ("trained", "run", "ensemble") and not needed


def _same_seeds(evaluated: dict[str, Evaluated]) -> dict[str, Evaluated]:
    """The seeds that all variants have; an earlier run with other seeds may have left more in some."""
    common = set.intersection(*({each.seed for each in found.scores} for found in evaluated.values()))
    return {
        name: replace(found, scores=tuple(each for each in found.scores if each.seed in common))
        for name, found in evaluated.items()
    }
