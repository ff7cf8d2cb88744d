"""Every format that holds a corpus whole gives it the same fingerprint, damaged or not; what it loses shows in it."""

from dataclasses import replace

import pytest
import torch

from mmsa_core import registry, writers
from mmsa_core.corpora import corruption, dense, making
from mmsa_core.datasets import storing
from mmsa_core.datasets.arrays import from_arrays
from mmsa_core.datasets.layout import Source
from mmsa_core.inspection.identity import digests, fingerprint

OPTIONS = {
    "mmsa-fet": {"classes": ["negative", "neutral", "positive"]},
    "cmu-sdk": {"targets": {"score": 0, "label": 1}},
}
READERS = ("mmsa-pickle", "mult-pickle", "mmsa-fet", "folder", "cmu-sdk", "safetensors", "arrays")


def of(corpus):
    return fingerprint(corpus, digests(corpus))


def made(*missing, corrupt=()):
    """Eight samples of each split."""
    whole = making.corpus("tiny", 0, missing)
    splits = {name: split.rows(torch.arange(len(split)) < 8) for name, split in whole.splits.items()}
    found = replace(whole, splits=splits)
    for kind in corrupt:
        found = corruption.apply(found, kind)
    return found


def again(corpus, reader, path):
    """The corpus, written and read."""
    if reader == "arrays":
        return in_memory(corpus)
    if reader == "safetensors":
        storing.write(corpus, path, Source(file="made", reader="made", settings={}, sha256="0" * 64))
    else:
        writers.write(corpus, reader, path)
    kind = registry.datasets.get(reader)
    return kind(kind.Config(name=reader, path=path, **OPTIONS.get(reader, {}))).load()


def in_memory(corpus):
    parts, first = corpus.splits.values(), corpus.splits["train"]
    features, observed = {}, {}
    for m in first.features:
        longest = max(split.features[m].longest for split in parts)
        padded = [split.features[m].padded(longest) for split in parts]
        features[m], observed[m] = (torch.cat(each).numpy() for each in zip(*padded, strict=True))
    return from_arrays(
        features,
        [name for name, split in corpus.splits.items() for _ in split.ids],
        {target: torch.cat([split.targets[target] for split in parts]) for target in first.targets},
        [sample for split in parts for sample in split.ids],
        observed,
    )


def kept(corpus, reader):
    """What a format keeps: MulT's one kind of targets, and in computational sequences names of its own."""
    splits = dict(corpus.splits)
    if reader == "mult-pickle":
        splits = {n: replace(split, targets={"score": split.targets["score"]}) for n, split in splits.items()}
    if reader == "cmu-sdk":
        names = {n: tuple(f"{name.replace('$_$', '[')}]" for name in split.ids) for n, split in splits.items()}
        splits = {n: replace(split, ids=names[n]) for n, split in splits.items()}
    return replace(corpus, splits=splits)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("missing", "corrupt"),
    [
        (["0.2"], ()),
        (["0.2"], ("nan", "inf", "constant", "swapped")),
        (["train:text", "vision=0.5"], ()),
        (["audio"], ()),
    ],
    ids=["plain", "damaged", "one split without text", "no audio"],
)
def test_formats_agree(reader, missing, corrupt, tmp_path):
    corpus = made(*missing, corrupt=corrupt)
    assert of(again(corpus, reader, tmp_path / "made")) == of(kept(corpus, reader))


@pytest.mark.parametrize("reader", ["mmsa-pickle", "mult-pickle", "mmsa-fet", "folder", "safetensors", "arrays"])
def test_samples_that_occur_twice(reader, tmp_path):
    corpus = made(corrupt=("duplicates", "leak"))
    assert of(again(corpus, reader, tmp_path / "made")) == of(kept(corpus, reader))


@pytest.mark.parametrize("reader", ["mult-pickle", "safetensors", "arrays", "mmsa-pickle", "folder"])
def test_holes_and_padding_at_the_front(reader, tmp_path):
    corpus = made()
    x, observed = dense.of(corpus.splits["train"], "audio")
    observed[:3, 0] = observed[3:5, 1] = False
    holed = dense.changed(corpus.splits["train"], "audio", (torch.where(observed.unsqueeze(2), x, 0.0), observed))
    corpus = replace(corpus, splits={**corpus.splits, "train": holed})
    same = of(again(corpus, reader, tmp_path / "made")) == of(kept(corpus, reader))
    assert same is (reader not in ("mmsa-pickle", "folder"))  # these say that they lose them


def test_a_change_of_any_kind_shows():
    changes = [
        made(),
        made("0.2"),
        made("train:text"),
        made("audio"),
        *(made(corrupt=(kind,)) for kind in corruption.KINDS),
    ]
    assert len(set(map(of, changes))) == len(changes)
