"""The bench runs end to end, its loops are the terms, and a training step never waits for the device."""

import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mmsa_corrkd", reason="needs the plugin mmsa-corrkd")
import torch
from mmsa_corrkd.cpd import CategoryPrototype
from mmsa_corrkd.rcd import ResponseConsistency
from mmsa_corrkd.scd import SampleContrastive
from torch.utils._python_dispatch import TorchDispatchMode

from mmsa_core import registry
from mmsa_core.components import Context
from mmsa_core.tasks import Bins
from mmsa_core.training.teacher import Average, Myself
from mmsa_core.types import Batch, Outputs

pytestmark = pytest.mark.needs("mmsa-corrkd")

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def bench():
    """The bench's modules, which import each other as siblings."""
    sys.path.insert(0, str(BENCH))
    try:
        import loops
        import parts

        yield SimpleNamespace(loops=loops, parts=parts)
    finally:
        sys.path.remove(str(BENCH))
        for name in ("loops", "parts"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def made(bench):
    return bench.parts.parts(bench.parts.QUICK)


@pytest.mark.slow
def test_quick_bench_end_to_end(quick_bench):
    found, printed = quick_bench("train.py")
    assert set(found) == {
        *("quick", "environment", "size", "seed", "full_run", "loops_equal", "cache", "loops", "inference"),
        *("peak_mebibytes", "targets"),
    }
    assert found["quick"] is True
    assert found["targets"] == []
    assert set(found["environment"]) == {"torch", "python", "machine", "threads", "cores", "load"}
    assert found["environment"]["threads"] == 1
    assert found["seed"] == 1111
    assert found["full_run"]["epochs"] == 1
    assert found["full_run"]["seconds"] >= found["full_run"]["teacher_seconds"] + found["full_run"]["student_seconds"]
    assert set(found["loops_equal"]) == {"scd", "cpd", "rcd"}
    for each in found["cache"].values():
        assert set(each) == {"cached", "uncached", "ratio", "ratio_by_round", "students_identical"}
        assert each["students_identical"] is True
        assert each["ratio"] == pytest.approx(each["cached"]["median"] / each["uncached"]["median"])
        assert each["cached"]["min"] <= each["cached"]["median"] <= each["cached"]["max"]
    for each in found["loops"].values():
        assert set(each) == {"vectorised", "loops_scd", "loops_cpd", "loops_rcd", "loops_all"}
        assert set(each["loops_all"]) == {"rate", "ratio", "ratio_by_round"}
    subsets = {"text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision"}
    assert {batch: set(each) for batch, each in found["inference"].items()} == {"1": subsets, "16": subsets}
    assert 0 < found["peak_mebibytes"]["full_run"] <= found["peak_mebibytes"]["bench"]
    assert "teacher cache" in printed
    assert "peak memory" in printed


@pytest.mark.parametrize(
    ("term", "config", "classes", "scores"),
    [
        (SampleContrastive, {}, 7, None),
        (SampleContrastive, {"distance": "euclidean", "reduction": "sum", "eta": 4.0}, 7, None),
        (SampleContrastive, {}, 7, [1.0, 2.0]),
        (CategoryPrototype, {}, 7, None),
        (CategoryPrototype, {"absent": "zero"}, 7, [1.0, 1.0, -3.0, 0.0]),
        (CategoryPrototype, {"absent": "skip"}, 7, [1.0, 1.0, -3.0, 0.0]),
        (CategoryPrototype, {}, 2, [0.0, 1.0, -1.0]),
        (ResponseConsistency, {}, 7, None),
        (ResponseConsistency, {"negatives": "next", "temperature": 2.0}, 7, None),
        (ResponseConsistency, {"negatives": "all", "target": 0.5, "nontarget": 2.0}, 7, None),
        (ResponseConsistency, {"nontarget": 0.0}, 2, [0.0, 1.0, -1.0, 2.0]),
        (ResponseConsistency, {}, 7, [1.0]),
    ],
)
def test_loops_equal_the_vectorised_terms(bench, term, config, classes, scores):
    torch.manual_seed(0)
    target = torch.linspace(-3, 3, 12) if scores is None else torch.tensor(scores)
    n, task = len(target), Bins(kind="bins", classes=classes)
    context = Context(channels={"text": 3}, lengths={"text": 4}, dim=5, task=task)
    rows = torch.arange(n)
    batch = Batch(features={}, observed={}, target=target, index=rows, key=rows)
    student, teacher = (Outputs({}, torch.randn(n, 15), torch.randn(n, task.width)) for _ in range(2))
    vectorised = term(term.Config(**config), context)
    looped = bench.loops.looped(vectorised, vectorised.Config(**config), context)
    assert type(looped).forward is not term.forward
    assert bench.loops.difference(vectorised, looped, student, teacher, batch) < 1e-12


READS = ["item", "tolist", "numpy", "cpu", "nonzero", "is_nonzero", "equal", "__bool__", "__float__", "__int__"]
READS += ["__index__", "__complex__", "__array__", "__iter__", "__contains__", "__repr__", "__format__"]
"""Python's ways to bring a tensor's values to the host, or to walk over its rows."""
SYNCS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim"}
"""Operators that wait for the device because their result, or its size, is needed on the host."""


class Operators(TorchDispatchMode):
    """Counts operators, those of the backward pass included, and refuses the ones that wait."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        masks = name.startswith("index") and len(args) > 1 and isinstance(args[1], list | tuple)
        if name in SYNCS or (masks and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])):
            raise AssertionError(f"{name} waits for the device")
        self.count[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def no_reads():
    """Inside, whatever brings a value to the host raises; gives the operators' counts."""

    def refuse(name):
        def read(*args, **kwargs):
            raise AssertionError(f"Tensor.{name} waits for the device")

        return read

    with pytest.MonkeyPatch.context() as patch, Operators() as operators:
        for name in READS:
            patch.setattr(torch.Tensor, name, refuse(name))
        yield operators.count


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: bool(x.any()),
        lambda x: float(x[0]),
        lambda x: max(x),
        lambda x: x[x > 0],
        lambda x: torch.nonzero(x),
        lambda x: f"{x.sum():.2f}",
        lambda x: torch.is_nonzero(x.sum()),
        lambda x: torch.equal(x, x),
        lambda x: list(x),
    ],
)
def test_the_guard_notices(read):
    with pytest.raises(AssertionError, match="waits"), no_reads():
        read(torch.ones(3))


