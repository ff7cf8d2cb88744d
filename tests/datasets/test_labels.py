"""Targets by name: labels of one modality alone, names of classes and of binary labels, and the task's choice."""

import pickle

import numpy as np
import pytest
import torch

from mmsa_core.components import DatasetConfig
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Corpus, Split
from mmsa_core.datasets.mmsa_pickle import MmsaPickle
from mmsa_core.datasets.mult_pickle import MultPickle
from mmsa_core.errors import UserError
from mmsa_core.tasks import BinaryLabels, Bins, Classification, Regression

ROWS = 3
SIMS = {
    "text": np.ones((ROWS, 2, 4)),
    "audio": np.ones((ROWS, 2, 3)),
    "vision": np.ones((ROWS, 2, 2)),
    "id": ["a", "b", "c"],
    "annotations": ["Negative", "Neutral", "Positive"],
    "regression_labels": np.array([-0.6, 0.0, 0.8]),
    "regression_labels_T": np.array([-1.0, 0.2, 0.4]),
    "regression_labels_A": np.array([0.2, 0.4, 1.0]),
    "regression_labels_V": np.array([-0.8, 0.0, 0.6]),
    "classification_labels": np.array([0, 1, 2]),
    "classification_labels_T": np.array([0, 2, 2]),
}


def load(tmp_path, kind, content, **options):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps({"train": content, "valid": content, "test": content}, 4))
    return kind(kind.Config(name="x", path=path, **options)).load()


def rounded(split, name):
    return [round(value, 4) for value in split.targets[name].tolist()]


def test_the_labels_of_sims(tmp_path):
    split = load(tmp_path, MmsaPickle, SIMS).splits["train"]
    assert list(split.targets) == ["score", "label", "score/text", "score/audio", "score/vision", "label/text"]
    assert rounded(split, "score/text") == [-1.0, 0.2, 0.4]
    assert rounded(split, "score/audio") == [0.2, 0.4, 1.0]
    assert split.targets["label/text"].tolist() == [0, 2, 2]
    assert split.targets["score/text"].dtype == torch.float32
    assert split.targets["label/text"].dtype == torch.int64


def test_labels_follow_the_recipes_names(tmp_path):
    found = load(tmp_path, MmsaPickle, SIMS, modalities={"words": "text", "face": "vision"}).splits["train"]
    assert rounded(found, "score/words") == [-1.0, 0.2, 0.4]
    assert rounded(found, "score/face") == [-0.8, 0.0, 0.6]
    assert "score/audio" in found.targets  # of a modality that is not read: under its key
    mapped = load(tmp_path, MmsaPickle, SIMS, labels={"score": "regression_labels_V"}).splits["train"]
    assert list(mapped.targets) == ["score"]
    assert rounded(mapped, "score") == [-0.8, 0.0, 0.6]


def test_labels_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"no split has 'mood', which data.labels names; keys found: 'annotations'"):
        load(tmp_path, MmsaPickle, SIMS, labels={"score": "mood"})
    assert not load(tmp_path, MmsaPickle, SIMS, labels={"score": "mood"}, absent="missing").splits["test"].targets
    with pytest.raises(ValueError, match="'mood' cannot name a target; use score or label"):
        MmsaPickle.Config(path="x", labels={"mood": "mood"})


def test_classes_of_annotations(tmp_path):
    bare = {key: value for key, value in SIMS.items() if not key.startswith("classification")}
    found = load(tmp_path, MmsaPickle, bare, classes=["Positive", "Neutral", "Negative"])
    assert found.splits["train"].targets["label"].tolist() == [2, 1, 0]
    assert found.names == {"label": ("Positive", "Neutral", "Negative")}
    with pytest.raises(UserError, match=r"'annotations' has 'Neutral' in row 1, which data.classes does not name"):
        load(tmp_path, MmsaPickle, bare, classes=["Positive", "Negative"])


