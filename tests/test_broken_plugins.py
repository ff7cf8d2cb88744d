"""One broken plugin, installed for real, breaks neither core nor other plugins, and the report says whose it is."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mmsa_core import registry
from mmsa_core.cli import main
from mmsa_core.recipes import recipe_file

MASKER = "from mmsa_core.components import ComponentConfig, Masker\n"
BROKEN = {  # entry points, the module, what is said of it
    "import error": ("broken.x = broken_module:X", "import surely_not_installed", "No module named"),
    "syntax error": ("broken.x = broken_module:X", "def (", "SyntaxError"),
    "exit": ("broken.x = broken_module:X", "raise SystemExit(3)", "SystemExit: 3"),
    "no target": ("broken.x = broken_module:X", "", "AttributeError"),
    "no module": ("broken.x = broken_absent:X", "", "No module named 'broken_absent'"),
    "wrong base": ("broken.x = broken_module:X", "class X: ...", "does not extend Masker"),
    "no config": (
        "broken.x = broken_module:X",
        MASKER + "class X(Masker):\n    class Config:\n        rate = 0.5",
        "has a Config that does not extend ComponentConfig",
    ),
    "config of pydantic alone": (
        "broken.x = broken_module:X",
        MASKER + "from pydantic import BaseModel\nclass X(Masker):\n    class Config(BaseModel): ...",
        "has a Config that does not extend ComponentConfig",
    ),
    "config is None": (
        "broken.x = broken_module:X",
        MASKER + "class X(Masker):\n    Config = None",
        "has a Config that does not extend ComponentConfig",
    ),
    "config without schema": (
        "broken.x = broken_module:X",
        MASKER
        + "class Odd: ...\nclass X(Masker):\n    class Config(ComponentConfig, arbitrary_types_allowed=True):\n"
        + "        odd: Odd | None = None",
        "has no JSON schema",
    ),
    "claimed twice": ("block = broken_module:X", "", "is claimed by"),
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, first on the import path."""

    def install(lines, module="", name="mmsa_broken"):
        info = tmp_path / f"{name}-0.3.dist-info"  # without METADATA
        info.mkdir()
        text = lines if isinstance(lines, bytes) else f"[mmsa.maskers]\n{lines}\n".encode()
        (info / "entry_points.txt").write_bytes(text)
        (tmp_path / "broken_module.py").write_text(module)
        return info / "entry_points.txt"

    monkeypatch.syspath_prepend(tmp_path)
    for table in (*registry.ALL, registry.importers):
        monkeypatch.setattr(table, "_loaded", {})
    registry.metadata.cache_clear()
    yield install
    registry.metadata.cache_clear()
    sys.modules.pop("broken_module", None)


@pytest.mark.parametrize("kind", BROKEN)
def test_core_and_others_go_on(make, site, tmp_path, kind):
    lines, module, says = BROKEN[kind]
    file = site(lines, module)
    masker = None if kind == "claimed twice" else {"name": "subset"}
    (tmp_path / "recipe.yaml").write_text(recipe_file.dump(make.tiny(masker=None)))
    runner, changed = CliRunner(), str(tmp_path / "recipe.yaml")
    assert runner.invoke(main, ["list"]).exit_code == 0
    other = f"masker={{name: {masker['name']}}}" if masker else "masker=null"
    assert runner.invoke(main, ["check", changed, "--set", other]).exit_code == 0
    schema = runner.invoke(main, ["schema"])
    assert schema.exit_code == 0, schema.output
    name = lines.split(" ")[0]
    (warning,) = [line for line in schema.stderr.splitlines() if f"'{name}'" in line]
    assert says in warning
    assert "mmsa-broken 0.3" in warning
    assert str(file) in warning
    if kind != "config without schema":  # it trains all the same
        used = runner.invoke(main, ["check", changed, "--set", f"masker={{name: {name}}}"])
        assert used.exit_code == 2
        assert says in used.stderr
        assert str(file) in used.stderr


def test_what_a_module_prints_is_no_result(site, tmp_path):
    site("broken.x = broken_module:X", "print('hello')\n" + MASKER + "class X(Masker): ...")
    found = CliRunner().invoke(main, ["schema"])
    assert found.exit_code == 0
    assert "hello" not in found.stdout
    assert "hello" in found.stderr
    assert "broken.x" in found.stdout


def test_who_is_slow(site, monkeypatch):
    file = site("broken.x = broken_module:X", MASKER + "class X(Masker): ...")
    now = iter([0.0, 2.5])
    monkeypatch.setattr(registry.time, "monotonic", lambda: next(now))
    result = CliRunner().invoke(main, ["show", "broken.x"])
    assert f"note: masker 'broken.x' of mmsa-broken 0.3 took 2.5 s to import (broken_module:X, {file})" in result.stderr


MALFORMED = {"no text": b"[mmsa.maskers]\nx = y:\xff\n", "no key": b"[mmsa.maskers]\nnothing to see\n"}
MALFORMED["no section"] = b"x = y:Z\n[mmsa.maskers]\n"


@pytest.mark.parametrize("kind", MALFORMED)
def test_libraries_that_read_all_entry_points_do_not_fail(make, site, tmp_path, kind):
    """Pydantic, torch and scikit-learn read them in processes that start anew, those of the seeds too."""
    file = site(MALFORMED[kind])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_file.dump(make.tiny(seeds=[1, 2], train={"epochs": 1, "batch_size": 22})))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "mmsa_core", "train", str(recipe), "--out", str(tmp_path / "out"), "--jobs", "2"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"warning: mmsa-broken 0.3: its entry points cannot be read ({file})" in done.stderr
