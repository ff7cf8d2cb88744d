"""Which distributions are loaded: the API that they were written for, and what is said of the others."""

import json

import pytest

from mmsa_core import registry
from mmsa_core.doctor import plugins as doctor_plugins
from mmsa_core.errors import UserError
from mmsa_core.plugins import installed, known
from mmsa_core.plugins.installed import API
from mmsa_core.recipes import installed as recipes

NEXT = str(int(API) + 1)
TERM = {"mmsa.distillers": ["future.term = future_term:Term"]}


def api(*versions):
    return {"mmsa_api": [f"{version} = mmsa_core" for version in versions]}


def test_core_states_its_api_as_a_plugin_does():
    for found in registry.metadata().distributions.values():  # core and its own plugins
        assert found.api == (API,), found.owner
        assert found.incompatible is None
    text = (registry.metadata().claims["mmsa.encoders"][0].file).read_text()
    assert "[mmsa_api]" in text


@pytest.mark.parametrize(
    ("stated", "loaded"), [((), API == "1"), ((API,), True), ((NEXT,), False), ((API, NEXT), True)]
)
def test_who_is_loaded(site, stated, loaded):
    site.declare("mmsa-future", (api(*stated) if stated else {}) | TERM)
    assert ("future.term" in set(registry.distillers)) is loaded
    assert not registry.metadata().problems


def test_a_plugin_of_another_api_is_listed_and_not_loaded(site, mmsa):
    site.declare("mmsa-future", api(NEXT) | TERM, "3.0", "From the future.")
    (site.folder / "future_term.py").write_text("raise SystemExit('imported')")
    says = f"written for core API {NEXT}, this core has API {API}"
    (line,) = [line for line in mmsa("list").stdout.splitlines() if "future.term" in line]
    assert line.split() == ["distiller", "future.term", "mmsa-future", "3.0", "!", *says.split()]
    (row,) = [row for row in json.loads(mmsa("list", "--json").stdout) if row["name"] == "future.term"]
    assert row["problem"] == says
    with pytest.raises(
        UserError, match=rf"distiller 'future\.term' of mmsa-future 3\.0 is not loaded: {says}\. Install"
    ):
        registry.distillers.get("future.term")
    shown = mmsa("show", "future.term")
    assert shown.exit_code == 2
    assert says in shown.stderr
    assert mmsa("schema").exit_code == 0
    checked = mmsa("plugin", "check", "mmsa-future")
    assert checked.exit_code == 2
    assert f"mmsa-future 3.0 is not loaded: {says}" in checked.stderr
    (state,) = [each for each in doctor_plugins.states([]) if each["name"] == "mmsa-future"]
    assert (state["state"], state["problems"]) == ("incompatible", [says])


def test_a_name_of_an_incompatible_plugin_is_free(site):
    site.declare("mmsa-future", api(NEXT) | {"mmsa.distillers": ["kd = future_term:Term"]})
    assert registry.Registry("distiller").get("kd").__name__ == "LogitDistillation"


@pytest.mark.needs("mmsa-corrkd", "mmsa-dmd")
def test_known_packages_are_what_the_plugins_declare():
    brought = [each for claims in recipes.survey().recipes.values() for each in claims]
    for package, kinds in known.packages().items():
        owned = {
            table.kind: {
                claim.name for claim in registry.metadata().claims[table.group] if claim.owner.startswith(f"{package} ")
            }
            for table in (*registry.ALL, registry.importers)
        }
        owned["recipe"] = {each.name for each in brought if each.owner.startswith(f"{package} ")}
        assert {kind: set(names) for kind, names in kinds.items()} == {
            kind: names for kind, names in owned.items() if names
        }


RECIPE = """\
name: tiny
data: {name: synthetic}
task: {kind: regression}
model: {encoders: {text: {name: pooled}}, fusion: {name: concat}}
distillers: {scd: {name: corrkd.scd}}
teacher: {kind: trained}
train: {epochs: 1, batch_size: 2}
"""


@pytest.fixture
def without(monkeypatch):
    """Core alone: the files of all other distributions are out of sight."""

    def hide(wanted):
        files = [path for path in installed.entry_point_files() if wanted(path)]
        monkeypatch.setattr(installed, "entry_point_files", lambda: iter(files))
        for table in (*registry.ALL, registry.importers):
            monkeypatch.setattr(table, "_loaded", {})
        registry.metadata.cache_clear()

    yield hide
    monkeypatch.undo()
    registry.metadata.cache_clear()


@pytest.mark.needs("mmsa-corrkd")
def test_what_is_not_installed_names_its_package(without, mmsa, tmp_path):
    without(lambda path: "corrkd" not in path.parent.name)
    says = "unknown distiller 'corrkd.scd': the package mmsa-corrkd provides it, and is not installed"
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for command in (("check", "recipe.yaml"), ("show", "corrkd.scd")):
        answer = mmsa(*command)
        assert answer.exit_code == 2
        assert says in answer.stderr
    assert "Did you mean 'corrkd.scd' or 'corrkd.rcd'?" in mmsa("show", "corrkd.sdc").stderr
    assert "recipe.yaml:5: distillers.scd.name: unknown" in mmsa("check", "recipe.yaml").stderr


@pytest.mark.needs("mmsa-corrkd")
def test_what_is_switched_off_is_said_to_be(monkeypatch, mmsa):
    monkeypatch.setenv("MMSA_PLUGINS_BLOCK", "mmsa_corrkd")
    monkeypatch.setattr(registry.maskers, "_loaded", {})
    registry.metadata.cache_clear()
    try:
        says = "the package mmsa-corrkd provides it, and MMSA_PLUGINS_BLOCK switches that off"
        assert says in mmsa("show", "corrkd.missing").stderr
    finally:
        registry.metadata.cache_clear()


@pytest.mark.needs("mmsa-corrkd")
def test_an_installed_version_that_lacks_it(site, without):
    info = site.declare("mmsa-corrkd", {"mmsa.distillers": ["corrkd.scd = a:B"]}, "0.0.1")
    without(lambda path: "corrkd" not in path.parent.name or path.parent == info)
    with pytest.raises(
        UserError, match=r"'corrkd\.cpd': the package mmsa-corrkd provides it, but the installed mmsa-corrkd 0\.0\.1"
    ):
        registry.Registry("distiller").get("corrkd.cpd")
