"""The processes that train one network together: which samples are whose, and what they tell each other.

All of them hold the whole of each batch, and the same weights. Each runs the networks on its own rows and gathers the
outputs of the others, so that all compute the objective of the whole batch, whatever its terms compare. The gradient of
the network is summed over the processes: each has the part of its own rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mmsa_core.corpora.corpus import CPU
from mmsa_core.errors import UserError
from mmsa_core.missing import derive
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.recipes.teachers import TrainedTeacher
from mmsa_core.training.gathering import gathered, talking
from mmsa_core.types import Batch, Outputs, map_tensors

Network = Callable[[Batch], Outputs]
T = TypeVar("T")


@dataclass(eq=False)
class World:
    """The processes, as one of them sees them; by default it is alone, and nothing is sent."""

    rank: int = 0
    """Which of them this one is. The first (0) writes, speaks and decides."""
    size: int = 1
    device: torch.device = CPU
    host: Any = None
    """The group of torch that messages go through which are not on the device."""
    busy: bool = False
    """Whether the others train along now."""

    def rows(self, samples: int) -> list[int]:
        """How many of so many samples each process has: as equal as can be."""
        return [samples // self.size + (rank < samples % self.size) for rank in range(self.size)]

    def run(self, network: Network, batch: Batch, responses: bool = False) -> Outputs:
        """A network's outputs for a batch, each process's of its own rows; where `responses`, its logits alone.

        What it draws (dropout) differs between the processes, and what is drawn afterwards does not.
        """
        if self.size == 1:
            return network(batch)
        sizes = self.rows(len(batch))
        own = map_tensors(lambda x: x.split(sizes)[self.rank], batch)
        with torch.random.fork_rng([batch.index.device] if batch.index.is_cuda else []):
            torch.manual_seed(derive(torch.initial_seed(), "process", self.rank))
            found = network(own)
        if responses:
            found = Outputs({}, found.joint[:, :0], found.logits)
        return gathered(found, sizes, self.rank)

    def spread(self, network: Network) -> Network:
        """A network that is run by all processes, each on its own rows."""
        return network if self.size == 1 else lambda batch: self.run(network, batch)

    def summed(self, found: Sequence[Tensor | None], like: Sequence[Tensor], whole: int = 0) -> list[Tensor | None]:
        """Gradients of `like` summed over processes; the last `whole` are the same on each, and their mean is taken.

        What no process has a gradient of stays None.
        """
        if self.size == 1:
            return list(found)
        there = torch.tensor([g is not None for g in found], dtype=torch.uint8)
        with talking():
            dist.all_reduce(there, dist.ReduceOp.MAX, group=self.host)
            have = there.tolist()
            values = [torch.zeros_like(p) if g is None else g for g, p, a in zip(found, like, have, strict=True) if a]
            if not values:
                return list(found)
            n = len(values) - sum(have[len(have) - whole :])
            values[n:] = [value / self.size for value in values[n:]]
            flat = torch.cat([value.flatten() for value in values])
            dist.all_reduce(flat)
        parts = iter(torch.split(flat, [value.numel() for value in values]))
        return [next(parts).view_as(p).to(p.dtype) if a else None for p, a in zip(like, have, strict=True)]

    def most(self, value: int) -> int:
        """The largest number that a process has."""
        if self.size == 1:
            return value
        found = torch.tensor(value)
        with talking():
            dist.all_reduce(found, dist.ReduceOp.MAX, group=self.host)
        return int(found)

    def told(self, value: T) -> T:
        """What the first process has."""
        if self.size == 1:
            return value
        found = [value]
        with talking():
            dist.broadcast_object_list(found, src=0, group=self.host)
        return found[0]

    def each(self, value: T) -> list[T]:
        """What every process has, in their order."""
        if self.size == 1:
            return [value]
        found = [value] * self.size
        with talking():
            dist.all_gather_object(found, value, group=self.host)
        return found


ALONE = World()


def check(recipe: Recipe, world: World) -> None:
    """Refuse batches that are too small to be shared.

    Raises:
        UserError: naming the key of the recipe.
    """
    chosen = recipe.teacher
    own = chosen.train if isinstance(chosen, TrainedTeacher) else None
    for where, train in (("train", recipe.train), ("teacher.train", own)):
        if train is not None and train.batch_size < world.size:
            raise UserError(
                f"{where}.batch_size: a batch of {train.batch_size} cannot be shared by {world.size} processes; it "
                f"counts the samples of all of them, so set it to {world.size} or more, or start fewer processes"
            )
