"""Every writer's file gives the corpus back through its reader; what a format cannot hold, the writer says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmsa_core import registry, writers
from mmsa_core.corpora import dense, making
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.errors import UserError

CLASSES = ["negative", "neutral", "positive"]
OPTIONS = {
    "mmsa-pickle": {},
    "mult-pickle": {},
    "mmsa-fet": {"classes": CLASSES},
    "folder": {},
    "cmu-sdk": {"targets": {"score": 0, "label": 1}},
    "safetensors": {"verify": True},
}
LOST = {
    "mmsa-pickle": (),
    "mult-pickle": ("targets label have no place in this format",),
    "mmsa-fet": (),
    "folder": (),
    "cmu-sdk": ("ids become VIDEO[k], the k-th clip of the video",),
    "safetensors": (),
}


def frames(corpus, split, modality):
    """The observed frames of each sample, as lists."""
    pairs = zip(*dense.of(corpus.splits[split], modality), strict=True)
    return [x[seen].tolist() for x, seen in pairs]


def read(reader, path, **options):
    kind = registry.datasets.get(reader)
    return kind(kind.Config(name=reader, path=path, **options)).load()


def names(reader, ids):
    return tuple(name.replace("$_$", "[") + "]" for name in ids) if reader == "cmu-sdk" else ids


def same(reader, made, found, targets):
    """Whether all that a format holds is as it was."""
    assert list(found.splits) == list(made.splits)
    for name, split in made.splits.items():
        assert found.splits[name].ids == names(reader, split.ids)
        assert list(found.splits[name].features) == list(split.features)
        for modality in split.features:
            assert frames(found, name, modality) == frames(made, name, modality)
        assert set(found.splits[name].targets) == set(targets)
        for target in targets:
            assert torch.equal(found.splits[name].targets[target], split.targets[target])
            assert found.splits[name].targets[target].dtype == split.targets[target].dtype


@pytest.fixture(scope="module")
def small():
    """Sixteen samples of each split, of which some lack modalities."""
    return cut(making.corpus("tiny", 0, ["0.2"]))


def cut(corpus: Corpus, rows=16):
    splits = {name: split.rows(torch.arange(len(split)) < rows) for name, split in corpus.splits.items()}
    return replace(corpus, splits=splits)


@pytest.mark.parametrize("reader", list(writers.WRITERS))
def test_what_is_written_is_read(reader, small, tmp_path):
    lost = writers.write(small, reader, tmp_path / "made")
    assert lost == LOST[reader]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    targets = {"score"} if reader == "mult-pickle" else {"score", "label"}
    found = read(reader, tmp_path / "made", **OPTIONS[reader])
    same(reader, small, found, targets)
    if reader in ("mmsa-pickle", "mmsa-fet", "safetensors"):
        assert found.names == {"label": ("negative", "neutral", "positive")}
    assert any("is missing in" in note for note in found.notes)


@pytest.mark.parametrize("reader", ["mmsa-pickle", "mmsa-fet", "folder", "cmu-sdk", "safetensors"])
def test_what_one_modality_shows(reader, tmp_path):
    made = cut(making.corpus("tiny", 1, kind="unimodal"))
    writers.write(made, reader, tmp_path / "made")
    single = ["score/text", "score/audio", "score/vision"]
    options = dict(OPTIONS[reader])
    if reader == "folder":
        options["labels"] = {name: name for name in ("score", "label", *single)}
    if reader == "cmu-sdk":
        options["targets"] = {name: at for at, name in enumerate(("score", "label", *single))}
    same(reader, made, read(reader, tmp_path / "made", **options), {"score", "label", *single})


@pytest.mark.parametrize(
    ("reader", "options"),
    [
        ("mult-pickle", {"names": making.EMOTIONS}),
        ("folder", {"binary": {name: name for name in making.EMOTIONS}}),
        ("safetensors", {}),
        ("cmu-sdk", {"targets": {}, "binary": {name: at for at, name in enumerate(making.EMOTIONS)}}),
    ],
)
def test_emotions(reader, options, tmp_path):
    made = cut(making.corpus("tiny", 1, kind="emotions"))
    assert all("labels" not in sentence for sentence in writers.write(made, reader, tmp_path / "made"))
    found = read(reader, tmp_path / "made", **options)
    same(reader, made, found, {"labels"})
    assert found.names == {"labels": making.EMOTIONS}


def test_emotions_have_no_place_in_mmsas_schema(tmp_path):
    made = cut(making.corpus("tiny", 1, kind="emotions"))
    assert writers.write(made, "mmsa-pickle", tmp_path / "made") == ("targets labels have no place in this format",)


@pytest.mark.parametrize("reader", list(writers.WRITERS))
def test_bytes_are_the_same_for_a_seed(reader, tmp_path):
    for name in ("first", "second"):
        writers.write(cut(making.corpus("tiny", 3, ["audio=0.5"])), reader, tmp_path / name)
    contents = []
    for name in ("first", "second"):
        root = tmp_path / name
        files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
        contents.append([(str(path.relative_to(root)), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("reader", list(writers.WRITERS))
def test_nothing_is_overwritten_and_no_half_file_is_left(reader, small, tmp_path):
    (tmp_path / "made").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        writers.write(small, reader, tmp_path / "made")
    with pytest.raises(UserError, match="there is no folder"):
        writers.write(small, reader, tmp_path / "no" / "made")

    def fails(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writers.write(small, reader, tmp_path / "other", fails)
    assert (tmp_path / "made").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("folder", "1 sequences have missing frames before their end, which this format cannot hold"),
        ("mmsa-pickle", "frames that are missing before a sequence's end count as zeros"),
    ],
)
def test_holes_within_a_sequence(reader, said, small, tmp_path):
    split = small.splits["train"]
    x, seen = dense.of(split, "audio")
    seen[int(seen[:, 1].nonzero()[0, 0]), 0] = False
    holed = replace(small, splits={**small.splits, "train": dense.changed(split, "audio", (x, seen))})
    assert said in writers.write(holed, reader, tmp_path / "made")


def test_the_widths_of_the_sizes():
    assert making.SIZES["mosi"].samples == (1284, 229, 686)
    assert making.SIZES["mosei"].channels == {"text": 768, "audio": 74, "vision": 35}
    assert np.isclose(sum(making.SIZES["mosei"].samples), 22856)


@pytest.mark.parametrize("reader", ["folder", "cmu-sdk"])
def test_a_table_needs_the_same_targets_in_all_splits(reader, small, tmp_path):
    unlabelled = {**small.splits, "test": replace(small.splits["test"], targets={})}
    with pytest.raises(UserError, match=r"the splits have different targets .*'test' none"):
        writers.write(replace(small, splits=unlabelled), reader, tmp_path / "out")
    assert not list(tmp_path.iterdir())
