"""The parts of `recipes/corrkd.yaml` at MOSI's size: recipe, data, networks, teacher, terms, trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from loops import looped
from torch import nn

from mmsa_core import assemble, data, recipe_file
from mmsa_core.components import Context, Distiller
from mmsa_core.missing import derive
from mmsa_core.model import Model
from mmsa_core.recipe import Recipe
from mmsa_core.runner import Terms, Trainer
from mmsa_core.teacher import Fixed

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "corrkd.yaml"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    samples: tuple[int, int, int]
    """Train, valid and test."""
    frames: int
    channels: Mapping[str, int]
    step_batches: tuple[int, ...]
    block: int
    """Steps in a row of one variant, without loops."""
    step_rounds: int
    loop_batches: tuple[int, ...]
    loop_rounds: int
    inference_batches: tuple[int, ...]
    inference_rounds: int
    epochs: int | None
    """Of the full run; None leaves the recipe's."""


MOSI = Size(
    samples=(1284, 229, 686),
    frames=50,
    channels={"text": 300, "audio": 74, "vision": 35},
    step_batches=(16, 64),
    block=3,
    step_rounds=21,
    loop_batches=(16, 64),
    loop_rounds=5,
    inference_batches=(1, 256),
    inference_rounds=11,
    epochs=None,
)
QUICK = Size(
    samples=(64, 16, 24),
    frames=8,
    channels={"text": 30, "audio": 7, "vision": 5},
    step_batches=(4, 16),
    block=2,
    step_rounds=3,
    loop_batches=(4, 8),
    loop_rounds=2,
    inference_batches=(1, 16),
    inference_rounds=3,
    epochs=1,
)


def recipe(size: Size) -> Recipe:
    """The shipped recipe on data of another size, without Weights & Biases."""
    samples, channels = list(size.samples), dict(size.channels)
    overrides = [
        f"data.samples={samples}",
        f"data.length=[{size.frames}, {size.frames}]",
        f"data.channels={channels}".replace("'", ""),
        "track.wandb=null",
    ]
    if size.epochs is not None:
        overrides.append(f"train.epochs={size.epochs}")
    return recipe_file.load(RECIPE, overrides)


@dataclass(frozen=True)
class Parts:
    """Builds what a step needs; the same seed gives the same weights every time."""

    recipe: Recipe
    data: data.Data

    def network(self, role: str) -> Model:
        """Student or teacher, untrained: what a step costs does not depend on the weights."""
        found = assemble.model(
            self.recipe.model, self.recipe.task, self.data.channels, self.data.lengths, derive(self.seed, role)
        )
        found.fit_statistics(self.data.splits["train"])
        return found

    def teacher(self, batch: int, cache: bool) -> Fixed:
        """A frozen teacher for batches of one size."""
        found = Fixed(self.network("teacher").eval().requires_grad_(False), batch)
        if cache:
            found.keep(self.data.splits["train"], self.recipe.task)
        return found

    def terms(self, by_loops: tuple[str, ...] = ()) -> nn.ModuleDict:
        """The recipe's loss terms; those named are computed by loops."""
        channels, lengths = self.data.channels, self.data.lengths
        context = Context(channels=channels, lengths=lengths, dim=self.recipe.model.dim, task=self.recipe.task)
        found = assemble.distillers(self.recipe, channels, lengths, self.seed)
        for label in by_loops:
            term = found[label]
            assert isinstance(term, Distiller)
            found[label] = looped(term, self.recipe.distillers[label], context)
        return found

    def trainer(self, batch: int, cache: bool = True, by_loops: tuple[str, ...] = ()) -> Trainer:
        """The student's trainer; gradient norms, which are logged every 50th step only, are left out."""
        distillers = self.recipe.distillers
        return Trainer(
            "student",
            self.network("student").train(),
            self.recipe.task,
            self.recipe.train.model_copy(update={"batch_size": batch}),
            self.seed,
            teacher=self.teacher(batch, cache),
            masker=assemble.masker(self.recipe),
            terms=Terms(
                self.terms(by_loops),
                {label: config.weight for label, config in distillers.items()},
                {label: config.optimizer for label, config in distillers.items()},
            ),
        )

    @property
    def seed(self) -> int:
        """The recipe's first."""
        return self.recipe.seeds[0]


def parts(size: Size) -> Parts:
    """Recipe and data of one size."""
    found = recipe(size)
    return Parts(found, data.load(found))
