"""Features that are NaN or infinite: found piece by piece, and located."""

from dataclasses import dataclass, replace

import torch

from mmsa_core.corpora.sequences import CHUNK, Sequences


@dataclass(frozen=True)
class Defects:
    """Values of observed frames that are not finite: how many, in how many samples, and which is the first."""

    values: int
    rows: int
    row: int
    frame: int
    column: int
    value: float


def checked(x: Sequences) -> Sequences:
    """The sequences, known to be finite where all their memory is."""
    pieces = torch.split(x.values, max(1, CHUNK // x.channels))
    return x if x.finite else replace(x, finite=all(bool(piece.isfinite().all()) for piece in pieces))


def defects(x: Sequences) -> Defects | None:
    """What is wrong in observed frames; None where nothing is (what stands in padding is never read)."""
    bad = torch.zeros(len(x.values), dtype=torch.int64)
    for at, values in x.chunks():
        bad[at] = (~values.isfinite()).sum(dim=1).cpu()
    if not bad.any():
        return None
    before = torch.cat([bad.new_zeros(1), bad.cumsum(0)])
    by_row = torch.where(x.present(), before[x.starts + x.lengths] - before[x.starts], 0)
    row = int((by_row > 0).long().argmax())
    start = int(x.starts[row])
    frame = int((bad[start : start + int(x.lengths[row])] > 0).long().argmax())
    found = x.values[start + frame]
    column = int((~found.isfinite()).long().argmax())
    return Defects(int(by_row.sum()), int((by_row > 0).sum()), row, frame, column, found[column].item())
