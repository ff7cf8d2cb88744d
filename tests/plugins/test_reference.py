"""`mmsa show`: what a page says of every component, and the recipe that it proposes."""

import pytest
import yaml

from mmsa_core import assemble, reference, registry
from mmsa_core.components import DistillerConfig
from mmsa_core.plugins import equations
from mmsa_core.recipes import recipe_file, snippets

BASE = {
    "name": "base",
    "data": {"name": "synthetic"},
    "task": {"kind": "bins", "classes": 7},
    "model": {"encoders": {"text": {"name": "pooled"}}, "fusion": {"name": "concat"}},
    "train": {"epochs": 1, "batch_size": 8},
}
EVERY = [(table, name) for table in registry.ALL for name in table]


def merged(snippet):
    """A whole recipe with the sections of a snippet in the place of its own."""
    model = BASE["model"] | snippet.get("model", {})
    return BASE | snippet | {"model": model}


@pytest.mark.parametrize(("table", "name"), EVERY, ids=[f"{table.kind}-{name}" for table, name in EVERY])
def test_the_snippet_of_every_component_is_a_recipe(table, name):
    text = reference.describe(name)
    snippet = snippets.snippet(table, name)
    assert "in a recipe:\n" + "\n".join(f"  {line}" for line in snippet.splitlines()) in text
    recipe = recipe_file.build(merged(yaml.safe_load(snippet)), (), "snippet")
    assemble.contracts(recipe)
    assert f"'name': '{name}'" in str(recipe.model_dump())
    assert "VALUE" not in snippet


@pytest.mark.parametrize("name", list(registry.distillers))
def test_every_distiller_has_an_equation(name):
    assert "math:" in reference.describe(name).partition("fields:")[0]


@pytest.mark.needs("mmsa-corrkd")
def test_equations_are_those_that_the_component_calls():
    rcd = dict(equations.of(registry.distillers.get("corrkd.rcd")))
    assert [called.partition("(")[0] for called in rcd] == ["split", "jensen_shannon", "ResponseConsistency.forward"]
    assert "split(logits, target)" in rcd
    inherited = [called for called, _ in equations.of(registry.encoders.get("corrkd.encoder"))]
    assert inherited == ["sinusoid(x)"]  # of core's Transformer, which it extends


TWO = '''
from mmsa_core.components import Distiller
def first(x):
    """.. math:: a"""
    return x
def inner(x):
    """.. math:: b"""
    return x
def second(x):
    """Without one."""
    return [inner(each) for each in x]
class First(Distiller):
    def forward(self, student, teacher, batch):
        return first(student.joint)
class Second(Distiller):
    def forward(self, student, teacher, batch):
        return second(student.joint)
'''


def test_of_two_components_in_a_module_each_has_its_own(site):
    (site.folder / "two_terms.py").write_text(TWO)
    site.packages.add("two_terms")
    site.declare("mmsa-two", {"mmsa.distillers": ["two.first = two_terms:First", "two.second = two_terms:Second"]})
    for name, has, lacks in (("two.first", "math:: a", "math:: b"), ("two.second", "math:: b", "math:: a")):
        page = reference.describe(name)
        assert has in page
        assert lacks not in page


@pytest.mark.needs("mmsa-dmd")
def test_contracts():
    graph = reference.describe("dmd.graph")
    assert "reads: Decoupled (present, private, " in graph
    assert "needs a teacher: no" in graph
    assert "of the teacher: predictions alone\n  class responses, which task regression has not" in reference.describe(
        "kd"
    )
    assert "gives: Decoupled (present, private" in reference.describe("dmd.decoupled")
    assert "features as they are; gives: Encoded" in reference.describe("bert")
    assert "changes: features and what is observed" in reference.describe("noise")


@pytest.mark.parametrize(
    ("own", "label"), [("own.keys", "term"), ("own.total", "term"), ("own.a-b", "term"), ("own.fine", "fine")]
)
def test_a_label_is_one_that_a_recipe_takes(monkeypatch, own, label):
    monkeypatch.setattr(registry.distillers, "_loaded", dict(registry.distillers._loaded))
    term = type("Term", (registry.distillers.base,), {"Config": DistillerConfig})
    registry.distillers.register(own, term)
    sections = snippets.sections(registry.distillers, own)
    assert sections["distillers"] == {label: {"name": own}}
    recipe_file.build(merged(sections), (), "snippet")
