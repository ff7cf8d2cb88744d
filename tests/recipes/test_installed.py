"""Recipes by name: what installed distributions bring, and what is said where a name means nothing, or two things."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.recipes import installed, recipe_file

ROOT = Path(__file__).parents[2]
COPIES = {
    "mmsa-core": ROOT / "mmsa_core" / "recipes" / "shipped",
    "mmsa-corrkd": ROOT / "plugins" / "mmsa-corrkd" / "mmsa_corrkd" / "recipes",
    "mmsa-dmd": ROOT / "plugins" / "mmsa-dmd" / "mmsa_dmd" / "recipes",
}
"""Where each distribution keeps the recipes that its wheel carries."""
SMALL = """\
# Two encoders of text. And more.
name: small
seeds: [1]
data: {name: synthetic, samples: [24, 12, 12]}
task: {kind: bins, classes: 7}
model:
  dim: 8
  encoders: {text: {name: pooled}, audio: {name: pooled}}
  fusion: {name: concat}
train: {epochs: 1, batch_size: 12}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install distributions that bring recipes, first on the import path; importing their packages fails."""

    def install(name="mmsa_third", recipes=(("small", SMALL),), target=None):
        folder = tmp_path / "site" / name
        info = folder / f"{name}-0.2.dist-info"
        info.mkdir(parents=True)
        (info / "entry_points.txt").write_text(f"[mmsa.recipes]\nits = {target or f'{name}.recipes'}\n")
        (folder / name / "recipes").mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('imported')")
        for recipe, text in recipes:
            (folder / name / "recipes" / f"{recipe}.yaml").write_text(text)
        monkeypatch.syspath_prepend(folder)
        registry.metadata.cache_clear()
        return folder / name / "recipes"

    yield install
    registry.metadata.cache_clear()


def copies():
    return {file.name: (owner, file) for owner, folder in COPIES.items() for file in folder.glob("*.yaml")}


def test_wheels_carry_the_recipes_of_the_folder_recipes():
    """Edit `recipes/`, then `make recipes`."""
    assert set(copies()) == {file.name for file in (ROOT / "recipes").glob("*.yaml")}, "a recipe is in no wheel"
    for name, (owner, copy) in copies().items():
        assert copy.read_bytes() == (ROOT / "recipes" / name).read_bytes(), f"{owner}: `make recipes` renews {copy}"


def test_a_recipe_is_in_the_wheel_whose_components_it_names():
    for name, (owner, file) in copies().items():
        text = re.sub("#.*", "", file.read_text(encoding="utf-8"))
        brought = {f"mmsa-{plugin}" for plugin in re.findall(r"name: (\w+)\.\w", text)}
        assert owner in brought or (owner == "mmsa-core" and not brought), f"{name} is in {owner}, but names {brought}"


def test_a_name_is_found_and_nothing_of_its_plugin_is_imported(site, mmsa):
    file = site() / "small.yaml"
    assert installed.located(Path("small")) == file
    assert recipe_file.load(Path("small"), ["train.epochs=3"]).train.epochs == 3
    listed = mmsa("recipe", "list").output
    assert "small  (mmsa-third 0.2)\n  Two encoders of text.\n" in listed
    assert "mult  (mmsa-core " in listed


def test_listing_recipes_imports_no_torch():
    code = "import sys; from mmsa_core.cli import main; main(['recipe', 'list'], standalone_mode=False)"
    code += "; assert not {'torch', 'numpy', 'mmsa_corrkd'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ | {"LANG": "C"})


def test_a_file_that_exists_wins(site, mmsa, tmp_path):
    site()
    mine = SMALL.replace("name: small", "name: mine")
    (tmp_path / "small").write_text(mine)
    assert recipe_file.load(Path("small")).name == "mine"
    assert installed.origin(Path("small")) == {"file": "small"}
    (tmp_path / "small").unlink()
    (tmp_path / "small").mkdir()  # a folder is no recipe
    assert recipe_file.load(Path("small")).name == "small"


@pytest.mark.parametrize("arguments", [["train"], ["check"], ["ablate", "--drop", "masker"], ["masks", "--out", "x"]])
def test_every_command_suggests_and_lists(site, mmsa, arguments):
    site()
    more = ["--protocol", "inter"] if arguments[0] == "masks" else []
    result = mmsa(*arguments, "smal", *more)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: no recipe 'smal': there is no such file, and none installed. Did you mean 'small'?")
    assert " Known: " in line
    assert " mult" in line


def test_a_path_that_leads_nowhere_names_the_installed_one(site, mmsa):
    site()
    result = mmsa("check", "recipes/small.yaml")
    assert result.exit_code == 2
    assert "recipes/small.yaml: No such file or directory; an installed recipe is named" in result.stderr
    assert result.stderr.endswith("ending: small\n")
    assert "installed" not in mmsa("check", "recipes/other.yaml").stderr


def test_a_name_that_two_bring_is_said_with_both(site, mmsa):
    one, other = site("mmsa_one"), site("mmsa_two")
    for line in (["check", "small"], ["recipe", "copy", "small"]):
        result = mmsa(*line)
        assert result.exit_code == 2
        assert f"mmsa-two 0.2 ({other / 'small.yaml'}) and mmsa-one 0.2 ({one / 'small.yaml'})" in result.stderr
    assert "small  (mmsa-two 0.2 and mmsa-one 0.2)" in mmsa("recipe", "list").output
    assert mmsa("check", one / "small.yaml").exit_code == 0


def test_what_was_written_for_another_core_is_said(site, mmsa):
    declared = next(site().parents[1].glob("*.dist-info")) / "entry_points.txt"
    declared.write_text(declared.read_text() + "[mmsa_api]\n2 = mmsa_core\n")
    registry.metadata.cache_clear()
    said = mmsa("check", "small").stderr
    assert "no recipe 'small'" in said
    assert "mmsa-third 0.2 brings recipes, and was written for core API 2, this core has API 1" in said


def test_a_blocked_distribution_brings_nothing(site, mmsa, monkeypatch):
    monkeypatch.setenv("MMSA_PLUGINS_BLOCK", "mmsa-third")
    site()
    assert "small  (" not in mmsa("recipe", "list").output


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere.recipes", "its recipes cannot be found in nowhere.recipes ({file}): there is no package nowhere"),
        ("mmsa_third.absent", "its recipes cannot be found in mmsa_third.absent ({file}): there is no folder"),
        ("json", "there is no recipe in json ({file})"),
    ],
)
def test_a_package_without_recipes_is_said_and_others_go_on(site, mmsa, target, said):
    info = site(target=target).parents[1] / "mmsa_third-0.2.dist-info" / "entry_points.txt"
    result = mmsa("recipe", "list")
    assert result.exit_code == 0
    assert f"warning: mmsa-third 0.2: {said.format(file=info)}" in result.stderr
    assert "mult  (" in result.stdout
    with pytest.raises(UserError, match=r"mmsa-third 0\.2: "):
        installed.find("small")


def test_a_copy_to_edit_is_written_once(site, mmsa, tmp_path):
    site()
    result = mmsa("recipe", "copy", "small")
    assert result.stdout == "written: small.yaml (recipe 'small' of mmsa-third 0.2)\ntrain: mmsa train small.yaml\n"
    assert (tmp_path / "small.yaml").read_text() == SMALL
    (tmp_path / "small.yaml").write_text("mine")
    again = mmsa("recipe", "copy", "small")
    assert again.exit_code == 2
    assert again.stderr == "error: small.yaml: exists, and nothing is overwritten; name a new file\n"
    assert (tmp_path / "small.yaml").read_text() == "mine"
    assert mmsa("recipe", "copy", "small", "other.yaml").exit_code == 0
    assert (tmp_path / "other.yaml").read_text() == SMALL
    assert mmsa("recipe", "copy", "small", "absent/other.yaml").exit_code == 2


def test_a_copy_into_no_folder_is_refused(site, mmsa, tmp_path):
    site()
    failed = mmsa("recipe", "copy", "small", tmp_path / "none" / "mine.yaml")
    assert failed.exit_code == 2
    assert "none/mine.yaml: cannot be written (No such file or directory); make its folder" in failed.stderr


def test_provenance_says_which_recipe(site, mmsa, tmp_path):
    file = site() / "small.yaml"
    for given, seeds, expected in (
        ("small", "1", {"name": "small", "distribution": "mmsa-third", "version": "0.2"}),
        ("small", "1,2", {"name": "small", "distribution": "mmsa-third", "version": "0.2"}),
        (file, "1,", {"file": str(file)}),
    ):
        out = tmp_path / f"out-{seeds}-{len(str(given))}"
        assert mmsa("train", given, "--seeds", seeds, "--jobs", "2", "--out", out).exit_code == 0
        for folder in out.glob("seed-*"):
            assert json.loads((folder / "provenance.json").read_text())["recipe"] == expected
