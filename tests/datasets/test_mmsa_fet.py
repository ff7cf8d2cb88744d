"""What MMSA-FET writes, for a data set and for one clip, as its published code builds it."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmsa_core.datasets.mmsa_fet import MmsaFet
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import splits

LENGTHS = {"audio": [3, 5, 2], "vision": [1, 4, 4]}
WORDS = [4, 2, 3]
SETTINGS = {
    "audio": {"tool": "librosa", "sample_rate": None, "args": {"mfcc": {"n_mfcc": 20}}},
    "text": {"model": "bert"},
}


def pad(rows, channels, longest, at_start=False, start=1.0):
    """Sequences of the given lengths in float64, padded with zeros as the tool pads them."""
    values = np.zeros((len(rows), longest, channels))
    for row, length in enumerate(rows):
        values[row, longest - length :] = start + row if at_start else 0
        values[row, :length] = 0 if at_start else start + row
        if at_start:
            values[row, longest - length :] = start + row
    return values


def split(at_start=False, aligned=False):
    """Three clips of one split as `run_dataset` packs them: everything is an array."""
    longest = {"audio": 5, "vision": 4}
    mask = pad(WORDS, 1, 4, at_start)[:, :, 0] > 0
    found = {
        "id": np.array(["v$_$1", "v$_$2", "v$_$3"]),
        "audio": pad(WORDS if aligned else LENGTHS["audio"], 2, 4 if aligned else 5, at_start),
        "vision": pad(WORDS if aligned else LENGTHS["vision"], 3, 4, at_start),
        "raw_text": np.array(["A", "B", "C"]),
        "text": pad(WORDS, 4, 4, at_start),
        "text_bert": np.stack([mask * 101.0, mask * 1.0, mask * 0.0], axis=1),
        "annotations": np.array(["Negative", "Positive", "Neutral"]),
        "regression_labels": np.array([-1.0, 0.4, 0.0]),
        "regression_labels_T": np.array([-0.5, 0.5, 0.0]),
    }
    if aligned:
        words = [[{"text": "a", "start": 0.1, "end": np.float64(0.3), "conf": np.float32(0.9)}] for _ in WORDS]
        return {**found, "align": np.array(words)}
    return {**found, **{f"{m}_lengths": np.array(LENGTHS[m]) for m in longest}}


@pytest.fixture
def load(tmp_path):
    def of(content, **config):
        path = tmp_path / "feature.pkl"
        path.write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
        corpus = MmsaFet(MmsaFet.Config(name="mmsa-fet", path=path, **config)).load()
        return SimpleNamespace(splits=splits(corpus), notes=corpus.notes, names=corpus.names, digest=corpus.digest)

    return of


def data_set(**options):
    return {**{name: split(**options) for name in ("train", "valid", "test")}, "config": SETTINGS}


def test_a_data_set(load):
    corpus = load(data_set(), classes=["Negative", "Neutral", "Positive"])
    assert list(corpus.splits) == ["train", "valid", "test"]
    train = corpus.splits["train"]
    assert train.ids == ("v$_$1", "v$_$2", "v$_$3")
    assert train.observed["audio"].sum(dim=1).tolist() == LENGTHS["audio"]
    assert train.observed["vision"].sum(dim=1).tolist() == LENGTHS["vision"]
    assert train.observed["text"].sum(dim=1).tolist() == WORDS
    assert train.features["audio"].dtype == torch.float32
    assert sorted(train.targets) == ["label", "score", "score/text"]
    assert train.targets["label"].tolist() == [0, 2, 1]
    assert not corpus.notes


def test_padding_at_the_start(load):
    found = load(data_set(at_start=True), padding="start").splits["train"]
    assert found.observed["audio"].tolist()[2] == [False, False, False, True, True]
    assert found.observed["audio"].sum(dim=1).tolist() == LENGTHS["audio"]
    assert found.observed["text"].tolist()[1] == [False, False, True, True]
    wrong = load(data_set(at_start=True))
    assert "train: audio goes on after audio_lengths in 2 of 3 rows; unread" in wrong.notes
    wrong = load(data_set(), padding="start")
    assert "train: audio begins before audio_lengths in 2 of 3 rows; unread" in wrong.notes


def test_aligned_features_have_no_lengths(load):
    found = load(data_set(aligned=True)).splits["train"]
    assert all(observed.sum(dim=1).tolist() == WORDS for observed in found.observed.values())


@pytest.mark.parametrize("padding", ["end", "start"])
@pytest.mark.parametrize("packed", [list, lambda x: np.array([*x, None], dtype=object)[:-1]])
def test_sequences_that_are_not_padded(load, padding, packed):
    content = split()
    for key in ("audio", "vision"):
        sequences = [x[:length] for x, length in zip(content[key], LENGTHS[key], strict=True)]
        content[key] = packed(sequences)
        del content[f"{key}_lengths"]
    tokens = [x[:, :length].T for x, length in zip(content["text_bert"], WORDS, strict=True)]
    content["text"], content["text_bert"] = (
        packed(x[:n] for x, n in zip(content["text"], WORDS, strict=True)),
        packed(tokens),
    )
    found = load({"train": content, "config": SETTINGS}, padding=padding).splits["train"]
    wanted = load(data_set()).splits["train"]
    for modality in ("text", "audio", "vision"):
        for row in range(3):
            seen = found.observed[modality][row]
            assert torch.equal(
                found.features[modality][row][seen], wanted.features[modality][row][wanted.observed[modality][row]]
            )


def test_no_face_is_missing_vision(load):
    content = data_set()
    content["train"]["vision"][1] = 0
    corpus = load(content)
    assert corpus.splits["train"].observed["vision"].any(dim=1).tolist() == [True, False, True]


def test_tokens(load):
    found = load(data_set(), tokens=True).splits["train"]
    assert found.features["text"][1].tolist() == [[101, 1, 0], [101, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_a_single_clip(load):
    clip = {
        "audio": np.ones((7, 2), dtype=np.float32),
        "vision": np.ones((4, 3)),
        "text": np.ones((3, 4), dtype=np.float32),
        "text_bert": np.array([[101, 1, 0], [7, 1, 0], [102, 1, 0]]),
        "config": SETTINGS,
        "align": [{"text": "a", "start": 0.1, "end": 0.3}],
    }
    found = load(clip).splits["test"]
    assert found.ids == ("feature",)
    assert {m: tuple(x.shape) for m, x in found.features.items()} == {
        "text": (1, 3, 4),
        "audio": (1, 7, 2),
        "vision": (1, 4, 3),
    }
    assert all(observed.all() for observed in found.observed.values())
    assert not found.targets
    assert load(clip, tokens=True).splits["test"].features["text"][0].tolist() == clip["text_bert"].tolist()
    sound = load({"audio": clip["audio"], "config": SETTINGS}, absent="missing")
    assert list(sound.splits["test"].features) == ["audio"]


def test_tensors_are_refused_with_what_to_do(load):
    with pytest.raises(
        UserError, match=r"asks for 'torch\..*Nothing was executed.*return_type='pt'; 'np' writes arrays"
    ):
        load({"audio": torch.ones(2, 2), "config": SETTINGS})


def test_another_schema(load):
    with pytest.raises(UserError, match="no split has 'vision', the key of modality 'vision'"):
        load({"test": {"audio": np.ones((1, 2, 3)), "text": np.ones((1, 2, 3))}, "config": SETTINGS})
    with pytest.raises(UserError, match="expected a dict of splits"):
        load({"config": SETTINGS})


def test_a_list_that_padding_would_blow_up_is_refused(tmp_path):
    nothing = np.zeros((0, 1), dtype=np.float32)
    made = {
        "id": [f"a{n}" for n in range(50_000)],
        "audio": [np.ones((10_000, 1), dtype=np.float32), *[nothing] * 49_999],
    }
    path = tmp_path / "long.pkl"
    path.write_bytes(pickle.dumps({"train": made}))
    with pytest.raises(UserError, match="50000 padded to it would take 50000 times what is there"):
        MmsaFet(MmsaFet.Config(path=path, modalities={"audio": "audio"})).load()
