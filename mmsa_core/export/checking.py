"""Whether an exported student answers as the network does, and refuses what the network does not take.

Asked are every subset of the modalities, lengths and numbers of samples other than the recorded ones, holes in what
is seen, and NaN in what is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from torch import Tensor

from mmsa_core.components import Encoder
from mmsa_core.errors import UserError
from mmsa_core.export.exported import Exported
from mmsa_core.export.student import LOGITS, Student
from mmsa_core.model import Model, Standardize
from mmsa_core.types import Batch, Modality, lengthened

TOLERANCE = 1e-4
"""Of an output, relative to the largest logit where that is above 1: other orders of the same sums."""
TIMES = (1, 4, 9, 23)
"""Frames that are tried; those beyond the longest that a network takes are left out."""
MOST = 10
"""Modalities of which every subset is tried; 1,024 subsets."""


@dataclass(frozen=True)
class Case:
    """Samples to ask about, in words and as arrays."""

    words: str
    features: dict[Modality, Tensor]
    observed: dict[Modality, Tensor]

    @property
    def batch(self) -> Batch:
        """What the network takes."""
        size = len(next(iter(self.features.values())))
        nothing = torch.zeros(size)
        return Batch(self.features, self.observed, nothing, nothing.long(), nothing.long())


def check(exported: Exported, student: Student) -> int:
    """Compare on every case; returns their number.

    Raises:
        UserError: with the first case in which they differ, or where too long a sequence is not refused.
    """
    asked = list(cases(student))
    for case in asked:
        wanted = expected(student, case)
        found = exported(*({m: x.numpy() for m, x in given.items()} for given in (case.features, case.observed)))
        if said := difference(student, found, wanted):
            raise UserError(f"the exported file answers otherwise than the network {case.words}: {said}")
    _too_long(exported, student)
    return len(asked)


def cases(student: Student) -> Iterator[Case]:
    """Each subset alone, in a batch of one, two or five samples; then all of them in one batch, at every length."""
    modalities = student.modalities
    if len(modalities) > MOST:
        raise UserError(f"{len(modalities)} modalities have too many subsets to check; at most {MOST} can be exported")
    source = torch.Generator().manual_seed(0)
    sizes, times = cycle((1, 2, 5)), cycle(_times(student))
    every = range(2 ** len(modalities))
    for code in every:
        yield _case(student, [code] * next(sizes), {m: next(times) for m in modalities}, source)
    for time in _times(student):
        yield _case(student, list(every), dict.fromkeys(modalities, time), source)


def _times(student: Student) -> list[int]:
    longest = min(student.lengths.values(), default=max(TIMES))
    return sorted({time for time in (*TIMES, longest) if time <= longest})


def _case(student: Student, codes: Sequence[int], times: dict[Modality, int], source: torch.Generator) -> Case:
    """Samples that show the subsets `codes`, with frames like those of the data and holes in them."""
    features, observed = {}, {}
    for number, m in enumerate(student.modalities):
        shown = torch.tensor([code >> number & 1 for code in codes], dtype=torch.bool)
        standardize = student.model.standardize[m]
        assert isinstance(standardize, Standardize)
        seen = torch.rand(len(codes), times[m], generator=source) < 0.7
        seen[:, -1] = True
        noise = torch.randn(len(codes), times[m], len(standardize.mean), generator=source)
        x = standardize.mean + noise / standardize.scale.masked_fill(standardize.scale == 0, 1.0)
        observed[m] = seen & shown.unsqueeze(1)
        features[m] = x.masked_fill(~observed[m].unsqueeze(2), float("nan"))
    names = {"+".join(m for n, m in enumerate(student.modalities) if code >> n & 1) or "nothing" for code in codes}
    subsets = f"where {names.pop()} is seen" if len(names) == 1 else "on all subsets at once"
    frames = ", ".join(f"{time} of {m}" for m, time in times.items())
    return Case(f"{subsets} (samples: {len(codes)}; frames: {frames})", features, observed)


def expected(student: Student, case: Case) -> Tensor:
    """The network's logits, computed as when it predicts."""
    with torch.inference_mode():
        logits: Tensor = student.model(lengthened(case.batch, student.lengths)).logits
    return logits


def difference(student: Student, found: dict[str, np.ndarray], wanted: Tensor) -> str:
    """By how much the logits differ, or columns from what follows from them; nothing where they agree."""
    logits = torch.from_numpy(np.array(found[LOGITS]))
    if logits.shape != wanted.shape:
        return f"logits of shape {tuple(logits.shape)}, expected {tuple(wanted.shape)}"
    allowed = TOLERANCE * max(1.0, wanted.abs().max().item())
    if not (logits - wanted).abs().max().item() <= allowed:  # NaN differs too
        return f"logits differ by {(logits - wanted).abs().max().item():.3g}, more than {allowed:.3g}"
    for name, column in zip(student.outputs[1:], student.task.columns(logits).values(), strict=True):
        if not np.allclose(found[name], column.numpy(), rtol=TOLERANCE, atol=allowed):
            return f"'{name}' does not follow from its logits"
    return ""


def _too_long(exported: Exported, student: Student) -> None:
    """A longer sequence than a network of fixed length takes must be an error."""
    for modality, time in student.lengths.items():
        times = dict.fromkeys(student.modalities, 1) | {modality: time + 1}
        case = _case(student, [2 ** len(times) - 1] * 2, times, torch.Generator().manual_seed(1))
        try:
            exported(*({m: x.numpy() for m, x in given.items()} for given in (case.features, case.observed)))
        except Exception:  # noqa: S112 - of whichever kind the library raises
            continue
        raise UserError(
            f"the exported file answers for {time + 1} frames of '{modality}', of which the network takes {time}"
        )


def check_readable(model: Model, names: dict[Modality, str]) -> None:
    """Refuse encoders that read numbers which no check can make up, such as token ids."""
    for modality, encoder in model.encoders.items():
        assert isinstance(encoder, Encoder)
        if encoder.raw:
            raise UserError(
                f"encoder '{names[modality]}' of '{modality}' cannot be exported: it reads features as they are (token "
                "ids and the like), for which the check behind an export has no values. Export a run whose text is "
                "features"
            )
