"""What a trained student answers under every condition of a protocol; a modality is encoded once per distinct mask.

Conditions of a protocol share most of their masks: with seven subsets at eleven rates, text at rate 0.3 is the same
in the four subsets that see it, and a hidden modality is the same everywhere. So for each batch every encoder runs
once per distinct input, and fusions join what is known. The numbers are the same to the last bit, because a network
always runs on batches of one shape.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mmsa_core.corpora.batching import batches, full_lengths
from mmsa_core.corpora.corpus import Split
from mmsa_core.evaluation.availability import availability
from mmsa_core.evaluation.protocol import Condition
from mmsa_core.missing import Draw
from mmsa_core.model import Model
from mmsa_core.tasks.base import Threshold
from mmsa_core.types import Batch, Encoded, Modality, filled


class Answers(NamedTuple):
    """What a student says of each sample in one condition, and what it saw of it (see `availability`)."""

    logits: Float[Tensor, "samples width"]
    subset: Int64[Tensor, " samples"]
    """The code of the modalities that were seen."""
    share: Float[Tensor, " samples"]
    """The share of holes in them."""


class Calibrated(NamedTuple):
    """What a calibration makes of answers (see `calibration`)."""

    logits: Float[Tensor, "samples width"]
    steps: Int64[Tensor, " samples"]
    """How far above its own cell each sample's bias was found: 0 in it, 1 for its subset, 2 for all samples."""


@dataclass(frozen=True)
class Scores:
    """The answers of one trained seed on one split, under every condition of a protocol.

    `rows` tells which samples count in a condition; `threshold` was chosen on validation. `calibrated` is there where
    it was asked for.
    """

    seed: int
    ids: tuple[str, ...]
    target: Tensor
    threshold: Threshold
    answers: Mapping[str, Answers]
    rows: Mapping[str, Bool[Tensor, " samples"]]
    calibrated: Mapping[str, Calibrated] | None = None


class Encodings:
    """Encodes what has not been encoded yet, and joins; for batches of the same samples."""

    def __init__(self, network: Model) -> None:
        self.network = network
        self.encoded: dict[Hashable, Encoded] = {}
        self.logits: dict[Hashable, Float[Tensor, "batch width"]] = {}

    def __call__(self, batch: Batch) -> Float[Tensor, "batch width"]:
        """The logits of a batch."""
        found = {m: self._of(batch, m) for m in self.network.encoders}
        whole = tuple(key for key, _ in found.values())
        if whole not in self.logits:
            self.logits[whole] = self.network.fusion({m: encoded for m, (_, encoded) in found.items()}).logits
        return self.logits[whole]

    def _of(self, batch: Batch, modality: Modality) -> tuple[Hashable, Encoded]:
        """One modality's representation, and what tells it from others: features that were made anew, and the mask."""
        features, observed = batch.features[modality], batch.observed[modality]
        key = (modality, features.data_ptr(), observed.cpu().numpy().tobytes())
        if key not in self.encoded:
            self.encoded[key] = self.network.encode(modality, features, observed)
        return key, self.encoded[key]


def answers(
    network: Model, split: Split, conditions: Mapping[str, Condition], draw: Draw, size: int, reuse: bool = True
) -> dict[str, Answers]:
    """What the network says of every sample under every condition, in eval mode, on the CPU.

    Samples of which nothing is seen get one answer. Without `reuse` the network runs anew for each condition.
    """
    training, size = network.training, min(size, len(split))
    parts: dict[str, list[Answers]] = {name: [] for name in conditions}
    network.eval()
    with torch.inference_mode():
        for batch in batches(split, None, size, lengths=full_lengths(split, network)):
            whole = filled(batch, size)
            kept: list[Batch] = []  # as long as features live, no others lie at their address
            run: Callable[[Batch], Tensor] = Encodings(network) if reuse else lambda seen: network(seen).logits
            for name, condition in conditions.items():
                kept.append(condition(whole, draw))
                found = (run(kept[-1]), *availability(kept[-1]))
                parts[name].append(Answers(*(tensor[: len(batch)].cpu() for tensor in found)))
    network.train(training)
    return {name: _alike(Answers(*map(torch.cat, zip(*found, strict=True)))) for name, found in parts.items()}


def _alike(found: Answers) -> Answers:
    """One answer for all samples of which nothing is seen, so that it ranks none of them.

    They are the same to the network, but sums over parts of a batch may differ in the last bit with a sample's place.
    """
    nothing = found.subset == 0
    if not nothing.any():
        return found
    return found._replace(logits=torch.where(nothing.unsqueeze(1), found.logits[nothing][:1], found.logits))
