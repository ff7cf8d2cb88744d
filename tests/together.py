"""A program, for tests: one of several processes that train recipes together; the first writes what came of each."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import LABELS
from mmsa_core.datasets.synthetic import Synthetic
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training.stages import Stages
from mmsa_core.training.watcher import Watcher
from mmsa_core.training.world import World


class Heard(Watcher):
    """Keeps the rows of all steps and epochs."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def rows(self, stage, rows):
        self.steps += rows

    def epoch(self, stage, row):
        self.epochs.append(row)


def labelled(recipe):
    """The recipe's corpus, with four binary labels made of its scores."""
    corpus = Synthetic(recipe.data).load()
    for split in corpus.splits.values():
        score = split.targets["score"]
        split.targets[LABELS] = torch.stack([score > 0, score < 0, score == 0, score.abs() > 1], dim=1).long()
    return corpus


def trained(recipe, world):
    """Teacher and student of the first seed: what was logged, and the weights."""
    heard = Heard()
    stages = Stages(
        recipe, data.load(recipe, labelled(recipe)).training, recipe.seeds[0], world.device, heard, None, world
    )
    trainer, _ = stages.student()
    trainer.fit(stages.train, stages.valid)
    weights = {"network": trainer.network.state_dict(), "terms": trainer.terms.modules.state_dict()}
    return {"steps": heard.steps, "epochs": heard.epochs, "learned": weights, "drift": drift(weights, world)}


def drift(weights, world):
    """How far the weights of the processes are from each other."""
    found = torch.cat([x.flatten().double() for part in weights.values() for x in part.values()])
    return max((found - other).abs().max().item() for other in world.each(found))


if __name__ == "__main__":
    rank, size, meeting, recipes, out = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
    found = []
    for recipe, kind in json.loads(Path(recipes).read_text()):
        torch.set_default_dtype(getattr(torch, kind))
        found.append(trained(Recipe.model_validate(recipe), World(rank, size)))
    if rank == 0:
        torch.save(found, out)
    if size > 1:
        dist.destroy_process_group()
