"""The recipe of a trial, and the check of a whole space before anything trains."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from mmsa_core import assemble, registry
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.recipe_yaml import KeyPath
from mmsa_core.sweeps.space import Scalar, label, value_of
from mmsa_core.sweeps.sweep_file import Loaded
from mmsa_core.tasks import NoTask
from mmsa_core.training import experiment, seed_run


def chosen(loaded: Loaded, params: Mapping[str, Scalar]) -> Recipe:
    """The base recipe with some values of the space, as a user trains and tests it.

    Raises:
        UserError: where they do not fit; it names the lines of the sweep.
    """
    given = {("set", key): value for key, value in loaded.sweep.set.items()}
    given |= {("space", key): value_of(loaded.sweep.space[key], known) for key, known in params.items()}
    data, origin = dict(loaded.recipe), dict[KeyPath, str](loaded.recipe_origin)
    for (section, key), value in given.items():
        recipe_file.put(data, key, value, f"{loaded.where(section, key)}: {section}", origin)
    return recipe_file.validate(data, origin, loaded.recipe_name)


def trial(loaded: Loaded, params: Mapping[str, Scalar], group: str) -> Recipe:
    """What a trial trains: never tested, with the sweep's seeds, and in its group at W&B."""
    recipe = experiment.anchored(chosen(loaded, params))
    update: dict[str, Any] = {"evaluate": recipe.evaluate.model_copy(update={"test": False})}
    if loaded.sweep.seeds is not None:
        update["seeds"] = loaded.sweep.seeds
    wandb = recipe.track.wandb
    if wandb is not None and wandb.group is None:
        update["track"] = recipe.track.model_copy(update={"wandb": wandb.model_copy(update={"group": group})})
    return recipe.model_copy(update=update)


def check(loaded: Loaded, device: torch.device, display: Display) -> Recipe:
    """Build and try the base recipe, then each choice and both ends of each range in it; returns the base's trial.

    Raises:
        UserError: with file and line of what cannot be trained.
    """
    base = trial(loaded, {}, "")
    if isinstance(base.task, NoTask) and loaded.sweep.objective.metric != "loss":
        raise UserError(f"{loaded.where('objective')}: task.kind none has no metric but the loss")
    corpus = registry.datasets.get(base.data.name)(base.data).load()
    for where, params in _tried(loaded):
        try:
            recipe = trial(loaded, params, "")
            assemble.contracts(recipe)
            same = corpus if recipe.data == base.data else None
            setting = seed_run.prepare(recipe, device, Path(), "", display, same)
            experiment.rehearse(setting, recipe.seeds[:1])
        except UserError as error:
            said = str(error)
            if not params or said.startswith(where.partition(": ")[0]):
                raise
            raise UserError(f"{where}: {said}") from error
        if not params:
            _check_objective(loaded, setting)
    return base


def _tried(loaded: Loaded) -> Iterator[tuple[str, dict[str, Scalar]]]:
    """The values that are tried, each with where it is from."""
    yield loaded.where(), {}
    for key, dimension in loaded.sweep.space.items():
        for value in dimension.ends():
            yield f"{loaded.where('space', key)}: space: {key}: {label(value)}", {key: label(value)}


def _check_objective(loaded: Loaded, setting: seed_run.Setting) -> None:
    """Refuse a metric that validation does not give, as a recipe is refused that selects by it."""
    train = setting.recipe.train.model_copy(update={"select": loaded.sweep.objective.metric})
    asked = seed_run.Setting(
        setting.recipe.model_copy(update={"train": train}), setting.data, setting.device, Path(), "", setting.display
    )
    try:
        experiment.rehearse(asked, asked.recipe.seeds[:1])
    except UserError as error:
        said = str(error).removeprefix("train.select: ")
        raise UserError(f"{loaded.where('objective', 'metric')}: objective.metric: {said}") from error
