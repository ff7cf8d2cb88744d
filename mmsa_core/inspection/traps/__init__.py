"""Known traps: each is a function of the corpus and its facts that answers what it warns of, or nothing."""

from collections.abc import Callable

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.traps import files, fitted, holes, sharing, targets, values
from mmsa_core.inspection.traps.warning import Warned

Trap = Callable[[Corpus, Facts], list[Warned]]
TRAPS: tuple[Trap, ...] = (
    fitted.fitted_features,
    sharing.shared_splits,
    targets.swapped_labels,
    targets.swapped_signs,
    targets.class_numbers,
    values.covarep_inf,
    values.nonfinite,
    holes.absent_in_train,
    holes.missing_by_video,
    holes.nothing,
    sharing.duplicates,
    values.feature_set,
    values.late_starts,
    values.zero_frames,
    files.numpy_version,
)
"""In the order of what they can spoil."""


def warnings(corpus: Corpus, facts: Facts) -> list[Warned]:
    """Every known trap that the corpus falls into; warnings before notes."""
    found = [warned for trap in TRAPS for warned in trap(corpus, facts)]
    return sorted(found, key=lambda warned: warned.level == "note")
