"""From a corpus to batches: what is refused, skipped, mapped and cut."""

from dataclasses import replace

import pytest
import torch

from mmsa_core import registry
from mmsa_core.components import DatasetConfig
from mmsa_core.corpora import batching, data
from mmsa_core.corpora.corpus import SCORE, Corpus, Split
from mmsa_core.errors import UserError
from mmsa_core.tasks import Bins

NAMES = ("text", "audio")


def split(n=4, without=(), **changes):
    """`without` lists (modality, rows) of which no frame is observed."""
    features = {"text": torch.ones(n, 5, 2), "audio": torch.full((n, 3, 1), 2.0)}
    observed = {m: torch.ones(x.shape[:2], dtype=torch.bool) for m, x in features.items()}
    observed["text"][:, 4] = False
    made = {"features": features, "observed": observed, "targets": {SCORE: torch.linspace(-3, 3, n)}} | changes
    for modality, rows in without:
        made["observed"][modality][rows] = False
    return Split.padded(tuple(f"s{i}" for i in range(n)), **made)


def prepare(train, config=None, modalities=NAMES, task=None, **splits):
    corpus = Corpus({"train": train, "valid": split(), "test": split(), **splits}, digest="x")
    return data.prepare(corpus, config or DatasetConfig(name="made"), modalities, task or Bins())


def test_what_the_model_reads():
    found = prepare(split())
    assert found.channels == {"text": 2, "audio": 1}
    assert found.lengths == {"text": 4, "audio": 3}  # the last frame of text is padding in every sample
    assert found.splits["train"].features["text"].padded()[0].shape == (4, 4, 2)
    assert list(prepare(split(), modalities=("audio",)).channels) == ["audio"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_located(value):
    features = {"text": torch.ones(4, 5, 2), "audio": torch.ones(4, 3, 1)}
    features["text"][2, 1, 1] = value
    features["text"][3, 4, 0] = value  # in padding: never read
    bad = split(features=features)
    with pytest.raises(UserError) as raised:
        prepare(bad)
    message = str(raised.value)
    assert "split 'train': 1 values of 'text' in 1 rows are NaN or infinite" in message
    assert "sample 's2' (row 2, frame 1, column 1)" in message
    assert "--set data.nonfinite=zero" in message
    found = prepare(bad, DatasetConfig(name="made", nonfinite="zero"))
    assert found.splits["train"].features["text"].batch(torch.tensor([2]))[0][0, 1].tolist() == [1.0, 0.0]
    assert any("1 NaN or infinite values of 'text' were set to zero" in note for note in found.notes)


def test_rows_with_nothing_are_skipped_and_reported():
    bare = split(without=[(m, 1) for m in NAMES])
    found = prepare(bare)
    assert found.splits["train"].ids == ("s0", "s2", "s3")
    assert found.splits["train"].targets[SCORE].tolist() == [-3.0, 1.0, 3.0]
    assert "data 'made', split 'train': 1 of 4 rows have no modality at all and are skipped" in found.notes


def test_a_split_with_nothing_at_all():
    bare = split(without=[(m, slice(None)) for m in NAMES])
    with pytest.raises(UserError, match="none of its 4 rows has a frame of text, audio"):
        prepare(bare)


def test_a_modality_that_no_sample_has():
    without = {name: split(without=[("audio", slice(None))]) for name in ("train", "valid", "test")}
    with pytest.raises(UserError, match="no sample of any split has modality 'audio'"):
        prepare(without["train"], valid=without["valid"], test=without["test"])
    found = prepare(without["train"])
    assert any("no training sample has 'audio'" in note for note in found.notes)
    assert not any(
        part.features["audio"].present().any() for part in found.splits.values()
    )  # an untrained encoder says nothing


def test_an_unknown_modality():
    with pytest.raises(
        UserError, match=r"no modality .video., which model\.encoders names; the data have: text, audio"
    ):
        prepare(split(), modalities=("text", "video"))


def test_scores_are_mapped_onto_the_tasks_range():
    rated = split(targets={SCORE: torch.tensor([1.0, 2.0, 3.0, 5.0])})
    found = prepare(rated, DatasetConfig(name="made", score_range=(1, 5)), valid=rated, test=rated)
    assert found.splits["train"].targets[SCORE].tolist() == [-3.0, -1.5, 0.0, 3.0]
    with pytest.raises(UserError, match=r"data.score_range: expected \[lowest, highest\], found \[5, 1\]"):
        prepare(rated, DatasetConfig(name="made", score_range=(5, 1)))


def test_batches_follow_the_order_and_end_with_a_smaller_one():
    order = torch.tensor([3, 0, 2])
    found = list(batching.batches(split(), Bins(), 2, order))
    assert [batch.index.tolist() for batch in found] == [[3, 0], [2]]
    assert found[0].target.tolist() == [3.0, -3.0]
    assert torch.equal(found[1].key, split().key[2:3])


def test_complete_samples():
    some = split(without=[("audio", slice(2))])
    assert data.complete(some).ids == ("s2", "s3")
    assert data.seen(some) == ["text", "text", "text+audio", "text+audio"]


def test_a_model_reads_data_that_lack_a_modality():
    only = split(features={"text": torch.ones(4, 9, 2)}, observed={"text": torch.ones(4, 9, dtype=torch.bool)})
    found = data.with_channels(only, {"text": 2, "audio": 1}, "file", "refuse")
    assert not found.features["audio"].present().any()
    assert found.features["text"].padded()[0].shape == (4, 9, 2)
    with pytest.raises(UserError, match="file: 'text' is 2 wide, but the model reads it 3 wide"):
        data.with_channels(only, {"text": 3}, "file", "refuse")


def test_ids_that_repeat_get_masks_of_their_own():
    twice = Split(("a", "a", "b"), {})
    assert len(set(twice.key.tolist())) == 3
    assert twice.key.tolist() == Split(("a", "a", "b"), {}).key.tolist()


def test_splits_of_other_names_are_said_to_be_unused(make):
    recipe = make.tiny()
    corpus = registry.datasets.get("synthetic")(recipe.data).load()
    more = replace(corpus, splits={**corpus.splits, "Train": corpus.splits["test"]})
    (note,) = set(data.load(recipe, more).notes) - set(data.load(recipe, corpus).notes)
    assert note == "splits that are neither train, valid nor test are not used: Train (11 rows)"
