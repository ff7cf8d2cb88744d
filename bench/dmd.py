"""How fast `recipes/dmd-mosi.yaml` trains and predicts on made data of MOSI's size, beside the public code of DMD.

python bench/dmd.py [--peer PATH] [--quick] [--threads N] [--rounds N] [--json FILE]

PATH is a checkout of github.com/mdswyz/DMD; without it only ours is measured. A training step is one
mini-batch: forward, all losses, backward, clipping and update. Operations are those that torch dispatches, views too.
Both get the same batches and run alternately
within this one process, so ratios carry over to other machines and absolute times do not. Peak memory is that
of a process for each.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import torch
from measure import Figure, Found, alternate, arguments, environment, operations, peak_mebibytes
from peer_dmd import Published, check

from mmsa_core.attention import form
from mmsa_core.corpora import batching, data
from mmsa_core.recipes import recipe_file
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.training.stages import Stages
from mmsa_core.training.watcher import Watcher
from mmsa_core.types import Batch

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "dmd-mosi.yaml"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    batches: tuple[int, ...]
    frames: int
    channels: Mapping[str, int]
    dim: int
    heads: int
    layers: int
    block: int
    """Batches in a row of one variant."""
    rounds: int


MOSI = Size(
    batches=(16, 64),
    frames=50,
    channels={"text": 768, "audio": 5, "vision": 20},
    dim=50,
    heads=10,
    layers=4,
    block=3,
    rounds=5,
)
QUICK = Size(
    batches=(4, 8),
    frames=12,
    channels={"text": 24, "audio": 5, "vision": 7},
    dim=20,
    heads=4,
    layers=2,
    block=2,
    rounds=2,
)


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--peer", type=Path, metavar="PATH", help="also measure the public code in this checkout")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is timed")
    options = parser.parse_args()
    if options.peer is not None:
        check(options.peer)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    size = QUICK if options.quick else MOSI
    if options.rounds is not None:
        size = replace(size, rounds=options.rounds)
    found: Found = {"quick": options.quick, "environment": environment(), "size": asdict(size)}
    show(found)
    # First: on Linux a process counts the peak of the one that started it as its own.
    memory = {name: alone(name, size, options.peer) for name in named(options.peer)}
    found["peak_mebibytes"] = {str(b): {name: peak[b] for name, peak in memory.items()} for b in size.batches}
    corpus = Corpus.of(size)
    sides = {name: corpus.side(name, options.peer) for name in named(options.peer)}
    found |= {"operations": {}, "training": {}, "evaluation": {}}
    for batch in size.batches:
        rows = corpus.rows(batch)
        found["operations"][str(batch)] = counted(sides, rows[0])
        found["training"][str(batch)] = side_by_side(sides, "train", rows, size.rounds, "steps/s")
        found["evaluation"][str(batch)] = side_by_side(sides, "evaluate", rows, size.rounds, "batches/s")
        report(found, str(batch))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


class Side(Protocol):
    """What is measured; `Published` is the other one."""

    def reads(self, batch: Batch) -> Any:
        """A batch in the form that the other methods take."""

    def train(self, batches: Sequence[Any]) -> None:
        """A training step on each batch."""

    def evaluate(self, batches: Sequence[Any]) -> None:
        """Predictions for each batch."""


class Ours:
    """The recipe's network and terms, and the trainer that `mmsa train` uses."""

    def __init__(self, recipe: Recipe, corpus: data.Data) -> None:
        stages = Stages(recipe, corpus.training, recipe.seeds[0], torch.device("cpu"), Watcher())
        self.trainer, _ = stages.student()

    def reads(self, batch: Batch) -> Batch:
        """The batch as it is."""
        return batch

    def train(self, batches: Sequence[Batch]) -> None:
        """As in an epoch, each step with its update."""
        self.trainer.network.train()
        self.trainer.terms.modules.train()
        for batch in batches:
            self.trainer.step(batch, epoch=1, total_steps=1)

    def evaluate(self, batches: Sequence[Batch]) -> None:
        """The network alone."""
        self.trainer.network.eval()
        with torch.inference_mode():  # as the runner predicts
            for batch in batches:
                self.trainer.network(batch)