def steps_without_reads(trainer, batches):
    """Operators of the second step; the first one is when optimisers make their state."""
    trainer.guard.every = 50  # as on CUDA
    trainer.step(batches[0], 1, 10)
    with no_reads() as count:
        trainer.step(batches[1], 1, 10)
    return count


def rows(made, size, n=2):
    from mmsa_core.corpora.batching import batches

    return list(batches(made.data.splits["train"], made.recipe.task, size))[:n]


@pytest.mark.parametrize("gradients_every", [0, 1])
@pytest.mark.parametrize("average", ["none", "ema"])
@pytest.mark.parametrize("teacher", ["cached", "uncached", "self", "average"])
def test_a_step_reads_nothing_back(made, teacher, average, gradients_every):
    train = made.recipe.train.model_copy(update={"schedule": "cosine", "average": average})
    varied = replace(made, recipe=made.recipe.model_copy(update={"train": train}))
    trainer = varied.trainer(8, cache=teacher == "cached")
    trainer.terms = replace(trainer.terms, gradients_every=gradients_every)
    if teacher in ("average", "self"):
        trainer.teacher = Average(trainer.network, 0.9) if teacher == "average" else Myself()
    steps_without_reads(trainer, rows(varied, 8))


@pytest.mark.parametrize(
    ("masker", "config"),
    [
        ("frame_dropout", {"rate": 0.5}),
        ("modality_dropout", {"rate": 0.5}),
        ("subset", {}),
        ("block", {"rate": [0.0, 1.0]}),
        ("pattern", {"keep": ["text"]}),
        ("corrkd.missing", {}),
    ],
)
def test_no_masker_reads_anything_back(made, masker, config):
    trainer = made.trainer(8)
    trainer.masker = registry.maskers.get(masker)(registry.maskers.config({"name": masker, **config}))
    steps_without_reads(trainer, rows(made, 8))


@pytest.mark.parametrize("distiller", ["kd", "dkd", "feature", "relational", "corrkd.scd", "corrkd.cpd", "corrkd.rcd"])
def test_no_distiller_reads_anything_back(made, distiller):
    config = registry.distillers.config({"name": distiller})
    trainer = replace(made, recipe=made.recipe.model_copy(update={"distillers": {"term": config}})).trainer(8)
    steps_without_reads(trainer, rows(made, 8))


@pytest.mark.parametrize("cache", [True, False])
def test_a_step_has_as_many_operators_for_any_batch_size(made, cache):
    counts = [steps_without_reads(made.trainer(size, cache), rows(made, size)) for size in (4, 16)]
    assert counts[0] == counts[1]


def test_the_count_notices_a_loop(made):
    counts = []
    for size in (2, 4):
        trainer = made.trainer(size, by_loops=("scd",))
        counts.append(steps_without_reads(trainer, rows(made, size)))
    assert counts[0]["linalg_vector_norm"] < counts[1]["linalg_vector_norm"]
