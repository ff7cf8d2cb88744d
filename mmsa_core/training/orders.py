"""What the first of several processes asks of the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mmsa_core.errors import UserError
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training.world import World


@dataclass(frozen=True)
class Order:
    """One seed to train."""

    recipe: dict[str, Any]
    seed: int
    data: str
    """The digest of its data."""


@contextmanager
def called(world: World, recipe: Recipe, seed: int, data: str) -> Iterator[None]:
    """All processes train a seed in the block.

    Raises:
        UserError: where one of them cannot.
    """
    if world.size > 1:
        world.told(Order(recipe.model_dump(mode="json"), seed, data))
        refused = [f"process {rank}: {said}" for rank, said in enumerate(world.each("")) if said]
        world.busy = True
        if refused:
            raise UserError("\n".join(refused))
    yield
    world.busy = False
