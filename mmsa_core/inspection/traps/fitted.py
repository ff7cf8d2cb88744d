"""The trap of features that were fitted on labels."""

import math

from mmsa_core.corpus import Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.probe import Probe
from mmsa_core.inspection.traps.warning import Warned

NEAR_PERFECT = 0.8
"""Correlation, cross-validated inside training: honest features of one modality do not get there and then fall."""
DROP = 0.25
"""By how much it must be lower on another split."""
SURE = 4.0
"""Standard errors (of Fisher's z) by which the two must differ."""


def fitted_features(_: Corpus, facts: Facts) -> list[Warned]:
    """A modality that alone predicts training labels almost perfectly, but not those of other splits."""
    found = []
    for modality, probe in facts.probes.items():
        worst = suspicious(probe)
        if worst is None:
            continue
        rows, held = probe.held_out[worst]
        how = "held-out videos" if probe.by_video else "held-out rows"
        found.append(
            Warned(
                "fitted-features",
                f"{modality} alone predicts the {probe.target} of {how} of train (correlation "
                f"{probe.cross_validated:.2f}), but not of {worst} ({held:.2f}, {rows} rows)",
                "These features were probably made by a network that saw the training labels: a model learns to read "
                "the label off them, and fails where the network had not seen it.",
                f"Do not train on {modality} of this file; extract it again with a network that never saw this "
                "corpus' labels, or leave it out of model.encoders.",
            )
        )
    return found


def suspicious(probe: Probe) -> str | None:
    """The split on which a probe that is near perfect inside training falls most; None where it does not."""
    if probe.cross_validated < NEAR_PERFECT or not probe.held_out:
        return None
    name, (rows, held) = min(probe.held_out.items(), key=lambda each: each[1][1])
    error = math.sqrt(1 / (probe.rows - 3) + 1 / (rows - 3))
    apart = (_fisher(probe.cross_validated) - _fisher(held)) / error
    return name if probe.cross_validated - held >= DROP and apart >= SURE else None


def _fisher(correlation: float) -> float:
    return math.atanh(max(-0.999999, min(0.999999, correlation)))
