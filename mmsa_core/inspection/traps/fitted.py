"""The trap of features that were fitted on labels."""

import math

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.probe import Probe
from mmsa_core.inspection.traps.warning import Warned

FALLS = ((0.8, 0.25), (0.6, 0.4))
"""Correlation cross-validated inside training, and by how much it must be lower on another split.

Honest features of one modality do about as well on other splits, wide ones of few samples badly on both. The second
pair finds features that were fitted on a part of the training videos.
"""
SURE = 4.0
"""Standard errors (of Fisher's z) by which the two must differ."""


def fitted_features(_: Corpus, facts: Facts) -> list[Warned]:
    """A modality that alone predicts the labels of training videos, but not those of other splits."""
    found = []
    for modality, probe in facts.probes.items():
        worst = suspicious(probe)
        if worst is None:
            continue
        rows, held = probe.held_out[worst]
        how = "held-out videos" if probe.by_video else "held-out rows"
        doubt = "" if probe.by_video else " Or train holds many rows of each video, which its ids do not tell."
        found.append(
            Warned(
                "fitted-features",
                f"{modality} alone predicts the {probe.target} of {how} of train (correlation "
                f"{probe.cross_validated:.2f}), but not of {worst} ({held:.2f}, {rows} rows)",
                "These features were probably made by a network that saw the training labels: a model learns to read "
                "the label off them, and fails where the network had not seen it." + doubt,
                f"Do not train on {modality} of this file; extract it again with a network that never saw this "
                "corpus' labels, or leave it out of model.encoders.",
            )
        )
    return found


def suspicious(probe: Probe) -> str | None:
    """The split on which a probe that does well inside training falls most; None where it does not fall far."""
    if not probe.held_out:
        return None
    name, (rows, held) = min(probe.held_out.items(), key=lambda each: each[1][1])
    error = math.sqrt(1 / (probe.rows - 3) + 1 / (rows - 3))
    apart = (_fisher(probe.cross_validated) - _fisher(held)) / error
    drop = probe.cross_validated - held
    falls = any(probe.cross_validated >= well and drop >= far for well, far in FALLS)
    return name if falls and apart >= SURE else None


def _fisher(correlation: float) -> float:
    return math.atanh(max(-0.999999, min(0.999999, correlation)))
