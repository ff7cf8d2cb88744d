"""Traps of labels."""

import numpy as np

from mmsa_core.corpora.corpus import LABEL, SCORE, Corpus
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.labels import CLASSES
from mmsa_core.inspection.traps.warning import Warned

FEWEST = 10
"""Labels below which nothing is said."""


def swapped_labels(corpus: Corpus, _: Facts) -> list[Warned]:
    """Scores that are the whole numbers 0, 1, 2 and nothing else, as classes are."""
    scores = [s.targets[SCORE].cpu().numpy() for s in corpus.splits.values() if SCORE in s.targets]
    values = np.concatenate([np.zeros(0), *scores])
    if len(values) < FEWEST or not np.isin(values, (0, 1, 2)).all() or len(np.unique(values)) < 2:
        return []
    unread = any("classification_labels are not read" in note for note in corpus.notes)
    beside = "; classification_labels hold numbers that are no classes" if unread else ""
    return [
        Warned(
            "swapped-labels",
            f"all {len(values)} scores are {' or '.join(f'{each:g}' for each in np.unique(values))}{beside}",
            "The columns of scores and classes look swapped: a regression on them learns class numbers.",
            "Look at the labels where the file was made; train on them as classes (task={kind: classification, "
            "classes: 3}) or put the columns right.",
        )
    ]


def class_numbers(corpus: Corpus, _: Facts) -> list[Warned]:
    """Classes with numbers that are no classes, such as ids."""
    tops = {n: int(s.targets[LABEL].max()) for n, s in corpus.splits.items() if LABEL in s.targets and len(s)}
    beyond = {name: top for name, top in tops.items() if top >= CLASSES}
    if not beyond:
        return []
    return [
        Warned(
            "class-numbers",
            f"class numbers up to {', '.join(f'{top} in {name}' for name, top in beyond.items())}; those from "
            f"{CLASSES} on are not counted above",
            "A classifier has an output for each number up to the largest.",
            "Look whether the column holds classes at all; number them from 0 where the file was made.",
        )
    ]


def swapped_signs(corpus: Corpus, _: Facts) -> list[Warned]:
    """Classes whose order contradicts the sign of the score in most rows."""
    found = []
    for name, split in corpus.splits.items():
        if SCORE not in split.targets or LABEL not in split.targets:
            continue
        score, label = split.targets[SCORE].cpu().numpy(), split.targets[LABEL].cpu().numpy()
        top = int(label.max()) if len(label) else 0
        told = np.isfinite(score) & (score != 0) & ((label == 0) | (label == top))
        against = int(((score > 0) == (label == 0))[told].sum())
        if top in (1, 2) and told.sum() >= FEWEST and against > told.sum() / 2:
            found.append(
                Warned(
                    "swapped-signs",
                    f"{name}: sign of the score and class disagree in {against} of {int(told.sum())} rows "
                    f"(class 0 with a positive score, or class {top} with a negative one)",
                    "The classes are numbered the other way round, or the columns belong to other rows.",
                    "Look at some transcripts beside their labels, and put the labels right where the file was made.",
                )
            )
    return found
