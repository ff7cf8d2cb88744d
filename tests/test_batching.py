"""What is in a batch: which samples, padded how far, and that a sample's result does not depend on it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsa_core.corpora import batching, data
from mmsa_core.corpora.corpus import Split
from mmsa_core.evaluation.asking import predict

WIDE = {m: {"name": "projection", "kernel": 3, "padding": "same"} for m in ("text", "audio", "vision")}
SHORT = {m: {"name": "projection", "kernel": 3} for m in ("text", "audio", "vision")}


def of_lengths(*lengths):
    x = torch.ones(len(lengths), max(lengths), 1)
    observed = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return Split.padded(tuple(f"s{n}" for n in range(len(lengths))), {"x": x}, {"x": observed})


def test_batches_are_padded_to_their_longest():
    split = of_lengths(2, 3, 5, 1)
    assert [batch.features["x"].shape[1] for batch in batching.batches(split, None, 2)] == [3, 5]
    assert [b.features["x"].shape[1] for b in batching.batches(split, None, 2, lengths={"x": 4})] == [4, 5]
    assert next(batching.batches(split, None, 2)).observed["x"].tolist() == [[True, True, False], [True] * 3]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 7), st.integers(0, 4), st.integers(0, 9))
@settings(deadline=None)
def test_an_order_has_every_sample_once_and_repeats(lengths, size, bucket, seed):
    split = of_lengths(*lengths)
    found, again = (batching.shuffled(split, size, bucket, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert sorted(found.tolist()) == list(range(len(split)))
    assert torch.equal(found, again)


def test_a_bucket_has_similar_lengths_and_stays_random():
    source = torch.Generator().manual_seed(0)
    split = of_lengths(*torch.randint(1, 50, (203,), generator=source).tolist())
    lengths = split.features["x"].lengths

    def padding(bucket):
        order = batching.shuffled(split, 8, bucket, torch.Generator().manual_seed(1))
        return sum(int((lengths[rows].max() - lengths[rows]).sum()) for rows in torch.split(order, 8)), order

    (without, plain), (within, order) = padding(0), padding(25)
    assert within < 0.2 * without
    assert torch.equal(order[200:], plain[200:])  # the rest, which fills no batch
    firsts = [int(lengths[rows].min()) for rows in torch.split(order[:200], 8)]
    assert firsts != sorted(firsts)
    assert not torch.equal(order, batching.shuffled(split, 8, 25, torch.Generator().manual_seed(2)))


DMD = pytest.mark.needs("mmsa-dmd")


@pytest.mark.parametrize(
    ("fusion", "encoders", "fixed"),
    [
        ({"name": "concat"}, WIDE, False),
        ({"name": "concat"}, SHORT, True),
        ({"name": "crossmodal", "heads": 2, "layers": 1}, WIDE, True),
        ({"name": "crossmodal", "heads": 2, "layers": 1, "hide": True}, WIDE, False),
        pytest.param({"name": "dmd.decoupled", "heads": 2, "layers": 1}, WIDE, True, marks=DMD),
        pytest.param(
            {"name": "dmd.decoupled", "heads": 2, "layers": 1, "hide": True, "reading": "pooled"},
            WIDE,
            False,
            marks=DMD,
        ),
        pytest.param({"name": "dmd.decoupled", "heads": 2, "layers": 1, "reading": "pooled"}, WIDE, True, marks=DMD),
    ],
)
def test_a_result_does_not_depend_on_the_batch(make, fusion, encoders, fixed):
    recipe = make.tiny(model={"dim": 8, "encoders": encoders, "fusion": fusion})
    stages = make.stages(recipe)
    network, split = stages.network(recipe.model, "student", stages.train).eval(), stages.train
    assert network.fixed_length is fixed
    lengths = batching.lengths_of(split, network)
    assert (lengths == stages.data.limits) if fixed else lengths is None
    whole, _ = predict(network, split, recipe.task, [data.NO_DRAW], None, size=22)
    with torch.no_grad():
        for size in (1, 3):
            for batch in batching.batches(split, recipe.task, size, lengths=lengths):
                torch.testing.assert_close(network(batch).logits, whole[batch.index], atol=2e-5, rtol=1e-4)


def test_predictions_are_padded_as_in_training_where_that_matters(make):
    """A file of shorter sequences gets the results that its samples have in the training data."""
    fusion = {"name": "crossmodal", "heads": 2, "layers": 1}
    recipe = make.tiny(model={"dim": 8, "encoders": WIDE, "fusion": fusion})
    stages = make.stages(recipe)
    network = stages.network(recipe.model, "student", stages.train).eval()
    short = torch.stack([x.lengths < x.longest for x in stages.train.features.values()]).all(dim=0)
    alone, _ = predict(network, stages.train.rows(short), None, [data.NO_DRAW], None)
    whole, _ = predict(network, stages.train, None, [data.NO_DRAW], None)
    assert 0 < len(alone) < len(whole)
    torch.testing.assert_close(alone, whole[short])


def test_a_bucket_changes_the_order_of_a_training_and_repeats(make):
    config = {"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]}
    series = [make.fitted(make.corrkd(data=config | {"bucket": n}))[1].series("loss/total") for n in (0, 2, 2)]
    assert series[1] == series[2] != series[0]


def test_what_fits_a_device_is_kept_there(monkeypatch):
    split, moved, cuda = of_lengths(2, 3), [], torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (48, 100))
    monkeypatch.setattr("mmsa_core.corpora.sequences.Sequences.to", lambda self, device: moved.append(device) or self)
    size = sum(x.bytes for x in split.features.values())
    assert size == 24  # bytes, of which two could be free
    assert batching.to_device(split, cuda).device == cuda
    assert not moved
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (96, 100))
    batching.to_device(split, cuda)
    assert moved == [cuda]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_make_the_same_batches(workers):
    split = of_lengths(*torch.randint(1, 9, (41,), generator=torch.Generator().manual_seed(0)).tolist())
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(1))
    plain, ahead = (list(batching.batches(split, None, 4, order, workers=n)) for n in (0, workers))
    for a, b in zip(plain, ahead, strict=True):
        assert torch.equal(a.index, b.index)
        assert torch.equal(a.features["x"], b.features["x"])
        assert torch.equal(a.observed["x"], b.observed["x"])


def test_workers_are_a_few_batches_ahead_and_no_more():
    asked = []
    source = batching.ahead(lambda rows: asked.append(rows) or rows, [torch.tensor([n]) for n in range(50)], workers=2)
    assert next(source).item() == 0
    assert len(asked) <= 5
    source.close()


def test_an_error_in_a_worker_is_an_error_of_the_training():
    def made(rows):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        next(batching.ahead(made, [torch.tensor([0])], workers=1))


def test_workers_change_nothing_in_a_training(make):
    found = [
        make.fitted(make.tiny(data={"name": "synthetic", "samples": [22, 9, 11], "workers": n}))[1] for n in (0, 2)
    ]
    assert found[0].series("loss/total") == found[1].series("loss/total")