@dataclass(frozen=True)
class Corpus:
    """Recipe and data of one size, and the two sides on them."""

    recipe: Recipe
    data: data.Data
    block: int

    @classmethod
    def of(cls, size: Size) -> "Corpus":
        found = recipe(size)
        return cls(found, data.load(found), size.block)

    def side(self, name: str, peer: Path | None) -> Side:
        """`ours`, or `peer` from its checkout."""
        if name == "ours":
            return Ours(self.recipe, self.data)
        assert peer is not None
        return Published(peer, self.recipe, self.data)

    def rows(self, batch: int) -> list[Batch]:
        """The batches of one block."""
        return list(islice(batching.batches(self.data.splits["train"], self.recipe.task, batch), self.block))


def named(peer: Path | None) -> list[str]:
    """The sides that are measured."""
    return ["ours"] if peer is None else ["ours", "peer"]


def recipe(size: Size) -> Recipe:
    """The shipped recipe on made data, with an update after each step and nothing logged elsewhere."""
    overrides = [
        "data.name=synthetic",
        f"data.samples=[{max(size.batches) * size.block}, 1, 1]",
        f"data.length=[{size.frames}, {size.frames}]",
        f"data.channels={dict(size.channels)}".replace("'", ""),
        f"model.dim={size.dim}",
        f"model.fusion.heads={size.heads}",
        f"model.fusion.layers={size.layers}",
        "train.accumulate=1",
        "log.gradients_every=0",
        "track.wandb=null",
    ]
    return recipe_file.load(RECIPE, overrides)


def alone(name: str, size: Size, peer: Path | None) -> dict[int, float]:
    """What `peaks` finds in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peaks, name, size, peer, torch.get_num_threads()).result()


def peaks(name: str, size: Size, peer: Path | None, threads: int) -> dict[int, float]:
    """Peak memory after steps and predictions at each batch size, and at those before it."""
    torch.set_num_threads(threads)
    corpus = Corpus.of(size)
    side, found = corpus.side(name, peer), {}
    for batch in size.batches:
        rows = [side.reads(each) for each in corpus.rows(batch)]
        side.train(rows)
        side.evaluate(rows)
        found[batch] = peak_mebibytes()
    return found


def counted(sides: Mapping[str, Side], rows: Batch) -> dict[str, int]:
    """Operations of a training step: ours as any device but a CPU runs it, and in the form of this CPU."""
    here = {name: per_step(side, rows) for name, side in sides.items()}
    with mock.patch.object(form, "FEW", True):
        few = per_step(sides["ours"], rows)
    return {"ours": few, "ours in a CPU's form": here.pop("ours"), **here}


def per_step(side: Side, rows: Batch) -> int:
    """Operations of one training step, which is not the first: the optimiser has its state.

    The public code loops over samples that have others of their score and of other scores, so its number depends on
    the targets.
    """
    one = [side.reads(rows)]
    side.train(one)
    # The difference leaves out what is done once per call.
    return operations(partial(side.train, one * 2)) - operations(partial(side.train, one))


def side_by_side(sides: Mapping[str, Side], method: str, rows: Sequence[Batch], rounds: int, unit: str) -> Found:
    """The rate of each side and, where there are two, how many times as fast ours was in each round."""
    calls = {name: partial(getattr(side, method), [side.reads(each) for each in rows]) for name, side in sides.items()}
    seconds = alternate(calls, rounds)
    found: Found = {name: Figure.of([len(rows) / each for each in spent], unit) for name, spent in seconds.items()}
    if "peer" in seconds:
        ratios = [theirs / ours for theirs, ours in zip(seconds["peer"], seconds["ours"], strict=True)]
        found |= {"ratio": Figure.of(ratios, "times"), "ratio_by_round": ratios}
    return found


def show(found: Found) -> None:
    """What is about to be measured, on what."""
    about, size = found["environment"], found["size"]
    print(f"torch {about['torch']}, {about['threads']} threads of {about['cores']} cores, load {about['load']:.1f}")
    print(f"T = {size['frames']}, widths {size['channels']}, d = {size['dim']}")
    print("median (min .. max); ratio: ours / peer, round by round", flush=True)


def report(found: Found, batch: str) -> None:
    """The table of one batch size."""
    print(f"B = {batch}")
    for name in ("training", "evaluation"):
        each = found[name][batch]
        for label in ("ours", "peer", "ratio"):
            if label in each:
                print(f"  {name:10} {label:5} {each[label]}")
    print(f"  operations of a training step: {listed(found['operations'][batch], '')}")
    print(f"  peak memory: {listed(found['peak_mebibytes'][batch], ' MiB')}", flush=True)


def listed(values: Mapping[str, float], unit: str) -> str:
    return ", ".join(f"{name} {value:.0f}{unit}" for name, value in values.items())


if __name__ == "__main__":
    main()