ANSWERS = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]])
IEMOCAP = {
    **{m: np.ones((ROWS, 2, 4)) for m in ("text", "audio", "vision")},
    "labels": np.eye(2)[ANSWERS],
}
EMOTIONS = ["neutral", "happy", "sad", "angry"]


def test_the_emotions_of_iemocap(tmp_path):
    corpus = load(tmp_path, MultPickle, IEMOCAP, names=EMOTIONS)
    assert corpus.names == {"labels": tuple(EMOTIONS)}
    assert corpus.splits["train"].targets["labels"].tolist() == ANSWERS.tolist()
    with pytest.raises(UserError, match=r"labels of shape \[rows, 4, 2\] do not fit the 2 data.names: happy, sad"):
        load(tmp_path, MultPickle, IEMOCAP, names=["happy", "sad"])
    other = {**IEMOCAP, "emotions": IEMOCAP["labels"], "who": ["x", "y", "z"]}
    del other["labels"]
    found = load(tmp_path, MultPickle, other, labels="emotions", ids="who").splits["train"]
    assert found.ids == ("x", "y", "z")
    assert found.targets["labels"].tolist() == ANSWERS.tolist()


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (np.eye(3)[[0, 2, 1]][:, None], ["a", "b", "c"], {"label": ("a", "b", "c")}),
        (np.ones((ROWS, 1, 1)), ["a"], None),
        (np.ones(ROWS), ["a"], None),
    ],
)
def test_names_of_other_labels(tmp_path, labels, names, expected):
    if expected is None:
        with pytest.raises(UserError, match=r"do not fit the 1 data.names: a"):
            load(tmp_path, MultPickle, {**IEMOCAP, "labels": labels}, names=names)
    else:
        assert load(tmp_path, MultPickle, {**IEMOCAP, "labels": labels}, names=names).names == expected


def corpus(names=None, **targets):
    x = {"text": torch.ones(ROWS, 2, 4)}
    split = Split.padded(("a", "b", "c"), x, {"text": torch.ones(ROWS, 2, dtype=torch.bool)}, targets)
    return Corpus(dict.fromkeys(("train", "valid", "test"), split), "x", (), names or {})


def prepared(made, task):
    found = data.prepare(made, DatasetConfig(name="made", score_range=(-1, 1)), ("text",), task)
    return task.target(found.splits["train"])


def test_a_task_learns_from_the_source_that_it_names():
    made = corpus(**{"score": torch.tensor([0.0, 0.5, 1.0]), "score/text": torch.tensor([-1.0, 0.5, 0.0])})
    assert prepared(made, Bins()).tolist() == [0.0, 1.5, 3.0]
    assert prepared(made, Regression(source="score/text")).tolist() == [-3.0, 1.5, 0.0]
    with pytest.raises(UserError, match=r"task.source names 'score/txt', .* are score, score/text. Did you mean"):
        prepared(made, Bins(source="score/txt"))
    classes = corpus(**{"label/text": torch.tensor([2, 0, 1])})
    assert prepared(classes, Classification(classes=3, source="label/text")).tolist() == [2, 0, 1]
    with pytest.raises(UserError, match=r"targets of this kind are none"):
        prepared(classes, Bins(source="label/text"))
    with pytest.raises(UserError, match=r"the data have label/text; use --set .*classes: 3, source: label/text"):
        prepared(classes, Bins())


def test_a_task_picks_binary_labels_by_name():
    made = corpus(names={"labels": tuple(EMOTIONS)}, labels=torch.from_numpy(ANSWERS))
    assert prepared(made, BinaryLabels(names=("angry", "happy"))).tolist() == [[1, 0], [0, 0], [0, 1]]
    with pytest.raises(UserError, match=r"task.names has hapy, but the data's binary labels are neutral, happy"):
        prepared(made, BinaryLabels(names=("hapy",)))
    unnamed = corpus(labels=torch.from_numpy(ANSWERS))
    assert prepared(unnamed, BinaryLabels(names=tuple("wxyz"))).tolist() == ANSWERS.tolist()
