"""How components are found: entry points, lazy loading, and distributions that are broken."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mmsa_core import registry
from mmsa_core.cli import main
from mmsa_core.components import Masker
from mmsa_core.errors import UserError

CORRKD = pytest.mark.needs("mmsa-corrkd")
CORE = {
    "encoder": {"transformer", "recurrent", "pooled"},
    "fusion": {"concat", "gated", "tensor", "low_rank"},
    "distiller": {"kd", "dkd", "feature", "relational"},
    "masker": {"frame_dropout", "modality_dropout", "subset", "block", "pattern"},
    "dataset": {"synthetic", "mmsa-pickle", "mult-pickle"},
}
PLUGIN = {  # where they are installed
    "encoder": {"corrkd.encoder"},
    "distiller": {"corrkd.scd", "corrkd.cpd", "corrkd.rcd"},
    "masker": {"corrkd.missing"},
}


@pytest.fixture(autouse=True)
def fresh():
    """Metadata is read once per process; these tests change what there is to read."""
    registry.metadata.cache_clear()
    yield
    registry.metadata.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Make a distribution of `entry_points.txt` and modules, first on the import path."""
    made = set()

    def of(entry_points, name="mmsa_broken", version="0.3", **modules):
        folder = tmp_path / name
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        content = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
        (info / "entry_points.txt").write_bytes(content)
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source)
        made.update(modules)
        monkeypatch.syspath_prepend(folder)
        registry.metadata.cache_clear()
        return info

    yield of
    for module in made:
        sys.modules.pop(module, None)


def plugin(table):
    there = {owner.split(" ")[0] for name in registry.distillers for owner in registry.distillers.owners(name)}
    return PLUGIN.get(table.kind, set()) if "mmsa-corrkd" in there else set()


def everything_else_works():
    for table in registry.ALL:
        assert set(table) >= CORE[table.kind] | plugin(table)
    assert registry.encoders.get("pooled").__name__ == "PooledEncoder"


@pytest.mark.parametrize("table", registry.ALL, ids=lambda table: table.kind)
def test_entry_points_of_core_and_plugins(table):
    names = set(table)
    assert names >= CORE[table.kind] | plugin(table)
    assert not registry.metadata().problems
    for name in names:
        assert issubclass(table.get(name), table.base)
        (owner,) = table.owners(name)
        distribution, version = owner.split(" ")
        assert distribution == ("mmsa-core" if "." not in name else f"mmsa-{name.split('.')[0]}")
        assert version


def test_listing_reads_metadata_only():
    code = """
import sys
from click.testing import CliRunner
from mmsa_core.cli import main
result = CliRunner().invoke(main, ["list"])
assert result.exit_code == 0, result.output
assert "relational" in result.output
kinds = ("encoders", "fusions", "distillers", "maskers", "datasets")
loaded = [m for m in sys.modules if m.split(".")[0] in ("torch", "numpy", "mmsa_corrkd", "mmsa_dmd")]
loaded += [m for m in sys.modules if m.startswith(tuple(f"mmsa_core.{kind}" for kind in kinds))]
assert not loaded, loaded
"""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("table", "name", "meant"),
    [
        pytest.param(registry.distillers, "scdd", "corrkd.scd", marks=CORRKD),
        pytest.param(registry.distillers, "scd", "corrkd.scd", marks=CORRKD),
        pytest.param(registry.distillers, "corrkd.sdc", "corrkd.scd", marks=CORRKD),
        (registry.distillers, "relationl", "relational"),
        (registry.encoders, "recurent", "recurrent"),
        (registry.datasets, "mmsa_pickle", "mmsa-pickle"),
    ],
)
def test_an_unknown_name_suggests_and_lists(table, name, meant):
    with pytest.raises(UserError) as caught:
        table.get(name)
    message = str(caught.value)
    assert f"unknown {table.kind} '{name}'" in message
    assert f"'{meant}'" in message.split("Known:")[0]
    assert all(known in message.split("Known:")[1] for known in table)


