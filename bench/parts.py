"""The parts of `recipes/corrkd.yaml` at MOSI's size: recipe, data, networks, teacher, terms, trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from loops import looped
from torch import nn

from mmsa_core import assemble
from mmsa_core.components import Context, Distiller
from mmsa_core.corpora import data
from mmsa_core.model import Model
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Log, Recipe
from mmsa_core.training.runner import Trainer
from mmsa_core.training.stages import Stages
from mmsa_core.training.teacher import Fixed
from mmsa_core.training.watcher import Watcher

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
        stages = self.stages(batch=1)
        return stages.network(self.recipe.model, role, stages.train)

    def trainer(self, batch: int, cache: bool = True, by_loops: tuple[str, ...] = ()) -> Trainer:
        """The student's trainer, some of its terms computed by loops; the teacher is not trained either."""
        stages = self.stages(batch)
        network = self.network("teacher").eval().requires_grad_(False)
        teacher = Fixed(network, batch, lengths=self.data.lengths)
        if cache:
            teacher.keep(stages.train, self.recipe.task)
        return stages.trainer(self.network("student").train(), teacher, self.terms(by_loops))

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

    def stages(self, batch: int) -> Stages:
        """The stages at a batch size; gradient norms, which are logged every 50th step only, are left out."""
        train = self.recipe.train.model_copy(update={"batch_size": batch})
        recipe = self.recipe.model_copy(update={"train": train, "log": Log(gradients_every=0)})
        return Stages(recipe, self.data.training, self.seed, CPU, Watcher())

    @property
    def seed(self) -> int:
        """The recipe's first."""
        return self.recipe.seeds[0]


def parts(size: Size) -> Parts:
    """Recipe and data of one size."""
    found = recipe(size)
    return Parts(found, data.load(found))
