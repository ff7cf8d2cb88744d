"""Losses and gradients that are NaN or infinite: noticed, and traced to term, step and samples."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

EVERY = 50
"""Mini-batches between looks where a look waits for the device; a look takes in all mini-batches since the last one."""
VANISHED = 1e-6
"""An encoder's gradient is as good as zero below this share of the largest encoder's."""
SHOWN = 5
"""Samples that a message names."""
ROLLBACKS = 3
"""Times that a stage goes back before it stops."""


class NonFinite(Exception):
    """A mini-batch whose loss or gradient is not finite; says all that is known of it."""


@dataclass
class Guard:
    """What is still to be looked at of the mini-batches since the last look."""

    every: int
    waiting: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)
    """Step, rows of the batch, and the largest of its loss and its gradients: finite where all of them are."""

    def add(self, step: int, index: Tensor, largest: Tensor) -> None:
        """Remember a mini-batch."""
        self.waiting.append((step, index, largest))

    @property
    def due(self) -> bool:
        """Whether it is time for a look."""
        return len(self.waiting) >= self.every

    def look(self) -> tuple[int, Tensor] | None:
        """Step and rows of the first mini-batch that was not finite; this waits for the device."""
        if not self.waiting:
            return None
        finite = torch.stack([largest for _, _, largest in self.waiting]).isfinite().tolist()
        found = next(
            ((step, index) for (step, index, _), fine in zip(self.waiting, finite, strict=True) if not fine), None
        )
        self.waiting.clear()
        return found


def largest(total: Tensor, gradients: Iterable[Tensor]) -> Tensor:
    """The largest size of an objective and of its gradients' elements; NaN where one of them is NaN."""
    sizes = torch._foreach_norm([g for g in gradients if g.numel()], math.inf)
    return torch.stack([total.detach().abs(), *sizes]).amax()


def culprits(logged: Mapping[str, float]) -> str:
    """Which terms of a step were not finite; if all were, its gradient was not."""
    losses = {n: v for n, v in logged.items() if n.startswith("loss/") and not math.isfinite(v)}
    terms = {name: value for name, value in losses.items() if name != "loss/total"} or losses
    if terms:
        return " and ".join(f"{name} became {value}" for name, value in terms.items())
    single = [n for n, v in logged.items() if n.startswith("gradient/") and not math.isfinite(v)]
    return (
        f"the gradient of {' and '.join(n.removeprefix('gradient/') for n in single) or 'the objective'} was not finite"
    )


def named(ids: Sequence[str]) -> str:
    """A few samples, and how many more there are."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def silent(means: Mapping[str, float], same: Sequence[str]) -> dict[str, str]:
    """What is finite and yet teaches nothing, from an epoch's means and the names that had one value throughout."""
    found = {n: f"{n} was constant" for n in same if n.startswith("loss/") and n != "loss/total"}
    terms = {n: v for n, v in means.items() if n.startswith("gradient/")}
    found |= {n: f"the gradient of the term '{n.partition('/')[2]}' was zero" for n, v in terms.items() if v == 0}
    encoders = {n: v for n, v in means.items() if n.startswith("encoder_gradient/")}
    most = max(encoders.values(), default=0.0)
    vanished = {n: v for n, v in encoders.items() if v <= VANISHED * most}
    return found | {n: f"the gradient of the encoder of '{n.partition('/')[2]}' vanished" for n in vanished}


def mean(values: Sequence[float]) -> float | None:
    """The mean of the finite ones; None where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None
