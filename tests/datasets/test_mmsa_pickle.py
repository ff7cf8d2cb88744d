"""MMSA's schema: lengths, attention masks, labels, names, and what is refused."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_core.datasets.mmsa_pickle import MmsaPickle
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import splits

DATA = Path(__file__).parents[2].parent / "shared" / "data"


def split(**changes):
    """Three rows: text of 4 frames (the last is padding), audio of 2, vision of 3 with lengths 3, 0, 1."""
    mask = np.array([[1, 1, 1, 0]] * 3)
    vision = np.ones((3, 3, 5), dtype=np.float32)
    vision[1], vision[2, 1:] = 0, 0
    content = {
        "text": np.ones((3, 4, 2), dtype=np.float16) * mask[:, :, None].astype(np.float16),
        "text_bert": np.stack([mask * 101, mask, mask * 0], axis=1).astype(np.int32),
        "audio": np.ones((3, 2, 6), dtype=np.float64),
        "audio_lengths": [2, 1, 2],
        "vision": vision,
        "vision_lengths": np.array([3, 0, 1]),
        "raw_text": ["A", "B", "C"],
        "id": ["v$_$1", "v$_$2", "v$_$3"],
        "regression_labels": np.array([-1.2, 0, 3], dtype=np.float32),
        "classification_labels": np.array([0.0, 1.0, 2.0]),
        "annotations": ["Negative", "Neutral", "Positive"],
    }
    content.update(changes)
    return {key: value for key, value in content.items() if value is not None}


@pytest.fixture
def load(tmp_path):
    def of(content, **config):
        path = tmp_path / "mmsa.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
        corpus = MmsaPickle(MmsaPickle.Config(path=path, **config)).load()
        return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)

    return of


def test_a_small_file(load):
    corpus = load({"train": split(), "valid": split(), "test": split()})
    train = corpus.splits["train"]
    assert train.ids == ("v$_$1", "v$_$2", "v$_$3")
    assert all(x.dtype == torch.float32 for x in train.features.values())
    assert train.observed["text"].tolist() == [[True] * 3] * 3  # the last frame is padding in all
    assert train.observed["audio"].tolist() == [[True, True], [True, False], [True, True]]
    assert train.observed["vision"].tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    torch.testing.assert_close(train.targets["score"], torch.tensor([-1.2, 0, 3]))
    assert train.targets["label"].tolist() == [0, 1, 2]
    assert train.targets["label"].dtype == torch.int64
    assert corpus.names == {"label": ("Negative", "Neutral", "Positive")}
    assert "train: vision is missing in 1 of 3 rows" in corpus.notes
    assert "train: audio goes on after audio_lengths in 1 of 3 rows; unread" in corpus.notes


def test_the_attention_mask_says_what_text_is_visible(load):
    text = np.ones((3, 4, 2), dtype=np.float32)
    text[0, 1] = 0  # a real frame that happens to be zero
    seen = load({"test": split(text=text)}).splits["test"].observed["text"]
    assert seen.tolist() == [[True] * 3] * 3


@pytest.mark.parametrize("bert", [None, np.ones((3, 3, 9)), np.ones((3, 4))])
def test_without_a_fitting_mask_frames_of_zeros_are_hidden(load, bert):
    text = np.ones((3, 4, 2), dtype=np.float32)
    text[0, 1] = 0
    seen = load({"test": split(text=text, text_bert=bert)}).splits["test"].observed["text"]
    assert seen.tolist() == [[True, False, True, True], [True] * 4, [True] * 4]


def test_a_row_of_zeros_is_missing_whatever_its_length(load):
    text = np.ones((3, 4, 2), dtype=np.float32)
    text[2] = 0
    corpus = load({"test": split(audio=np.zeros((3, 2, 6)), text=text)})
    assert not corpus.splits["test"].observed["audio"].any()
    assert corpus.splits["test"].observed["text"].any(dim=1).tolist() == [True, True, False]
    assert "test: audio is missing in all 3 rows" in corpus.notes


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([2, 3, 2], r"from 0 to 2.*the first is 3 in row 1"),
        ([2, 2, -1], "the first is -1 in row 2"),
        ([1.5, 1, 1], "the first is 1.5 in row 0"),
        ([1, np.nan, 1], "the first is nan in row 1"),
        ([1, 1], "'audio_lengths' has 2 rows, but 'text' has 3"),
        ([[1, 1], [1, 1], [1, 1]], "one number for each row"),
        (["a", "b", "c"], "array of numbers"),
    ],
)
def test_impossible_lengths(load, lengths, message):
    with pytest.raises(UserError, match=message) as caught:
        load({"train": split(audio_lengths=lengths)})
    assert "mmsa.pkl, split 'train'" in str(caught.value)


def test_nonfinite_values_survive(load):
    audio = np.ones((3, 2, 6))
    audio[0, 0, 0], audio[0, 0, 1] = -np.inf, np.nan
    found = load({"test": split(audio=audio, regression_labels=[np.nan, 0, 1])}).splits["test"]
    assert torch.isinf(found.features["audio"][0, 0, 0])
    assert torch.isnan(found.features["audio"][0, 0, 1])
    assert torch.isnan(found.targets["score"][0])


def test_labels_are_optional(load):
    unlabelled = dict.fromkeys(("regression_labels", "classification_labels", "annotations"))
    corpus = load({"test": split(**unlabelled)})
    assert corpus.splits["test"].targets == {}
    assert corpus.names == {}


def test_classes_that_are_not_whole_are_left_out(load):
    corpus = load({"test": split(classification_labels=np.array([0, 0.5, np.nan]))})
    assert list(corpus.splits["test"].targets) == ["score"]
    assert any("classification_labels are not read: 0.5 in row 1" in note for note in corpus.notes)


@pytest.mark.parametrize(
    ("labels", "annotations"),
    [([0, 1, 1], ["a", "b", "c"]), ([0, 1, 2], ["a", "a", "b"]), ([0, 2, 3], ["a", "b", "c"]), ([0, 1, 2], [1, 2, 3])],
)
def test_names_that_do_not_fit_the_classes(load, labels, annotations):
    assert load({"test": split(classification_labels=labels, annotations=annotations)}).names == {}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (np.array([["a", "1", ""], ["b", "", ""], ["", "", ""]]), ("a$_$1", "b", "test-2")),
        ([["a", 1], (b"b", 2.5), np.array(["c"])], ("a$_$1", "b$_$2.5", "c")),
        (np.array([7, 8, 9]), ("7", "8", "9")),
        (["\ud800", "ä", b"\xff"], ("?", "ä", "\ufffd")),
        (None, ("test-0", "test-1", "test-2")),
    ],
)
def test_ids(load, ids, expected):
    assert load({"test": split(id=ids)}).splits["test"].ids == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (3, "expected a dict of splits.*found int"),
        ({"train": [1]}, "expected a dict of splits"),
        ({"train": split(), "test": split(text=np.ones((2, 4, 2)))}, "'audio' has 3 rows, but 'text' has 2"),
        ({"train": split(regression_labels=[1.0])}, "'regression_labels' has 1 rows"),
        ({"train": {"text": np.ones((3, 1, 1)), "labels": np.ones((3, 1, 1))}}, "mult-pickle"),
        ({"train": split(vision=None)}, "no split has 'vision', the key of modality 'vision'"),
    ],
)
def test_other_schemas_are_refused(load, content, message):
    with pytest.raises(UserError, match=message):
        load(content)


def test_text_alone(load):
    assert list(load({"test": split(vision=None)}, modalities={"text": "text"}).splits["test"].features) == ["text"]


def test_tokens(load):
    sentence = [[101, 30521, 102, 7], [1, 1, 1, 0], [0, 1, 1, 7]]
    bert = np.array([sentence, sentence, np.zeros((3, 4))])
    corpus = load(
        {"train": split(text=None, text_bert=bert), "test": split(text_bert=bert.astype(np.int16))}, tokens=True
    )
    found = corpus.splits["train"]
    assert found.features["text"].dtype == torch.float32
    assert found.features["text"][0].tolist() == [[101, 1, 0], [30521, 1, 1], [102, 1, 1]]
    assert found.observed["text"].tolist() == [[True] * 3] * 2 + [[False] * 3]
    assert torch.equal(corpus.splits["test"].features["text"], found.features["text"])
    assert "train: text is missing in 1 of 3 rows" in corpus.notes
    assert list(load({"train": split()}, tokens=True, modalities={"said": "text"}).splits["train"].features) == ["said"]


def tokens(part, value):
    """Plain tokens in which one entry of row 1 is another value."""
    content = split()["text_bert"].astype(np.float64)
    content[1, part, 2] = value
    return content


@pytest.mark.parametrize(
    ("bert", "message"),
    [
        (tokens(0, -5), r"row 1 has id, mask and segment \[-5.0, 1.0, 0.0\] at frame 2"),
        (tokens(0, 4.5), r"1 of 3 rows do not: row 1 .* \[4.5, 1.0, 0.0\]"),
        (tokens(0, np.nan), r"\[nan, 1.0, 0.0\]"),
        (tokens(0, 2**24), r"\[16777216.0, 1.0, 0.0\]"),
        (tokens(1, 0.5), r"a mask of 0 and 1; .* \[101.0, 0.5, 0.0\]"),
        (tokens(2, -1), r"\[101.0, 1.0, -1.0\]"),
        (np.ones((3, 4, 3)), r"must have shape \[rows, 3, frames\].*found \(3, 4, 3\)"),
        (np.ones((3, 3)), r"found \(3, 3\)"),
        (np.ones((2, 3, 4)), "'audio' has 3 rows, but 'text_bert' has 2"),
        ([["a"], ["b"], ["c"]], "array of numbers"),
    ],
)
def test_tokens_that_are_none(load, bert, message):
    with pytest.raises(UserError, match=message) as caught:
        load({"train": split(text_bert=bert)}, tokens=True)
    assert "mmsa.pkl, split 'train'" in str(caught.value)


def test_a_file_without_tokens(load):
    without = {"test": split(text_bert=None)}
    with pytest.raises(
        UserError, match=r"reads 'text_bert' .* which no split has; keys found: .*'text'.*tokens: false"
    ):
        load(without, tokens=True)
    corpus = load(without, tokens=True, absent="missing")  # as `mmsa predict` reads it
    assert list(corpus.splits["test"].features) == ["audio", "vision"]
    with pytest.raises(UserError, match=r"which data\.modalities does not read; found 'audio'"):
        load(without, tokens=True, modalities={"audio": "audio"})


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_mutated_files_are_read_or_refused(load, data):
    content = bytearray(pickle.dumps({"train": split(), "test": split()}, data.draw(st.sampled_from([0, 2, 4, 5]))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        corpus = load(bytes(content))
    except UserError:
        return
    for found in corpus.splits.values():
        assert all(x.shape[:2] == found.observed[m].shape for m, x in found.features.items())
        assert all(len(t) == len(found) for t in (*found.targets.values(), *found.features.values()))


@pytest.mark.parametrize(
    ("name", "rows", "with_vision"),
    [("mosi_dev", (1095, 229, 189), (401, 34, 189)), ("mosi_lav", (348, 87, 189), (348, 87, 189))],
)
def test_real_files(name, rows, with_vision):
    if not DATA.is_dir():
        pytest.skip("the real data are not on this machine (../shared/data)")
    corpus = MmsaPickle(MmsaPickle.Config(path=DATA / f"{name}.pkl")).load()
    made = splits(corpus).values()
    assert tuple(len(s) for s in made) == rows
    assert tuple(int(s.observed["vision"].any(dim=1).sum()) for s in made) == with_vision
    assert all(s.observed[m].any(dim=1).all() for s in made for m in ("text", "audio"))
    assert all(torch.equal(s.targets["score"].sign().long() + 1, s.targets["label"]) for s in made)
    assert corpus.names == {"label": ("Negative", "Neutral", "Positive")}
    if name == "mosi_dev":
        assert corpus.notes[0] == "train: vision is missing in 694 of 1095 rows"


def test_real_text_without_features_says_what_is_there():
    if not DATA.is_dir():
        pytest.skip("the real data are not on this machine (../shared/data)")
    with pytest.raises(UserError, match="'text_bert'"):
        MmsaPickle(MmsaPickle.Config(path=DATA / "meld_text.pkl")).load()
