"""A data set in memory: splits of samples, each with feature sequences, visibility and targets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core import missing
from mmsa_core.types import Modality

SCORE = "score"
"""A sentiment score, float32 [samples]."""
LABEL = "label"
"""One class per sample, int64 [samples]."""
LABELS = "labels"
"""Several binary labels at once, int64 [samples, labels]."""


@dataclass(frozen=True)
class Split:
    """Samples of one split, padded to a common length per modality.

    `targets` holds what the file has of `score`, `label` and `labels`; it may be empty for data
    that only wait for a prediction.
    """

    ids: tuple[str, ...]
    features: Mapping[Modality, Float[Tensor, "samples _time _channels"]]
    observed: Mapping[Modality, Bool[Tensor, "samples _time"]]
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    key: Int64[Tensor, " samples"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    """What masks depend on: a hash of each sample's id. Made here; a sample keeps its key when others are left out."""

    def __post_init__(self) -> None:
        if len(self.key) != len(self.ids):
            object.__setattr__(self, "key", missing.keys(self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, keep: Bool[Tensor, " samples"]) -> "Split":
        """The samples where `keep` is True."""
        return Split(
            ids=tuple(name for name, kept in zip(self.ids, keep.tolist(), strict=True) if kept),
            features={m: x[keep] for m, x in self.features.items()},
            observed={m: o[keep] for m, o in self.observed.items()},
            targets={name: t[keep] for name, t in self.targets.items()},
            key=self.key[keep.to(self.key.device)],
        )


@dataclass(frozen=True)
class Corpus:
    """What a data set component loads.

    `digest` identifies the content (SHA-256 of the file, or of the generator's parameters);
    `notes` are sentences for the user about what was found while reading; `names` gives the class
    names of `label` and the names of the columns of `labels`, where the data say them.
    """

    splits: Mapping[str, Split]
    digest: str
    notes: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def missing_notes(name: str, split: Split, absent: Collection[Modality] = ()) -> list[str]:
    """Sentences on what is missing in a split."""
    notes = []
    for modality, observed in split.observed.items():
        lost = int((~observed.any(dim=1)).sum())
        if modality in absent:
            notes.append(f"{name}: {modality} is not in the file and counts as missing in all {len(split)} rows")
        elif lost:
            share = f"all {len(split)}" if lost == len(split) else f"{lost} of {len(split)}"
            notes.append(f"{name}: {modality} is missing in {share} rows")
    return notes
