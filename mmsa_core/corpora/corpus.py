"""A data set: splits of samples, each with feature sequences and targets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core import missing
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.types import Modality

CPU = torch.device("cpu")
SCORE = "score"
"""A sentiment score, float32 [samples]."""
LABEL = "label"
"""One class per sample, int64 [samples]."""
LABELS = "labels"
"""Several binary labels at once, int64 [samples, labels]."""


@dataclass(frozen=True)
class Split:
    """Samples of one split, each with a sequence of every modality, which may be empty.

    `targets` holds what the file has of `score`, `label` and `labels`; it may be empty for data
    that only wait for a prediction.
    """

    ids: tuple[str, ...]
    features: Mapping[Modality, Sequences]
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    keys: Int64[Tensor, " samples"] | None = None
    """Given where samples were left out, since a sample keeps its key."""
    device: torch.device = CPU
    """Where batches go; what fits that device's memory is there already."""

    @classmethod
    def padded(
        cls,
        ids: tuple[str, ...],
        features: Mapping[Modality, Float[Tensor, "samples _time _channels"]],
        observed: Mapping[Modality, Bool[Tensor, "samples _time"]],
        targets: Mapping[str, Tensor] | None = None,
    ) -> "Split":
        """A split of tensors that are padded to a common length; they are shared, not copied."""
        return cls(ids, {m: Sequences.of(x, observed[m]) for m, x in features.items()}, targets or {})

    @cached_property
    def key(self) -> Int64[Tensor, " samples"]:
        """What masks depend on: a hash of each sample's id."""
        return missing.keys(self.ids) if self.keys is None else self.keys

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, keep: Bool[Tensor, " samples"]) -> "Split":
        """The samples where `keep` is True."""
        return Split(
            ids=tuple(name for name, kept in zip(self.ids, keep.tolist(), strict=True) if kept),
            features={m: x.rows(keep) for m, x in self.features.items()},
            targets={name: t[keep.to(t.device)] for name, t in self.targets.items()},
            keys=self.key[keep],
            device=self.device,
        )


@dataclass(frozen=True)
class Corpus:
    """What a data set component loads.

    `digest` identifies the content (SHA-256 of the file, or of the generator's parameters);
    `notes` are sentences for the user about what was found while reading; `names` gives the class
    names of `label` and the names of the columns of `labels`, where the data say them; `origin` is the
    digest of the data that these were converted from, if they were.
    """

    splits: Mapping[str, Split]
    digest: str
    notes: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: str | None = None


def missing_notes(name: str, split: Split, absent: Collection[Modality] = ()) -> list[str]:
    """Sentences on what is missing in a split."""
    notes = []
    for modality, sequences in split.features.items():
        lost = int((~sequences.present()).sum())
        if modality in absent:
            notes.append(f"{name}: {modality} is not in the file and counts as missing in all {len(split)} rows")
        elif lost:
            share = f"all {len(split)}" if lost == len(split) else f"{lost} of {len(split)}"
            notes.append(f"{name}: {modality} is missing in {share} rows")
    return notes
