"""Traps of feature values and widths."""

from collections.abc import Callable

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.features import Features
from mmsa_core.inspection.traps.warning import Warned

AUDIO, VISION = "audio", "vision"
COVAREP = 74
MOSI_CLIPS = 2199
SETS = {
    (5, 20): "the feature set of MMSA's and MulT's MOSI files (audio 5, vision 20 wide)",
    (74, 47): "the feature set of MAG-BERT's MOSI files (COVAREP 74, Facet 47 wide)",
    (
        74,
        35,
    ): "the feature set of MMSA's and MulT's MOSEI files (COVAREP 74, Facet 35 wide), in a corpus of MOSI's size",
}
"""Widths of audio and vision, and whose they are."""


def feature_set(_: Corpus, facts: Facts) -> list[Warned]:
    """MOSI in one of the feature sets that papers use side by side."""
    widths = tuple(next((each[m].width for each in facts.features.values() if m in each), 0) for m in (AUDIO, VISION))
    if widths not in SETS or (widths == (74, 35) and sum(facts.rows.values()) > MOSI_CLIPS):
        return []
    others = ", ".join(f"{a}/{v}" for a, v in SETS if (a, v) != widths)
    return [
        Warned(
            "mosi-feature-set",
            f"audio and vision are {widths[0]} and {widths[1]} wide: {SETS[widths]}",
            f"MOSI is published with audio/vision widths of {others} as well; results on different sets are not "
            "comparable, and a model trained on one cannot read another.",
            "Name the feature set beside every result, and compare only with papers that use the same.",
            "note",
        )
    ]


def covarep_inf(_: Corpus, facts: Facts) -> list[Warned]:
    """-inf in COVAREP."""
    counts = {
        name: each[AUDIO].nonfinite.minus_inf
        for name, each in facts.features.items()
        if AUDIO in each and each[AUDIO].width == COVAREP and each[AUDIO].nonfinite.minus_inf
    }
    if not counts:
        return []
    return [
        Warned(
            "covarep-inf",
            f"audio is {COVAREP} wide, as COVAREP is, and holds -inf: {counted(counts)}",
            "COVAREP writes the logarithm of zero for silent frames; one such value makes a loss NaN.",
            "Set data.nonfinite=zero, as most published loaders do.",
        )
    ]


def nonfinite(_: Corpus, facts: Facts) -> list[Warned]:
    """NaN or infinite features of any other kind."""
    found = by_modality(facts, lambda m, each: each.nonfinite.count - _known(m, each))
    if not found:
        return []
    return [
        Warned(
            "nonfinite",
            f"NaN or infinite values: {found}",
            "Training refuses the file: one such value makes a loss NaN.",
            "Mend the file, or set data.nonfinite=zero.",
        )
    ]


def late_starts(_: Corpus, facts: Facts) -> list[Warned]:
    """Padding before the first frame."""
    found = by_modality(facts, lambda _, each: each.late_starts)
    if not found:
        return []
    return [
        Warned(
            "padding-at-the-front",
            f"sequences whose first frames are padding or missing: {found}",
            "Code that cuts sequences to their length from the first frame on loses their ends.",
            "mmsa masks such frames wherever they are; cut nothing by length alone.",
            "note",
        )
    ]


def zero_frames(_: Corpus, facts: Facts) -> list[Warned]:
    """Frames of zeros that the file counts as content."""
    found = by_modality(facts, lambda _, each: each.zero_frames)
    if not found:
        return []
    return [
        Warned(
            "zero-frames",
            f"frames inside sequences that are all zeros: {found}",
            "The extractor found nothing there (no face, no word vector), but the file counts them as frames.",
            "A model sees the zeros; where that is wrong, shorten the lengths or mark such frames as missing.",
            "note",
        )
    ]


def by_modality(facts: Facts, count: Callable[[str, Features], int]) -> str:
    """What is counted, by modality and split, in words; empty where there is none of it."""
    found = {
        m: {name: count(m, each[m]) for name, each in facts.features.items() if m in each} for m in facts.modalities
    }
    return "; ".join(f"{m} {counted(counts)}" for m, counts in found.items() if any(counts.values()))


def counted(counts: dict[str, int]) -> str:
    """Counts by split, without the zeros."""
    return ", ".join(f"{count} in {name}" for name, count in counts.items() if count)


def _known(modality: str, each: Features) -> int:
    """What `covarep_inf` has told."""
    return each.nonfinite.minus_inf if modality == AUDIO and each.width == COVAREP else 0
