"""Core's components conform, and say themselves how they are tried; a plugin has such a test among its own."""

import pytest

from mmsa_core import testing
from mmsa_core.errors import UserError
from mmsa_core.testing import report


@pytest.mark.parametrize("component", testing.components("mmsa-core"), ids=str)
def test_it_conforms(component):
    component.check()


def test_a_distribution_has_its_own():
    names = {str(each) for each in testing.components("mmsa_Core")}
    assert {"encoder-pooled", "fusion-concat", "distiller-kd", "masker-block", "dataset-synthetic"} <= names
    assert not any("." in name for name in names)
    assert names <= {str(each) for each in testing.components()}


def test_nothing_is_skipped_but_arrays():
    pytest.importorskip("transformers")
    pytest.importorskip("h5py")
    tried = [report.found(each) for each in testing.components("mmsa-core") if each.table.kind == "dataset"]
    assert {each.component.name: each.untried for each in tried if each.untried} == {
        "arrays": "its arrays are in the memory of a program: there is nothing that could be read"
    }


def test_an_unknown_distribution_suggests():
    with pytest.raises(UserError, match=r"no installed distribution 'mmsa-corr'.*Did you mean .*'mmsa-core'"):
        testing.components("mmsa-corr")


@pytest.mark.parametrize("task", testing.TASKS, ids=lambda task: task.kind)
def test_built_batches_fit_their_task(task):
    full = testing.batch(3, task=task)
    context = testing.context(full, task)
    out = testing.outputs(full, context)
    assert task.objective(out.logits, full.target).isfinite()
    assert all(full.present(m)[0] for m in full.observed)
    assert any(not full.present(m).all() for m in full.observed)
