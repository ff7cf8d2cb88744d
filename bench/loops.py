"""CorrKD's three terms as plain double Python loops over samples: what the vectorised ones are timed against.

Each class below has the configuration and the weights of the term that it extends and returns the same
number; only the arithmetic is written out. One group of classes (a single label), and no zero
representation: the bench has neither several labels nor empty samples.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmsa_corrkd.cpd import CategoryPrototype
from mmsa_corrkd.critic import MlpCritic
from mmsa_corrkd.rcd import ResponseConsistency
from mmsa_corrkd.scd import SampleContrastive
from torch import Tensor

from mmsa_core.components import Context, Distiller
from mmsa_core.tasks import IGNORE
from mmsa_core.types import Batch, Outputs, map_tensors


class LoopedSampleContrastive(SampleContrastive):
    """SCD pair by pair."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        h_s, h_t = student.joint, teacher.joint.detach()
        n, scale = len(h_s), h_s.shape[1] ** 0.5 if self.rms else 1.0
        total = h_s.new_zeros(())
        for i in range(n):
            own = (torch.linalg.vector_norm(h_s[i] - h_t[i]) / scale).square()
            for j in range(n):
                if j != i:
                    distance = torch.linalg.vector_norm(h_s[i] - h_t[j]) / scale
                    total = total + own + (self.eta - distance).clamp(min=0).square()
        return total / max(n * (n - 1), 1) if self.mean else total


class LoopedCategoryPrototype(CategoryPrototype):
    """CPD sample by sample and class by class."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        h_s, h_t = student.joint, teacher.joint.detach()
        category = self.task.categories(batch.target).squeeze(1).tolist()
        total, present = h_s.new_zeros(()), 0
        for k in range(self.task.class_count):
            rows = [i for i, own in enumerate(category) if own == k]
            if not rows:
                continue
            present += 1
            c_s, c_t = _mean([h_s[i] for i in rows]), _mean([h_t[i] for i in rows])
            for i in range(len(h_s)):
                total = total + (_cosine(h_s[i], c_s) - _cosine(h_t[i], c_t)).abs()
        return total / (len(h_s) * (max(present, 1) if self.skip else self.task.class_count))


class LoopedResponseConsistency(ResponseConsistency):
    """RCD with the critic called on one pair at a time."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        category = self.task.categories(batch.target).squeeze(1).tolist()
        r_s = [self._split(logits, own) for logits, own in zip(student.logits, category, strict=True)]
        r_t = [self._split(logits, own) for logits, own in zip(teacher.logits.detach(), category, strict=True)]
        total = student.logits.new_zeros(())
        for part, factor in self.factors.items():
            critic = self.critics[part]
            assert isinstance(critic, MlpCritic)
            total = total - factor * self._bound(critic, [r[part] for r in r_t], [r[part] for r in r_s], category)
        return total

    def _split(self, logits: Tensor, own: int) -> dict[str, Tensor]:
        """One sample's response, decoupled (any class where it has none: it is in no pair)."""
        p, own = (logits / self.temperature).softmax(dim=0), max(own, 0)
        return {
            "target": torch.stack([p[own], 1 - p[own]]),
            "nontarget": torch.cat([p[:own], p[own + 1 :]]) / (1 - p[own]),
        }

    def _bound(self, critic: MlpCritic, r_t: list[Tensor], r_s: list[Tensor], category: list[int]) -> Tensor:
        n = len(category)
        joint, marginal, samples, pairs = r_s[0].new_zeros(()), r_s[0].new_zeros(()), 0, 0
        for i in range(n):
            for j in range(n):
                if IGNORE in (category[i], category[j]):
                    continue
                negative = self._negative(i, j, n)
                if i != j and not negative:
                    continue
                score = critic.net(torch.cat([r_t[i], r_s[j]])).squeeze()
                if i == j:
                    joint, samples = joint + F.logsigmoid(score), samples + 1
                if negative:
                    marginal, pairs = marginal + F.logsigmoid(-score), pairs + 1
        return joint / samples + marginal / pairs if pairs else joint * 0

    def _negative(self, i: int, j: int, n: int) -> bool:
        if self.negatives == "all":
            return True
        return i != j and (self.negatives == "others" or j == (i - 1) % n)


LOOPED: dict[type[Distiller], type[Distiller]] = {
    SampleContrastive: LoopedSampleContrastive,
    CategoryPrototype: LoopedCategoryPrototype,
    ResponseConsistency: LoopedResponseConsistency,
}


def looped(term: Distiller, config: Any, context: Context) -> Distiller:
    """The loop version of a term, with its weights."""
    found = LOOPED[type(term)](config, context)
    found.load_state_dict(term.state_dict())
    return found


def difference(term: Distiller, other: Distiller, student: Outputs, teacher: Outputs, batch: Batch) -> float:
    """The largest relative difference between two terms in float64: of the value and of every gradient."""
    pairs = zip(_derivatives(term, student, teacher, batch), _derivatives(other, student, teacher, batch), strict=True)
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) for a, b in pairs)


def _derivatives(term: Distiller, student: Outputs, teacher: Outputs, batch: Batch) -> Sequence[Tensor]:
    """The term's value, then its gradients by the student's outputs and by its own weights."""
    exact = map_tensors(_exact, student)
    dtype = next((p.dtype for p in term.parameters()), torch.float32)
    term.double()
    inputs = [exact.joint, exact.logits, *term.parameters()]
    value = term(exact, map_tensors(_exact, teacher), batch)
    found = torch.autograd.grad(value, inputs, allow_unused=True)
    term.to(dtype)
    return [value.detach(), *(g for g in found if g is not None)]


def _exact(x: Tensor) -> Tensor:
    return x.detach().double().requires_grad_() if x.is_floating_point() else x


def _mean(rows: list[Tensor]) -> Tensor:
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total / len(rows)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    cosine: Tensor = a @ b / (torch.linalg.vector_norm(a) * torch.linalg.vector_norm(b))
    return cosine
