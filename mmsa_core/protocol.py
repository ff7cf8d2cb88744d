"""Test conditions: which frames a trained student is denied, and which conditions an average is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mmsa_core.components import Masker
from mmsa_core.errors import UserError
from mmsa_core.maskers.frame_dropout import FrameDropout
from mmsa_core.maskers.pattern import Pattern
from mmsa_core.types import Modality

RATES = tuple(n / 10 for n in range(11))


@dataclass(frozen=True)
class Protocol:
    """Named conditions, and averages with the conditions that each is over."""

    name: str
    conditions: Mapping[str, Masker | None]
    averages: Mapping[str, tuple[str, ...]]


def inter(modalities: Sequence[Modality]) -> Protocol:
    """Whole modalities missing: every non-empty subset is seen; the average is over the proper ones (CorrKD's avg6)."""
    subsets = [seen for n in range(1, len(modalities) + 1) for seen in combinations(modalities, n)]
    conditions = {"+".join(seen): Pattern(Pattern.Config(keep=seen)) for seen in subsets}
    proper = tuple(conditions)[:-1]
    return Protocol("inter", conditions, {f"avg{len(proper)}": proper} if proper else {})


def intra(modalities: Sequence[Modality]) -> Protocol:
    """Frames missing: each frame of each modality is dropped with rates 0, 0.1, ..., 1.0."""
    conditions = {f"{rate:.1f}": FrameDropout(FrameDropout.Config(rate=rate, keep_one=False)) for rate in RATES}
    return Protocol("intra", conditions, {f"avg{len(conditions)}": tuple(conditions)})


PROTOCOLS = {"inter": inter, "intra": intra}


def get(name: str, modalities: Sequence[Modality]) -> Protocol:
    """A protocol by name, for the modalities of a model."""
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol '{name}'; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name](modalities)
