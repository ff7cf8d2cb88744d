"""Calibration by availability: a bias, and a temperature if asked for, for what a model sees of a sample.

What a network says of samples that show little lies to one side of where it should: its answers crowd about the mean
that it learned, far from the border between negative and positive. So each cell (the modalities seen, and a bucket of
the share of holes in them) has a bias of its own, fitted on masked answers on the validation split. A cell leans on
its parent, the modalities alone, and this on all samples together, the more the fewer clips it has. This is ours; for
one label of several classes it is bias-corrected temperature scaling (Alexandari et al., ICML 2020), where bias and
temperature are found together and here one after the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from mmsa_core.calibration.bias import Bias, Rule, fitted
from mmsa_core.calibration.evidence import Evidence, buckets
from mmsa_core.calibration.margins import moved
from mmsa_core.evaluation.scores import Answers, Calibrated
from mmsa_core.tasks import TaskBase

LEAN_ON_ALL = 20
"""A subset counts as much as all samples together where it has so many clips."""
LEAN_ON_SUBSET = 100
"""A cell counts as much as its subset where it has so many clips."""

Cell = tuple[int, int | None]
"""The code of the modalities seen, and the bucket of their missing share; None for the whole subset."""


@dataclass(frozen=True)
class Calibration:
    """The bias of all samples, and of each subset and cell that validation has seen."""

    whole: Bias
    cells: Mapping[Cell, Bias]

    def of(self, subset: int, bucket: int) -> tuple[Bias, int]:
        """The bias of a sample, and how many steps up it was found: 0 its cell, 1 its subset, 2 all samples."""
        for steps, cell in enumerate(((subset, bucket), (subset, None))):
            if cell in self.cells:
                return self.cells[cell], steps
        return self.whole, 2


def fit(evidence: Evidence, rule: Rule, temperature: bool = False) -> Calibration:
    """The calibration of every cell that occurs."""

    def part(rows: Bool[Tensor, " rows"], parent: Bias, lean: int) -> Bias:
        return fitted(evidence.rows(rows), rule, parent, lean, temperature)

    whole = fitted(evidence, rule, None, 0, temperature)
    cells: dict[Cell, Bias] = {}
    for subset in sorted(set(evidence.subset.tolist())):
        of_subset = evidence.subset == subset
        cells[subset, None] = part(of_subset, whole, LEAN_ON_ALL)
        for bucket in sorted(set(evidence.bucket[of_subset].tolist())):
            cells[subset, bucket] = part(of_subset & (evidence.bucket == bucket), cells[subset, None], LEAN_ON_SUBSET)
    return Calibration(whole, cells)


def apply(calibration: Calibration, task: TaskBase, answers: Answers) -> Calibrated:
    """The calibrated logits, and for each sample how many steps above its own cell the bias was found."""
    wanted = list(zip(answers.subset.tolist(), buckets(answers.share).tolist(), strict=True))
    known = {cell: calibration.of(*cell) for cell in set(wanted)}
    found = [known[cell] for cell in wanted]
    columns = [(*each.values, each.temperature) for each, _ in found]
    width = len(calibration.whole.values) + 1
    numbers = torch.tensor(columns, dtype=torch.float64).reshape(len(found), width)
    logits = (answers.logits.double() / numbers[:, -1:]).to(answers.logits.dtype)
    return Calibrated(moved(task, logits, numbers[:, :-1]), torch.tensor([steps for _, steps in found]))
