"""Classes that a notebook's cell defines and registers."""

import pytest

import mmsa_core
from mmsa_core import Distiller, registry

CELL = """
import mmsa_core
from mmsa_core import Distiller, registry

@registry.distillers.register("my.{name}")
class Mine(Distiller):
    def forward(self, student, teacher, batch):
        return (student.joint - teacher.joint).abs().mean()
"""
RECIPE = """{{
    "name": "tiny", "seeds": [1, 2],
    "data": {{"name": "synthetic", "samples": [22, 9, 11], "length": [3, 6]}},
    "task": {{"kind": "regression"}},
    "model": {{"dim": 4, "encoders": {{"text": {{"name": "pooled"}}, "audio": {{"name": "pooled"}}}},
              "fusion": {{"name": "concat"}}}},
    "teacher": {{"kind": "ema"}}, "distillers": {{"mine": {{"name": "my.{name}"}}}},
    "train": {{"epochs": 1, "batch_size": 8}},
}}"""


@pytest.fixture(autouse=True)
def forgotten():
    before = [(table, dict(table._loaded), dict(table.by_hand)) for table in registry.ALL]
    yield
    for table, loaded, by_hand in before:
        table._loaded, table.by_hand = loaded, by_hand


def cell(name="mine", place="__main__"):
    """Run the cell; as in a notebook, each time there is another class of the same name."""
    space = {"__name__": place}
    exec(CELL.format(name=name), space)
    return space["Mine"]


def test_a_cell_that_runs_again_replaces_its_class_and_no_other():
    first = cell()
    assert registry.distillers.get("my.mine") is first
    second = cell()
    assert registry.distillers.get("my.mine") is second is not first
    with pytest.raises(mmsa_core.UserError, match=r"distiller 'my\.mine' of this process is already <class"):
        cell(place="other")
    with pytest.raises(
        mmsa_core.UserError, match=r"distiller 'kd' is of mmsa-core .*choose another name, such as 'my\.kd'"
    ):
        registry.distillers.register("kd")(second)
    with pytest.raises(mmsa_core.UserError, match="does not extend Distiller"):
        registry.distillers.register("my.dict", dict)
    assert issubclass(second, Distiller)


def test_another_process_is_told_which_class_is_missing(tmp_path):
    cell()
    out = tmp_path / "run"
    run = mmsa_core.train(eval(RECIPE.format(name="mine")), out=out, quiet=True, jobs=None)  # auto: one process
    assert run.loaded[0].provenance["registered_by_hand"] == {"distiller": {"my.mine": "__main__:Mine"}}
    del registry.distillers._loaded["my.mine"], registry.distillers.by_hand["my.mine"]  # as in another process
    with pytest.raises(mmsa_core.UserError) as refused:
        mmsa_core.load_run(out)
    assert str(refused.value) == (
        f"{out / 'seed-1'}: its distiller 'my.mine' is the class __main__:Mine, which was registered by hand where the "
        "run was trained and is not known here. Define it, then: "
        "mmsa_core.registry.distillers.register('my.mine', Mine)"
    )
    cell()
    assert mmsa_core.load_run(out).seeds == (1, 2)


def test_processes_that_lack_the_class_are_refused(tmp_path):
    cell()
    with pytest.raises(
        mmsa_core.UserError, match=r"only this one has the class 'my\.mine' \(__main__:Mine\); train with jobs=1"
    ):
        mmsa_core.train(eval(RECIPE.format(name="mine")), out=tmp_path / "run", quiet=True, jobs=2)


def test_a_class_of_a_module_is_known_in_other_processes(tmp_path, monkeypatch):
    (tmp_path / "my_terms.py").write_text(CELL.format(name="module"))
    monkeypatch.syspath_prepend(tmp_path)
    __import__("my_terms")
    run = mmsa_core.train(eval(RECIPE.format(name="module")), out=tmp_path / "run", quiet=True, jobs=2)
    assert run.seeds == (1, 2)
