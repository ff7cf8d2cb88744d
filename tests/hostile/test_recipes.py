"""Recipes and protocols that somebody changed: what is valid trains, and anything else is one message with its key."""

import os
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file
from mmsa_core.testing import mutations

BENCH = Path(__file__).parents[2] / "bench"
EXAMPLES = int(os.environ.get("MMSA_HOSTILE", "40"))
"""More of them in a soak: MMSA_HOSTILE=1000."""
FEW = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
FUSIONS = ("concat", "gated", "tensor", "low_rank")
ENCODERS = ("pooled", "projection", "recurrent")


@pytest.fixture(scope="module")
def hostile():
    sys.path.insert(0, str(BENCH))
    import hostile

    yield hostile
    sys.path.remove(str(BENCH))


@FEW
@given(random=st.randoms(use_true_random=False))
def test_changed_recipes_are_trained_or_refused(hostile, tmp_path_factory, random):
    text = mutations.text(mutations.changed(hostile.RECIPE, random))
    _, wrong = hostile.recipe(text, tmp_path_factory.mktemp("recipe"))
    assert wrong is None, f"{wrong}\n{text}"


@pytest.mark.needs("mmsa-corrkd")
@settings(FEW, max_examples=max(6, EXAMPLES // 10))
@given(
    fusion=st.sampled_from(FUSIONS),
    encoders=st.lists(st.sampled_from(ENCODERS), min_size=1, max_size=3),
    dim=st.integers(1, 9),
    teacher=st.sampled_from([{"kind": "none"}, {"kind": "self"}, {"kind": "ema"}, {"kind": "trained"}]),
    task=st.sampled_from([{"kind": "bins", "classes": 2}, {"kind": "bins", "classes": 7}, {"kind": "regression"}]),
    size=st.integers(1, 9),
)
def test_valid_recipes_train(hostile, tmp_path_factory, fusion, encoders, dim, teacher, task, size):
    named = {m: {"name": name} for m, name in zip(("text", "audio", "vision"), encoders, strict=False)}
    changes = {
        "model": {"dim": dim, "encoders": named, "fusion": {"name": fusion}},
        "teacher": teacher,
        "task": task,
        "distillers": {},
        "train": {"epochs": 1, "batch_size": size, "lr": 0.001},
    }
    outcome, wrong = hostile.recipe(mutations.text({**hostile.RECIPE, **changes}), tmp_path_factory.mktemp("recipe"))
    assert (outcome, wrong) == ("trained", None)


@settings(FEW, max_examples=2 * EXAMPLES)
@given(random=st.randoms(use_true_random=False), name=st.sampled_from(sorted(protocol_file.shipped())))
def test_changed_protocols_are_read_or_refused(random, name):
    changed = mutations.changed(yaml.safe_load(protocol_file.shipped()[name]), random)
    refused = None
    try:
        found = protocol_file.parse(mutations.text(changed), "somebody's.yaml", Path())
        assert protocol_file.resolve(found, ("text", "audio", "vision")).conditions
    except UserError as error:
        refused = str(error)
    assert refused is None or refused.startswith(("somebody's.yaml", "protocol '", "masker '"))


def test_damaged_files_of_every_reader(hostile):
    tried = hostile.files(EXAMPLES)
    assert tried.count == EXAMPLES
    assert not tried.defects
    assert tried.outcomes["refused"]


def test_the_search_tells_a_defect(hostile):
    """What it is there to find: a traceback, silence, another exit code, and a control character."""
    from click.testing import CliRunner, Result

    def result(output, code, exception=None):
        raw = output.encode()
        return Result(CliRunner(), raw, b"", raw, None, code, exception)

    assert hostile.defect(result("error: x", 2)) is None
    assert hostile.defect(result("done", 0)) is None
    assert "KeyError" in hostile.defect(result("", 1, KeyError("x")))
    assert "exit code 3" in hostile.defect(result("error: x", 3))
    assert "no message" in hostile.defect(result("", 2))
    assert "control" in hostile.defect(result("error: \x1b[2J", 2))
