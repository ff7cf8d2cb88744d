"""Damage done on purpose to a corpus, or to its file, for tests and teaching: what readers and checks must notice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mmsa_core.corpora import dense
from mmsa_core.corpora.corpus import LABEL, LABELS, SCORE, Corpus, Split
from mmsa_core.types import Modality

TRUNCATED = "truncated"
"""The file is cut: of a folder its last one, by name."""

FEATURES = (".npy", ".csd", ".safetensors")


def apply(corpus: Corpus, kind: str) -> Corpus:
    """The corpus with one kind of damage."""
    return replace(corpus, splits=KINDS[kind](corpus.splits))


def truncate(path: Path) -> None:
    """Cut the last third of a file, or of the last feature file of a folder."""
    files = [each for each in sorted(path.rglob("*")) if each.suffix in FEATURES] if path.is_dir() else [path]
    with files[-1].open("rb+") as file:
        file.truncate(files[-1].stat().st_size * 2 // 3)


def _values(value: float) -> Callable[[Mapping[str, Split]], dict[str, Split]]:
    """In training, three samples have a value in their first frame of the second modality's first column."""

    def damage(splits: Mapping[str, Split]) -> dict[str, Split]:
        modality = _second(splits)
        split = splits["train"]
        x, seen = dense.of(split, modality)
        x = x.clone()
        x[seen[:, 0].nonzero()[:3, 0], 0, 0] = value
        return {**splits, "train": dense.changed(split, modality, (x, seen))}

    return damage


def _constant(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The second modality's last column is 1 in every frame of every split."""
    modality = _second(splits)
    found = {}
    for name, split in splits.items():
        x, seen = dense.of(split, modality)
        x = x.clone()
        x[:, :, -1] = seen.float()
        found[name] = dense.changed(split, modality, (x, seen))
    return found


def _duplicates(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The first three training samples occur a second time, under other names."""
    split = splits["train"]
    named = tuple(f"copy-of-{name}" for name in split.ids[:3])
    return {**splits, "train": dense.joined(split, split, named)}


def _leak(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The first three test samples are in training too, under their own names."""
    return {**splits, "train": dense.joined(splits["train"], splits["test"], splits["test"].ids[:3])}


def _swapped(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Labels that are not what their name says: classes count from the other end, the first two binary labels change
    places, and the scores of the first two modalities do.
    """
    found = {}
    for name, split in splits.items():
        targets = dict(split.targets)
        if LABEL in targets:
            targets[LABEL] = 2 - targets[LABEL]
        if LABELS in targets:
            targets[LABELS] = targets[LABELS][:, [1, 0, *range(2, targets[LABELS].shape[1])]]
        first, second = (f"{SCORE}/{modality}" for modality in list(split.features)[:2])
        if first in targets:
            targets[first], targets[second] = targets[second], targets[first]
        found[name] = replace(split, targets=targets)
    return found


def _second(splits: Mapping[str, Split]) -> Modality:
    """Of the modalities that training has."""
    there = [m for m, x in splits["train"].features.items() if x.present().any()]
    return there[:2][-1]


KINDS: dict[str, Callable[[Mapping[str, Split]], dict[str, Split]]] = {
    "nan": _values(float("nan")),
    "inf": _values(float("-inf")),
    "constant": _constant,
    "duplicates": _duplicates,
    "leak": _leak,
    "swapped": _swapped,
}
"""What is done to the corpus; `truncated` is done to its file."""
