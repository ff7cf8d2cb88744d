"""Traps of what is missing."""

from collections import defaultdict

import numpy as np

from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.inspection.blocks import Array, present
from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.shared import group
from mmsa_core.inspection.traps.warning import Warned
from mmsa_core.types import Modality

SHUFFLES = 500
CHANCE = 0.01


def absent_in_train(_: Corpus, facts: Facts) -> list[Warned]:
    """A modality that no training sample has, but other splits do."""
    found = []
    for modality in facts.modalities if facts.rows.get("train") else ():
        with_it = {n: each[modality].with_it for n, each in facts.features.items() if modality in each}
        others = [name for name, count in with_it.items() if count and name != "train"]
        if not with_it.get("train") and others:
            found.append(
                Warned(
                    "absent-in-train",
                    f"no row of train has {modality}, but rows of {' and '.join(others)} do",
                    "Nothing can be learned of it, and scores on such splits are not those of the full corpus.",
                    f"Leave {modality} out of model.encoders (training counts it as missing everywhere), or find the "
                    "training features.",
                )
            )
    return found


def missing_by_video(corpus: Corpus, facts: Facts) -> list[Warned]:
    """A modality that is there or missing for whole videos, more than chance would make it."""
    found = []
    for modality in facts.modalities:
        told = {name: by_video(corpus.splits[name], modality) for name in facts.rows if facts.groups[name] is not None}
        if where := [f"{name}: {answer}" for name, answer in told.items() if answer]:
            found.append(
                Warned(
                    "missing-by-video",
                    f"{modality} is missing by video ({'; '.join(where)})",
                    "It is not missing by chance: a model can learn from its absence which video it sees, and "
                    "results with it are of other people than results without it.",
                    "Compare methods on the same rows, and say in the paper that it is missing by video.",
                )
            )
    return found


def by_video(split: Split, modality: Modality) -> str | None:
    """Whole videos with and without a modality, in words; None where it is missing by chance, or nowhere."""
    if modality not in split.features:
        return None
    members: dict[str | None, list[int]] = defaultdict(list)
    for row, sample in enumerate(split.ids):
        members[group(sample)].append(row)
    _, video = np.unique(np.array([group(sample) for sample in split.ids]), return_inverse=True)
    large = [rows for rows in members.values() if len(rows) > 1]
    seen = present(split, modality)
    if seen.all() or not seen.any() or not large or chance(seen, video) > CHANCE:
        return None
    none = sum(not seen[rows].any() for rows in large)
    every = sum(bool(seen[rows].all()) for rows in large)
    mixed = len(large) - none - every
    return f"of {len(large)} videos with two and more clips, {none} lack it, {every} keep it, {mixed} are mixed"


def chance(seen: Array, video: Array) -> float:
    """How often presence shuffled over rows sticks to videos as much as it does (a permutation test)."""
    sizes = np.bincount(video)

    def within(values: Array) -> float:
        """Rows that differ from their video's others: zero where each video has it in all rows or in none."""
        share = np.bincount(video, weights=values) / sizes
        return float((sizes * share * (1 - share)).sum())

    values = seen.astype(np.float64)
    found, draw = within(values), np.random.default_rng(0)
    as_much = sum(within(draw.permutation(values)) <= found + 1e-9 for _ in range(SHUFFLES))
    return (1 + as_much) / (1 + SHUFFLES)


def nothing(_: Corpus, facts: Facts) -> list[Warned]:
    """Rows without a frame of any modality."""
    empty = {name: each.get((), 0) for name, each in facts.patterns.items() if each.get((), 0)}
    if not empty:
        return []
    counted = ", ".join(f"{count} of {facts.rows[name]} in {name}" for name, count in empty.items())
    return [
        Warned(
            "rows-with-nothing",
            f"rows without any modality: {counted}",
            "There is nothing to predict them from. Other code feeds zeros and counts them, so numbers differ.",
            "mmsa skips them and says so; report how many rows a result is over.",
        )
    ]
