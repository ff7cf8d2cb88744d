"""What all processes but the first do: train along, and nothing else.

Only the first reads recipes, writes, speaks and evaluates. The others get the recipe of it, load the same data, and go
through the same stages, with nobody who watches.
"""

import sys
from functools import partial
from pathlib import Path

from mmsa_core import limits
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, Together, UserError
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training import component_log, seed_run
from mmsa_core.training.agreed import Agreed
from mmsa_core.training.deterministic import algorithms
from mmsa_core.training.gathering import Lost
from mmsa_core.training.orders import Order
from mmsa_core.training.seed_run import Setting
from mmsa_core.training.stages import Stages
from mmsa_core.training.stopping import EXIT_CODE, Stop
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import World


def follow(world: World, corpus: Corpus | None = None) -> None:
    """Train along with the first process, seed after seed, until it has nothing more to do; then this process ends."""
    try:
        with component_log.shown(lambda message: None), Stop().heard() as stop:
            stop.patient = True
            setting: Setting | None = None
            nothing: Order | None = None
            while (order := world.told(nothing)) is not None:
                setting = _prepared(order, world, stop, corpus, setting)
                _train(order, setting, stop)
    except Interrupted:
        sys.exit(EXIT_CODE)
    except (Together, Lost):  # the first process says why
        sys.exit(2)
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and limits.explained(error) is None:
            raise  # a defect
        print(f"error: process {world.rank}: {limits.explained(error) or error}", file=sys.stderr)
        sys.exit(2)


def _train(order: Order, setting: Setting, stop: Stop) -> None:
    world, recipe = setting.world, setting.recipe
    saver = partial(Agreed.silent, every=recipe.save, world=world, stop=stop)
    with algorithms(recipe.deterministic):
        stages = Stages(recipe, setting.data.training, order.seed, world.device, Watcher(), saver, world)
        trainer, _ = stages.student()
        trainer.fit(stages.train, stages.valid)


def _prepared(order: Order, world: World, stop: Stop, corpus: Corpus | None, before: Setting | None) -> Setting:
    """The data, unless they are there; all processes hear of it where this one cannot have them."""
    recipe = Recipe.model_validate(order.recipe)
    if before is not None and before.recipe == recipe:
        world.each("")
        return before
    try:
        setting = seed_run.prepare(recipe, world.device, Path(), "", Display(), corpus, stop, world=world)
    except (UserError, OSError, MemoryError) as error:
        world.each(limits.explained(error) or str(error))
        raise Together from error
    problem = ""
    if setting.data.digest != order.data:
        problem = (
            f"its data are others than those of process 0: SHA-256 {setting.data.digest}, not {order.data}; give all "
            "machines the same files"
        )
    if any(world.each(problem)):
        raise Together
    return setting
