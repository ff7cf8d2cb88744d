"""A corpus from arrays in memory: padded and in lists, what is said of bad ones, and training on it."""

import json

import numpy as np
import pytest
import torch

from mmsa_core.components import Dataset
from mmsa_core.datasets.arrays import Arrays, from_arrays
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import padded, splits
from mmsa_core.training.experiment import train


def test_padded_arrays_and_lists():
    text = np.ones((3, 4, 2))
    text[1, 2:] = 0
    text[2] = 0
    corpus = from_arrays(
        {"text": text, "audio": [np.ones((5, 1)), None, np.zeros((2, 1))]},
        ["train", "train", "test"],
        {"score": [0.5, -1, 2], "label": np.array([1.0, 0, 2]), "labels": torch.tensor([[1, 0], [0, 1], [1, 1]])},
        ids=["a", "b", "c"],
        names={"labels": ["happy", "sad"]},
    )
    train, test = (splits(corpus)[name] for name in ("train", "test"))
    assert (train.ids, test.ids) == (("a", "b"), ("c",))
    assert train.observed["text"].tolist() == [[True] * 4, [True, True, False, False]]
    assert train.observed["audio"].sum(dim=1).tolist() == [5, 0]
    assert test.observed["audio"].tolist() == [[True, True]]  # a list's frames are real, zeros too
    assert not test.observed["text"].any()
    assert train.targets["score"].tolist() == [0.5, -1]
    assert train.targets["label"].tolist() == [1, 0]
    assert test.targets["labels"].tolist() == [[1, 1]]
    assert corpus.names == {"labels": ("happy", "sad")}
    assert "test: text is missing in all 1 rows" in corpus.notes


def test_observed_says_which_frames_are_real():
    seen = np.array([[True, False], [True, True]])
    corpus = from_arrays({"text": torch.zeros(2, 2, 3)}, ["test"] * 2, {}, observed={"text": seen})
    found = padded(corpus.splits["test"])
    assert found.observed["text"].tolist() == seen.tolist()
    assert found.ids == ("sample-0", "sample-1")


def test_the_digest_is_of_the_content():
    def digest(**changes):
        made = {"features": {"text": np.ones((2, 2, 1))}, "splits": ["train", "test"], "targets": {"score": [1, 2]}}
        return from_arrays(**(made | changes)).digest

    others = [
        digest(features={"text": np.full((2, 2, 1), 2.0)}),
        digest(features={"words": np.ones((2, 2, 1))}),
        digest(splits=["train", "valid"]),
        digest(targets={"score": [1, 3]}),
        digest(ids=["a", "b"]),
    ]
    assert digest() == digest()
    assert len({digest(), *others}) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {}}, "features has no modality"),
        ({"features": {"text": np.ones((3, 2, 1))}}, "'text' has 3 entries, but splits names 2 samples"),
        ({"features": {"text": np.ones((2, 2))}}, r"'text' must be numbers of shape \[samples, frames, channels\], or"),
        ({"features": {"text": [np.ones(3), None]}}, r"'text' of sample 0, counted from 0, must be numbers of shape"),
        (
            {"features": {"text": [np.ones((1, 3)), np.ones((1, 2))]}},
            r"text of sample 'sample-1' has 2 channels, but 3",
        ),
        (
            {"features": {"text": [None, np.ones((3, 0))]}},
            r"split 'test': text of sample 'sample-1' has 3 frames without a channel",
        ),
        ({"features": {"text": np.array([[["a"]], [["b"]]])}}, "found <U1 of shape"),
        ({"targets": {"score": [1]}}, "target 'score' has 1 entries, but splits names 2"),
        ({"targets": {"score": ["good", "bad"]}}, "target 'score' must be numbers"),
        ({"targets": {"label": [0.5, 1]}}, "target 'label' has 0.5 in row 0, counted from 0; expected a class number"),
        ({"targets": {"label": [-1, 1]}}, "target 'label' has -1 in row 0"),
        ({"targets": {"labels": [[0, 1], [2, 0]]}}, r"target 'labels' has \[2, 0\] in row 1.*expected 0 or 1"),
        ({"targets": {"mood": [0, 1]}}, "target 'mood'; known are score, label and labels"),
        ({"ids": ["a"]}, "ids has 1 entries"),
        (
            {"observed": {"text": np.ones((2, 3), dtype=bool)}},
            r"observed of 'text' must be truth values of shape \(2, 2\)",
        ),
        ({"observed": {"audio": np.ones((2, 2), dtype=bool)}}, "observed names audio, which features do not have"),
    ],
)
def test_arrays_that_do_not_fit(changes, message):
    made = {"features": {"text": np.ones((2, 2, 1))}, "splits": ["train", "test"], "targets": {"score": [1, 2]}}
    with pytest.raises(UserError, match=message):
        from_arrays(**(made | changes))


def test_training_on_arrays(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    splits = ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
    features = {m: [rng.normal(size=(rng.integers(1, 5), 3)) for _ in splits] for m in ("text", "audio", "vision")}
    corpus = from_arrays(features, splits, {"score": rng.uniform(-3, 3, len(splits))})
    folder = train(make.tiny(data={"name": "arrays"}), tmp_path / "run", corpus=corpus)
    about = json.loads((folder / "seed-1" / "provenance.json").read_text())
    assert about["data_sha256"] == corpus.digest
    with pytest.raises(
        UserError, match="data 'arrays' were arrays in the memory of a program and cannot be read again"
    ):
        Arrays(Arrays.Config(name="arrays")).load()


def test_the_base_class_offers_it_too():
    features = {"text": np.ones((2, 3, 1), dtype=np.float32)}
    found = Dataset.from_arrays(features, ["train", "test"], {"score": [0.5, -1.0]}, ids=["a", "b"])
    assert [found.splits[name].ids for name in ("train", "test")] == [("a",), ("b",)]
