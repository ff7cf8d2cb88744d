"""Loaded splits as padded tensors, which are easy to compare."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.types import Modality


@dataclass(frozen=True)
class Padded:
    """One split; each modality is padded to its longest sequence."""

    ids: tuple[str, ...]
    features: Mapping[Modality, Float[Tensor, "samples _time _channels"]]
    observed: Mapping[Modality, Bool[Tensor, "samples _time"]]
    targets: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.ids)


def padded(split: Split) -> Padded:
    """The features as they are (NaN included) where they are observed, zero elsewhere."""
    made = {m: x.padded() for m, x in split.features.items()}
    features, observed = ({m: both[part] for m, both in made.items()} for part in (0, 1))
    return Padded(split.ids, features, observed, split.targets)


def splits(corpus: Corpus) -> dict[str, Padded]:
    """All splits of a corpus."""
    return {name: padded(split) for name, split in corpus.splits.items()}
