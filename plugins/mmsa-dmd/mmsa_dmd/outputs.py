"""What DMD's fusion gives beside a prediction: features taken apart, and a prediction of every branch."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmsa_core.types import Modality, Outputs


@dataclass(frozen=True, slots=True)
class Node:
    """A modality in a distillation graph: what it predicts alone, and from which representation."""

    logits: Float[Tensor, "batch width"]
    representation: Float[Tensor, "batch _wide"]


@dataclass(frozen=True, slots=True)
class Disentangled(Outputs):
    """Each modality's projected sequence (`encoded[m].sequence`) taken apart and put together again."""

    present: Bool[Tensor, "batch modalities"]
    """Which samples have a frame of each modality, in the order of the mappings."""
    private: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """What is the modality's own."""
    shared: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """What one encoder for all modalities finds."""
    reconstruction: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """The sequence, decoded from both."""
    private_again: Mapping[Modality, Float[Tensor, "batch _time dim"]]
    """The private part of the reconstruction."""
    similarity: Mapping[Modality, Float[Tensor, "batch dim"]]
    """One vector of the shared part, for the margin loss."""


def steps(outputs: Disentangled) -> tuple[list[Modality], Float[Tensor, "batch steps"]]:
    """The modalities, and the share of each of their steps, one modality after the other, in a sum of means.

    A sum over all steps weighted by it is the sum over modalities of the mean over the steps that are there.
    """
    names = list(outputs.private)
    real = [outputs.encoded[m].observed for m in names]
    return names, torch.cat([r / r.sum().clamp(min=1) for r in real], dim=1)


@dataclass(frozen=True, slots=True)
class Decoupled(Disentangled):
    """With the predictions of each branch."""

    homogeneous: Mapping[Modality, Node]
    """From the shared part of one modality alone; the representation is `dim` wide."""
    heterogeneous: Mapping[Modality, Node]
    """From the private part, reinforced by the other modalities; (modalities - 1) * dim wide."""
    shared_logits: Float[Tensor, "batch width"]
    """From the shared parts of all modalities."""
    memory: Mapping[Modality, Float[Tensor, "batch _wide"]]
    """What each modality's private part became; (modalities - 1) * dim wide."""
    private_similarity: Mapping[Modality, Float[Tensor, "batch dim"]]
    """One vector of the private part, which the published network computes and no loss reads: empty in training."""
