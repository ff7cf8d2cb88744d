"""The loss terms beside the task's: their values for a batch, and their sum over a split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from mmsa_core.components import Masker, OptimizerConfig
from mmsa_core.missing import Draw
from mmsa_core.training.teacher import Teacher
from mmsa_core.types import Batch, Outputs


@dataclass(frozen=True)
class Terms:
    """Modules, weights and optimisers of the loss terms, by the recipe's names."""

    modules: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    weights: Mapping[str, float] = field(default_factory=dict)
    optimizers: Mapping[str, OptimizerConfig | None] = field(default_factory=dict)
    gradients_every: int = 0

    def values(self, student: Outputs, teacher: Outputs, seen: Batch) -> dict[str, Tensor]:
        """Each term for one batch, before its weight."""
        return {label: term(student, teacher, seen) for label, term in self.modules.items()}

    def objective(self, values: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of the values times their weights, and each of these; what has no weight counts once."""
        stacked = torch.stack(list(values.values()))
        weighted = stacked * _factors(tuple(self.weights.get(label, 1.0) for label in values), stacked.device)
        return weighted.sum(), dict(zip(values, weighted.unbind(0), strict=True))


@lru_cache(maxsize=16)
def _factors(weights: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(weights, device=device)


def mean_loss(
    network: nn.Module,
    teacher: Teacher | None,
    terms: Terms,
    batches: Iterable[Batch],
    draw: Draw,
    masker: Masker | None,
    seed: int,
) -> float:
    """The weighted sum of the terms over unseen batches in eval mode: a mean in which each sample counts once.

    What a term draws comes from `seed`.
    """
    modules = (network, terms.modules)
    training = [module.training for module in modules]
    for module in modules:
        module.eval()
    sums, samples = [], 0
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for batch in batches:
            seen = masker(batch, draw) if masker else batch
            student = network(seen)
            taught = teacher(batch, student, training=False) if teacher else student
            total, _ = terms.objective(terms.values(student, taught, seen))
            sums.append(len(batch) * total)
            samples += len(batch)
    for module, before in zip(modules, training, strict=True):
        module.train(before)
    return torch.stack(sums).sum().item() / samples
