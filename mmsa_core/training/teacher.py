"""Where a teacher's outputs come from: frozen networks (kept by sample), an average of the student, itself."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from math import log
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsa_core.corpora.batching import batches
from mmsa_core.corpora.corpus import Split
from mmsa_core.tasks import Regression, TaskBase
from mmsa_core.training.world import ALONE, World
from mmsa_core.types import Batch, Modality, Outputs, filled, lengthened, map_tensors, narrow


class Teacher(Protocol):
    """What the runner asks: outputs for the complete batch, and a call after each update of the student.

    `training` tells whether the batch is of the training split, whose outputs may have been kept.
    """

    def __call__(self, batch: Batch, student: Outputs, training: bool = True) -> Outputs: ...

    def updated(self, student: nn.Module) -> None: ...


class Myself:
    """The student's own outputs of the same forward pass, with their gradient."""

    def __call__(self, batch: Batch, student: Outputs, training: bool = True) -> Outputs:
        return student

    def updated(self, student: nn.Module) -> None:
        pass


class Average:
    """An exponential moving average of the student that sees the complete batch (Tarvainen and Valpola, 2017)."""

    def __init__(self, student: nn.Module, decay: float, world: World = ALONE) -> None:
        self.average, self.world = MovingAverage(student, decay), world

    def __call__(self, batch: Batch, student: Outputs, training: bool = True) -> Outputs:
        with torch.no_grad():
            return self.world.run(self.average.network, batch)

    def updated(self, student: nn.Module) -> None:
        self.average.update(student)


class Fixed:
    """Frozen networks in eval mode; with `train`, each sample's outputs are computed once and kept.

    A sample's outputs are the same to the last bit whether they were kept or not, because the
    network always runs on exactly `size` rows (see `types.filled`), padded to `lengths`, those of the data. Of its
    outputs only the fields of the class `reads` are given.
    """

    def __init__(
        self,
        network: Callable[[Batch], Outputs],
        size: int,
        reads: type[Outputs] = Outputs,
        *,
        lengths: Mapping[Modality, int],
    ) -> None:
        self.network = network
        self.size = size
        self.reads = reads
        self.lengths = lengths
        self.kept: Outputs | None = None

    def keep(self, train: Split, task: TaskBase) -> None:
        """Compute the outputs of every training sample now."""
        for batch in batches(train, task, self.size, lengths=self.lengths):
            found = self._run(batch)
            if self.kept is None:
                self.kept = map_tensors(lambda x: x.new_empty(len(train), *x.shape[1:]), found)
            map_tensors(lambda store, x: store.index_copy_(0, batch.index, x), self.kept, found)  # noqa: B023

    def __call__(self, batch: Batch, student: Outputs, training: bool = True) -> Outputs:
        if self.kept is not None and training:
            return map_tensors(lambda x: x.index_select(0, batch.index), self.kept)
        return self._run(batch)

    def updated(self, student: nn.Module) -> None:
        pass

    def _run(self, batch: Batch) -> Outputs:
        with torch.no_grad():
            outputs = narrow(self.network(filled(lengthened(batch, self.lengths), self.size)), self.reads)
        return map_tensors(lambda x: x[: len(batch)], outputs)


class MovingAverage(nn.Module):
    """A copy of a network, in eval mode, whose weights follow it as an exponential moving average."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._started = False

    def get_extra_state(self) -> dict[str, bool]:
        return {"started": self._started}

    def set_extra_state(self, state: dict[str, bool]) -> None:
        self._started = state["started"]

    def update(self, network: nn.Module) -> None:
        """Move towards the network's weights; the first time, take them. Buffers are copied."""
        with torch.no_grad():
            own: list[Tensor] = list(self.network.parameters())
            new: list[Tensor] = list(network.parameters())
            torch._foreach_lerp_(own, new, 1 - self.decay if self._started else 1.0)
            for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
                kept.copy_(buffer)
        self._started = True


def ensemble(networks: Sequence[nn.Module], task: TaskBase) -> Callable[[Batch], Outputs]:
    """The averaged responses of several networks: mean class probabilities, or mean scores.

    Representations of networks that were trained apart cannot be averaged; there are none.
    """

    def respond(batch: Batch) -> Outputs:
        logits = torch.stack([network(batch).logits for network in networks])
        if isinstance(task, Regression):
            mean = logits.mean(dim=0)
        else:
            shape = (len(networks), -1, task.groups, task.class_count)
            # from logarithms, since a small probability is rounded to 0
            mean = (F.log_softmax(logits.view(shape), dim=-1).logsumexp(dim=0) - log(len(networks))).flatten(1)
        return Outputs(encoded={}, joint=mean.new_zeros(len(mean), 0), logits=mean)

    return respond
