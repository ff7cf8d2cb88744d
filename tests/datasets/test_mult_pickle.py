"""MulT's schema: labels of every shape, what counts as missing, and what is refused."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_core.datasets.mult_pickle import MultPickle
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import padded, splits


def split(rows=3, **changes):
    """Ones everywhere; row 1 ends after two frames."""
    x = np.ones((rows, 4, 2), dtype=np.float64)
    x[1, 2:] = 0
    content = {
        "text": x,
        "audio": x.copy(),
        "vision": x.copy(),
        "labels": np.arange(rows, dtype=np.float32).reshape(rows, 1, 1),
        "id": np.array([[f"v{i}".encode(), b"0.5", b""] for i in range(rows)]),
    }
    content.update(changes)
    return {key: value for key, value in content.items() if value is not None}


@pytest.fixture
def load(tmp_path):
    def of(content, **config):
        path = tmp_path / "mult.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
        corpus = MultPickle(MultPickle.Config(path=path, **config)).load()
        return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)

    return of


def test_a_small_file(load):
    corpus = load({"train": split(), "dev": split(2), "test": split()})
    assert list(corpus.splits) == ["train", "valid", "test"]
    train = corpus.splits["train"]
    assert train.ids == ("v0$_$0.5", "v1$_$0.5", "v2$_$0.5")
    assert list(train.features) == ["text", "audio", "vision"]
    assert all(x.dtype == torch.float32 for x in train.features.values())
    assert train.observed["text"].tolist() == [[True] * 4, [True, True, False, False], [True] * 4]
    assert train.targets["score"].tolist() == [0, 1, 2]
    assert corpus.notes == ()


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 1, 1)])
def test_scores_of_any_shape_and_nan_survive(load, shape):
    labels = np.array([-1.5, np.nan, 3], dtype=np.float32).reshape(shape)
    targets = load({"test": split(labels=labels)}).splits["test"].targets
    assert list(targets) == ["score"]
    torch.testing.assert_close(targets["score"], torch.tensor([-1.5, np.nan, 3]), equal_nan=True)


def test_one_hot_labels(load):
    labels = np.eye(3)[[2, 0, 1]][:, None]
    assert load({"test": split(labels=labels)}).splits["test"].targets["label"].tolist() == [2, 0, 1]


def test_iemocap_labels(load):
    answers = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    found = load({"test": split(labels=np.eye(2, dtype=np.float32)[answers])}).splits["test"].targets
    assert list(found) == ["labels"]
    assert found["labels"].tolist() == answers.tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([[[1, 0]], [[1, 1]], [[0, 0]]]), r"2 rows are not; the first is row 1"),
        (np.array([[[1, 0]], [[0, 1]], [[0.5, 0.5]]]), "row 2"),
        (np.array([[[1, 0]], [[0, 1]], [[np.nan, 1]]]), "row 2"),
        (np.zeros((3, 4, 3)), r"shape \(3, 4, 3\)"),
        (np.zeros((3, 5)), r"shape \(3, 5\)"),
        (np.zeros((3, 1, 0)), r"shape \(3, 1, 0\)"),
        (np.zeros((2, 1, 1)), "'labels' has 2 rows, but 'text' has 3"),
        (["good", "bad", "good"], "array of numbers"),
        ([[1], [1, 2], []], "one array"),
    ],
)
def test_labels_that_fit_nothing(load, labels, message):
    with pytest.raises(UserError, match=message) as caught:
        load({"train": split(), "test": split(labels=labels)})
    assert "mult.pkl, split 'test'" in str(caught.value)


def test_missing_modalities_are_noted(load):
    audio = np.ones((3, 4, 2))
    audio[:2] = 0
    audio[0, 1, 1] = np.nan  # not zero: core decides about it
    vision = np.ones((3, 4, 2))
    vision[1] = 0
    corpus = load({"train": split(text=np.zeros((3, 4, 2)), audio=audio, vision=vision)})
    assert corpus.notes == (
        "train: text is missing in all 3 rows",
        "train: audio is missing in 1 of 3 rows",
        "train: vision is missing in 1 of 3 rows",
    )
    assert corpus.splits["train"].observed["audio"][0].tolist()[:2] == [False, True]
    assert torch.isnan(corpus.splits["train"].features["audio"][0, 1, 1])


def test_a_modality_that_one_split_lacks(load):
    corpus = load({"train": split(), "test": split(2, vision=None)})
    test = corpus.splits["test"]
    assert test.features["vision"].shape == (2, 1, 2)
    assert not test.observed["vision"].any()
    assert list(test.features) == ["text", "audio", "vision"]
    assert corpus.notes == ("test: vision is not in the file and counts as missing in all 2 rows",)


def test_names_and_order_follow_the_mapping(load):
    content = {"train": split(extra=np.full((3, 1, 5), 7.0))}
    corpus = load(content, modalities={"eyes": "extra", "words": "text"})
    assert {m: x.shape[2] for m, x in corpus.splits["train"].features.items()} == {"eyes": 5, "words": 2}
    assert list(corpus.splits["train"].features) == ["eyes", "words"]


def test_files_without_labels_or_ids(load):
    found = load({"test": split(labels=None, id=None)}).splits["test"]
    assert found.targets == {}
    assert found.ids == ("test-0", "test-1", "test-2")


def test_values_beyond_float32_become_infinite(load):
    assert torch.isinf(load({"test": split(text=np.full((3, 4, 2), 1e300))}).splits["test"].features["text"]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a dict of splits.*found list"),
        ({}, "expected a dict of splits"),
        (split(), "expected a dict of splits.*'audio', 'id'"),
        ({1: split()}, "expected a dict of splits"),
        ({"train": {}}, "no split has 'text'"),
        ({"train": split(text=None)}, "no split has 'text'.*keys found: 'audio'.*modalities"),
        ({"train": split(text=np.ones((3, 2)))}, r"\[rows, frames, channels\]; found float64 of shape \(3, 2\)"),
        ({"train": split(text=np.ones((3, 4, 2), dtype=int))}, "must be floats"),
        ({"train": split(text=np.ones((3, 4, 0)))}, r"shape \(3, 4, 0\)"),
        ({"train\ud800": split()}, "expected a dict of splits"),
        ({"train": split(text=np.full((3, 4, 2), "a"))}, "array of numbers"),
        ({"train": split(text=np.array([[None]] * 3))}, "array of numbers"),
        ({"train": split(text=5)}, "array of numbers"),
        ({"train": split(audio=np.ones((2, 4, 2)))}, "'audio' has 2 rows, but 'text' has 3"),
        ({"train": split(id=["a", "b"])}, "'id' must name each of the 3 rows; found 2 entries"),
        ({"train": split(id="abc")}, "'id' must name each of the 3 rows; found str"),
        ({"train": split(), "test": split(text=np.ones((3, 4, 9)))}, "text has 9 channels, but 2"),
        ({"train": split(), "test": {"speaker": "x"}}, "no arrays or lists"),
        ({"train": split(labels=None, regression_labels=[0.0] * 3)}, "mmsa-pickle"),
    ],
)
def test_other_schemas_are_refused(load, content, message):
    with pytest.raises(UserError, match=message) as caught:
        load(content)
    assert "mult.pkl" in str(caught.value)


def test_a_list_that_contains_itself(load):
    loop = [1, 2]
    loop.append(loop)
    for key in ("text", "labels"):
        with pytest.raises(UserError):
            load({"train": split(**{key: loop})})
    assert len(load({"train": split(id=loop)}).splits["train"].ids) == 3


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_mutated_files_are_read_or_refused(load, data):
    content = bytearray(pickle.dumps({"train": split(), "test": split(2)}, data.draw(st.sampled_from([0, 2, 4, 5]))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        corpus = load(bytes(content))
    except UserError:
        return
    for found in corpus.splits.values():
        assert all(x.shape[:2] == found.observed[m].shape for m, x in found.features.items())
        assert all(len(t) == len(found) for t in (*found.targets.values(), *found.features.values()))


@pytest.mark.parametrize(("name", "target"), [("mmmo", "score"), ("youtube", "label")])
def test_real_files(name, target):
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data are not on this machine (../shared/data)")
    corpus = MultPickle(MultPickle.Config(path=folder / f"{name}_data.pkl")).load()
    for split_name, expected in json.loads((folder / "missing.json").read_text())[name].items():
        found = padded(corpus.splits[split_name])
        assert len(found) == expected["n"]
        assert len(found.targets[target]) == expected["n"]
        for modality, rows in expected["all_zero"].items():
            lost = (~found.observed[modality].any(dim=1)).nonzero()[:, 0].tolist()
            assert lost == (list(range(expected["n"])) if rows == "all" else rows)
            assert int(found.observed[modality].sum()) == expected["nonzero_steps"][modality]
    assert "train: text is missing in all" in corpus.notes[0]