def test_a_name_that_two_know_is_suggested_once():
    assert registry.suggestions("rcd", ["corrkd.rcd", "corrkd.rcd"]) == " Did you mean 'corrkd.rcd'?"
    assert registry.suggestions("corrkd.rdc", ["corrkd.rcd", "corrkd.rcd"]) == " Did you mean 'corrkd.rcd'?"


def test_a_name_like_no_other_gets_no_suggestion():
    with pytest.raises(UserError, match="unknown fusion 'zzzzzz'") as caught:
        registry.fusions.get("zzzzzz")
    assert "Did you mean" not in str(caught.value)


def test_a_clash_names_both_owners(install):
    install("[mmsa.fusions]\nconcat = other:Concat\n", name="mmsa_rival", version="2.1")
    with pytest.raises(UserError) as caught:
        registry.Registry("fusion").get("concat")
    message = str(caught.value)
    assert "mmsa-rival 2.1" in message
    assert "mmsa-core" in message
    assert "uninstall" in message
    everything_else_works()


@pytest.mark.parametrize(
    "text",
    [
        "[mmsa.encoders]\nnothing to see here\n",
        "[mmsa.encoders\nx = y:Z\n",
        "x = y:Z\n[mmsa.encoders]\n",
        b"[mmsa.encoders]\nx = y:\xff\n",
        "[mmsa.encoders]\nbroken.a = somewhere:A\nbroken.a = elsewhere:B\n",
        "[mmsa.encoders]\nbroken.a = somewhere:A\n[mmsa.encoders]\nbroken.b = elsewhere:B\n",
    ],
    ids=["no-key", "no-bracket", "no-section", "no-text", "repeated-key", "repeated-section"],
)
@pytest.mark.parametrize("name", ["mmsa_broken", "thirdparty"])
def test_a_malformed_file_is_reported_and_skipped(install, text, name):
    info = install(text, name=name)
    (problem,) = registry.metadata().problems
    assert f"{name.replace('_', '-')} 0.3" in problem
    assert str(info / "entry_points.txt") in problem
    assert "\n" not in problem
    everything_else_works()
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 0
    assert f"warning: {problem}" in result.stderr
    assert "warning" not in result.stdout


def test_a_group_that_does_not_exist_is_reported(install):
    install("[mmsa.distiller]\nx.term = x.term:Term\n")
    (problem,) = registry.metadata().problems
    assert problem.startswith("mmsa-broken 0.3: there is no group [mmsa.distiller]; there are mmsa.encoders, ")
    everything_else_works()


def test_a_stranger_without_our_groups_is_left_alone(install):
    install("[console_scripts\nx = y:Z\n", name="unrelated")
    assert not registry.metadata().problems
    everything_else_works()


