"""The network that is exported: features and masks in, logits and what a person reads of them out."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmsa_core.corpora.batching import needed
from mmsa_core.model import Model
from mmsa_core.tasks import TaskBase
from mmsa_core.types import Batch, Modality

Features = Mapping[Modality, Float[Tensor, "batch _time _channels"]]
Observed = Mapping[Modality, Bool[Tensor, "batch _time"]]
LOGITS = "logits"


class Student(nn.Module):
    """A model and its task; what standardises features is inside.

    A model whose results depend on how far a sample is padded gets every sample padded to the longest sequence of the
    data that it was built for, as it is when it predicts. Longer ones are an error.
    """

    within: dict[Modality, Tensor]

    def __init__(self, model: Model, task: TaskBase) -> None:
        super().__init__()
        self.model, self.task = model, task
        self.lengths = needed(model)
        for modality, time in self.lengths.items():
            self.register_buffer(f"{modality}_within", torch.ones(time, dtype=torch.bool), persistent=False)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it reads, in the order of the inputs."""
        return tuple(self.model.encoders)

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs: each modality's features, then each one's mask."""
        return [*self.modalities, *(f"{m}_observed" for m in self.modalities)]

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs: the logits, then the columns of `mmsa predict`."""
        columns = self.task.columns(torch.zeros(1, self.task.width))
        taken = {*self.inputs, LOGITS}
        return [LOGITS, *(f"{name}_predicted" if name in taken else name for name in columns)]

    def forward(self, features: Features, observed: Observed) -> tuple[Tensor, ...]:
        padded = {m: self._padded(m, features[m], observed[m]) for m in self.modalities}
        nothing = next(iter(observed.values())).new_zeros(1)
        batch = Batch(
            features={m: x for m, (x, _) in padded.items()},
            observed={m: seen for m, (_, seen) in padded.items()},
            target=nothing,
            index=nothing,
            key=nothing,
        )
        logits: Tensor = self.model(batch).logits
        return logits, *self.task.columns(logits).values()

    def _padded(self, modality: Modality, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        if modality not in self.lengths:
            return x, observed
        time: int = self.lengths[modality]
        within: Any = getattr(self, f"{modality}_within")
        seen = observed & within[torch.arange(x.shape[1])]  # a longer sequence reads beyond the buffer: an error
        features = torch.cat([x, x.new_zeros(x.shape[0], time, x.shape[2])], dim=1)[:, :time]
        return features, torch.cat([seen, seen.new_zeros(seen.shape[0], time)], dim=1)[:, :time]
