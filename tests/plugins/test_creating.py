"""`mmsa plugin new`: what it writes trains, passes its own tests as it is, and overwrites nothing."""

import os
import subprocess
import sys
import tomllib

import pytest
import yaml

from mmsa_core import registry
from mmsa_core.plugins import creating
from mmsa_core.plugins.installed import API
from mmsa_core.plugins.naming import naming
from mmsa_core.recipes import recipe_file

KINDS = list(creating.TEMPLATES)


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_as_it_is(site, mmsa, tmp_path, monkeypatch, kind):
    name = f"Mmsa.New-{kind}"
    said = mmsa("plugin", "new", name, "--kind", kind)
    assert said.exit_code == 0, said.output
    package = tmp_path / name
    assert sorted(line for line in said.stdout.splitlines() if line.startswith(name)) == sorted(
        str(path.relative_to(tmp_path)) for path in package.rglob("*") if path.is_file()
    )
    site.editable(package)
    assert f"new_{kind}.{creating.TEMPLATES[kind].module}" in set(registry.Registry(kind))
    monkeypatch.chdir(package)
    trained = mmsa("train", f"new_{kind}", "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.output
    kept = yaml.safe_load((tmp_path / "run" / "seed-1111" / "recipe.yaml").read_text())
    assert f"'name': 'new_{kind}.{creating.TEMPLATES[kind].module}'" in str(kept)


def test_their_tests_pass_as_they_are(site, mmsa, tmp_path):
    for kind in KINDS:
        assert mmsa("plugin", "new", f"mmsa-own-{kind}", "--kind", kind).exit_code == 0
        site.editable(tmp_path / f"mmsa-own-{kind}")
    environment = os.environ | {"PYTHONPATH": str(site.folder), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-rA", "--no-header", tmp_path]
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for kind in KINDS:
        assert (
            f"PASSED mmsa-own-{kind}/tests/test_{creating.TEMPLATES[kind].module}.py::test_conforms[{kind}-own_{kind}."
            in done.stdout
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written(mmsa, tmp_path, kind):
    assert mmsa("plugin", "new", "mmsa-own", "--kind", kind, "--out", "there").exit_code == 0
    module, title = creating.TEMPLATES[kind].module, creating.TEMPLATES[kind].title
    settings = tomllib.loads((tmp_path / "there" / "pyproject.toml").read_text())
    assert settings["project"]["name"] == "mmsa-own"
    assert settings["project"]["entry-points"][f"mmsa.{kind}s"] == {f"own.{module}": f"mmsa_own.{module}:{title}"}
    assert settings["project"]["entry-points"]["mmsa.recipes"] == {"own": "mmsa_own.recipes"}
    assert settings["project"]["entry-points"]["mmsa_api"] == {API: "mmsa_core"}
    workflow = yaml.safe_load((tmp_path / "there" / ".github" / "workflows" / "tests.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["tests"]["steps"] if "run" in step]
    assert steps == ['pip install -e ".[test]"', "pytest", "mmsa train own"]
    readme = (tmp_path / "there" / "README.md").read_text()
    assert yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])
    text = "".join(path.read_text() for path in (tmp_path / "there").rglob("*") if path.is_file())
    assert "{{" not in text.replace("${{ matrix.python }}", "")
    assert "{%" not in text
    assert not text.count("\r")


@pytest.mark.parametrize("kind", KINDS)
def test_the_snippet_of_the_readme_is_a_recipe(site, mmsa, tmp_path, kind):
    mmsa("plugin", "new", "mmsa-own", "--kind", kind)
    site.editable(tmp_path / "mmsa-own")
    readme = (tmp_path / "mmsa-own" / "README.md").read_text()
    snippet = yaml.safe_load(readme.partition("```yaml\n")[2].partition("```")[0])
    whole = yaml.safe_load((tmp_path / "mmsa-own" / "mmsa_own" / "recipes" / "own.yaml").read_text())
    snippet["model"] = whole["model"] | snippet.get("model", {})
    assert f"'name': 'own.{creating.TEMPLATES[kind].module}'" in str(
        recipe_file.build(whole | snippet, (), "README").model_dump()
    )


BAD_NAMES = {
    "with space": "letters and digits, with . _ - between them (PEP 508)",
    "-own": "letters and digits, with . _ - between them (PEP 508)",
    "own-": "letters and digits, with . _ - between them (PEP 508)",
    "../own": "letters and digits, with . _ - between them (PEP 508)",
    "eigené": "letters and digits, with . _ - between them (PEP 508)",
    "": "letters and digits, with . _ - between them (PEP 508)",
    "3d-net": "'3d_net' would be a module or prefix, and is no identifier of Python",
    "mmsa-3d": "'3d' would be a module or prefix, and is no identifier of Python",
    "mmsa-": "letters and digits",
    "class": "'class' would be a module or prefix, and is a keyword of Python",
    "mmsa-lambda": "'lambda' would be a module or prefix, and is a keyword of Python",
    "mmsa-core": "the distribution mmsa-core",
    "scikit_learn": "the distribution scikit_learn",
    "json": "there is a module json already",
    "mmsa-kd": "its components would be called kd.NAME, and distiller 'kd' is of mmsa-core",
    "kd": "its components would be called kd.NAME, and distiller 'kd' is of mmsa-core",
    "corrkd": "its components would be called corrkd.NAME, and encoder 'corrkd.encoder' is of mmsa-corrkd",
    "mmsa-mult": "its recipe would be called mult, and mmsa-core",
}


@pytest.mark.parametrize(("name", "says"), BAD_NAMES.items(), ids=list(BAD_NAMES))
def test_bad_names(mmsa, tmp_path, name, says):
    answer = mmsa("plugin", "new", "--kind", "fusion", "--", name)
    assert answer.exit_code == 2
    assert says in answer.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_of_a_known_package_that_is_not_installed(monkeypatch):
    monkeypatch.setenv("MMSA_PLUGINS_BLOCK", "mmsa-corrkd")
    registry.metadata.cache_clear()
    try:
        with pytest.raises(Exception, match=r"encoder 'corrkd\.encoder' is of mmsa-corrkd"):
            naming("corrkd")
    finally:
        registry.metadata.cache_clear()


def test_what_exists_is_left_alone(mmsa, tmp_path):
    (tmp_path / "mmsa-own").mkdir()
    (tmp_path / "file").write_text("keep")
    (tmp_path / "link").symlink_to("nowhere")
    for out in ((), ("--out", "file"), ("--out", "link"), ("--out", "absent/below")):
        answer = mmsa("plugin", "new", "mmsa-own", "--kind", "masker", *out)
        assert answer.exit_code == 2
        assert (
            "exists, and nothing in it is overwritten" in answer.stderr or "there is no folder absent" in answer.stderr
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "mmsa-own"]
    assert not list((tmp_path / "mmsa-own").iterdir())


def test_a_package_is_written_whole_or_not_at_all(mmsa, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(creating.os, "rename", full)
    answer = mmsa("plugin", "new", "mmsa-own", "--kind", "encoder")
    assert answer.exit_code == 2
    assert "No space left" in answer.stderr
    assert not list(tmp_path.iterdir())


def test_the_versions_of_core_that_fit():
    assert creating.fitting("0.1.0") == ">=0.1,<0.2"
    assert creating.fitting("1.12.0rc1") == ">=1.12,<1.13"