@pytest.mark.parametrize("target", ["not a module!", "a:b:c", "", "a-b:C", "$HOME"])
def test_an_impossible_target_is_reported_and_the_rest_of_the_file_works(install, target):
    install(
        f"[mmsa.maskers]\nbroken.bad = {target}\nbroken.good = good_masker:Good\n",
        good_masker="from mmsa_core.components import Masker\n\n\nclass Good(Masker): ...\n",
    )
    (problem,) = registry.metadata().problems
    assert "mmsa-broken 0.3" in problem
    assert "broken.bad" in problem
    assert "is not module:Class" in problem
    table = registry.Registry("masker")
    assert "broken.bad" not in set(table)
    assert issubclass(table.get("broken.good"), Masker)
    everything_else_works()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('out of order')", "RuntimeError: out of order"),
        ("import surely_not_installed", "ModuleNotFoundError: No module named 'surely_not_installed'"),
        ("def (", "SyntaxError"),
        ("x = 1", "AttributeError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_target_that_does_not_import_is_reported_when_it_is_used(install, source, says):
    install("[mmsa.distillers]\nbroken.term = broken_term:Term\n", broken_term=source)
    assert not registry.metadata().problems  # nothing is imported before it is used
    table = registry.Registry("distiller")
    assert "broken.term" in set(table)
    with pytest.raises(UserError) as caught:
        table.get("broken.term")
    message = str(caught.value)
    assert "distiller 'broken.term' of mmsa-broken 0.3" in message
    assert "broken_term:Term" in message
    assert says in message
    everything_else_works()


def test_a_missing_module_is_reported(install):
    install("[mmsa.distillers]\nbroken.term = broken_absent.term:Term\n")
    with pytest.raises(UserError, match=r"mmsa-broken 0\.3 cannot be imported.*No module named 'broken_absent'"):
        registry.Registry("distiller").get("broken.term")


@pytest.mark.parametrize("source", ["class Term: ...", "Term = 3", "from mmsa_core.components import Masker as Term"])
def test_a_wrong_base_class_is_reported(install, source):
    install("[mmsa.distillers]\nbroken.term = broken_term:Term\n", broken_term=source)
    with pytest.raises(
        UserError, match=r"'broken\.term' of mmsa-broken 0\.3 \(.*entry_points\.txt\): .* does not extend Distiller"
    ):
        registry.Registry("distiller").get("broken.term")


def test_strict_makes_broken_plugins_an_error(install, monkeypatch):
    monkeypatch.setenv("MMSA_PLUGINS_STRICT", "1")
    install("[mmsa.maskers]\nbroken.bad = not a module!\n")
    with pytest.raises(UserError, match=r"MMSA_PLUGINS_STRICT=1.*mmsa-broken 0\.3.*broken\.bad"):
        registry.metadata()
    result = CliRunner().invoke(main, ["list"])
    assert result.exit_code == 2
    assert "mmsa-broken 0.3" in result.stderr


def test_a_blocked_distribution_is_not_read(install, monkeypatch):
    install("[mmsa.maskers]\nbroken.bad = not a module!\nbroken.good = a:B\n")
    monkeypatch.setenv("MMSA_PLUGINS_BLOCK", "MMSA.Broken, mmsa_corrkd")
    registry.metadata.cache_clear()
    assert not registry.metadata().problems
    names = {claim.name for claims in registry.metadata().claims.values() for claim in claims}
    assert "kd" in names
    assert not {name for name in names if name.startswith(("broken.", "corrkd."))}
    with pytest.raises(UserError, match=r"unknown distiller 'corrkd\.scd'"):
        registry.Registry("distiller").get("corrkd.scd")


def test_the_first_of_two_installations_counts(install):
    install("[mmsa.maskers]\nbroken.x = a:Old\n", name="mmsa_broken", version="1.0")
    install("[mmsa.maskers]\nbroken.x = a:New\n", name="mmsa.broken", version="2.0")
    (claim,) = (claim for claim in registry.metadata().claims["mmsa.maskers"] if claim.name == "broken.x")
    assert claim.owner == "mmsa-broken 2.0"


def test_a_distribution_without_a_version(tmp_path, monkeypatch):
    info = tmp_path / "mmsa_bare.egg-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[mmsa.maskers]\nbare.x = a:B\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.metadata.cache_clear()
    (claim,) = (claim for claim in registry.metadata().claims["mmsa.maskers"] if claim.name == "bare.x")
    assert claim.owner == "mmsa-bare (no version)"


def test_registering_by_hand():
    table = registry.Registry("masker")

    class Mine(Masker): ...

    assert table.register("mine", Mine) is Mine
    assert table.get("mine") is Mine
    assert "mine" in set(table)
    assert table.owners("mine") == ("registered in this process",)
    table.register("mine", Mine)
    with pytest.raises(UserError, match="already"):
        table.register("mine", type("Other", (Mine,), {}))
    with pytest.raises(UserError, match="does not extend Masker"):
        table.register("yours", dict)


def test_a_broken_plugin_in_a_recipe_and_in_the_schema(install, tmp_path, monkeypatch):
    install("[mmsa.maskers]\nbroken.mask = broken_mask:Mask\n", broken_mask="raise RuntimeError('out of order')")
    monkeypatch.setattr(registry.maskers, "_loaded", dict(registry.maskers._loaded))
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    assert "warning: left out: masker 'broken.mask' of mmsa-broken 0.3" in result.stderr
    assert "modality_dropout" in result.stdout
    assert "broken.mask" not in result.stdout
    result = CliRunner().invoke(main, ["show", "broken.mask"])
    assert result.exit_code == 2
    assert "out of order" in result.stderr
