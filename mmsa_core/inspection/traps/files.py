"""Traps of the file itself."""

from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.recognition import NUMPY_1, NUMPY_2
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.traps.warning import Warned


def numpy_version(_: Corpus, facts: Facts) -> list[Warned]:
    """A pickle names numpy's inner modules, which numpy 2 renamed."""
    writer = facts.looks.details.get("written by", "") if facts.looks else ""
    both = NUMPY_1 in writer and NUMPY_2 in writer
    if not writer:
        return []
    means = (
        "Code that calls pickle.load under a numpy before 1.26.1 stops with \"No module named 'numpy._core'\"."
        if NUMPY_2 in writer
        else "numpy 2 still loads it, with a warning that numpy.core was renamed to numpy._core."
    )
    return [
        Warned(
            "numpy-core",
            f"the pickle was written by {writer}{', in parts' if both else ''}",
            means,
            "mmsa reads both. For other people's code, load it where it opens and save it there again.",
            "note",
        )
    ]
