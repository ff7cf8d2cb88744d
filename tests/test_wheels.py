"""Wheels are independent: core alone, then plugins, then one of a third party, where there is no checkout.

The environment is a virtual one of its own. It sees the libraries that the tests run with, by links to each, and
neither the checkout nor what is installed of it; `pip` resolves what the wheels need against that, offline.
"""

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = {"mmsa-corrkd": ROOT / "plugins" / "mmsa-corrkd", "mmsa-dmd": ROOT / "plugins" / "mmsa-dmd"}
pytestmark = [
    pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheels, is not installed"),
    pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links to the installed libraries can be made"),
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of each distribution, built from its source."""
    folder = tmp_path_factory.mktemp("wheels")
    build(folder, ROOT, *PLUGINS.values())
    return {name: next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in ("mmsa-core", *PLUGINS)}


QUIET = ("--quiet", "--isolated", "--no-index", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A virtual environment with the libraries that are installed here, and nothing of mmsa."""
    folder, libraries = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("libraries")
    for each in distributions():
        if not (each.name or "mmsa").lower().startswith("mmsa"):
            link(each, libraries)
    venv.create(folder, symlinks=os.name != "nt")
    site = run(folder / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "libraries.pth").write_text(f"{libraries}\n")
    return folder


def link(distribution: Distribution, libraries):
    """Link what a distribution installed, by its topmost folders and files."""
    for name in {Path(file).parts[0] for file in distribution.files or ()}:
        target = Path(distribution.locate_file(name))
        if name not in ("..", "__pycache__") and target.exists() and not (libraries / name).is_symlink():
            (libraries / name).symlink_to(target)


def run(*line, expected=0, cwd="/", **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MMSA", "PIP"))}
    line = [*map(str, line)]
    done = subprocess.run(line, env=clean | environment, capture_output=True, text=True, timeout=280, cwd=cwd)
    assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout if expected == 0 else done.stderr


def build(folder, *sources):
    """A wheel of each source, by the build tool that is installed here."""
    run(sys.executable, "-m", "pip", "wheel", *QUIET, "--no-deps", "--no-build-isolation", "-w", folder, *sources)


def install(place, *wheels):
    """Without an index: whatever a wheel needs must be there, in the version that it needs."""
    run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", *QUIET, *wheels)


def test_a_wheel_contains_itself_alone(wheels):
    for name, wheel in wheels.items():
        package = name.replace("-", "_")
        names = zipfile.ZipFile(wheel).namelist()
        tops = {Path(each).parts[0] for each in names}
        (info,) = tops - {package}
        assert re.fullmatch(rf"{package}-[\d.]+\.dist-info", info)
        assert not [each for each in names if "/tests/" in each or each.endswith((".pyc", ".orig"))]
        metadata = zipfile.ZipFile(wheel).read(f"{info}/METADATA").decode()
        needed = re.findall(r"^Requires-Dist: (mmsa[\w-]*)(.*)$", metadata, re.M)
        if name != "mmsa-core":
            assert ("mmsa-core", "<0.2,>=0.1") in needed
        assert {each for each, rest in needed if "extra" not in rest} == ({"mmsa-core"} - {name})


@pytest.mark.timeout(900)  # of many processes, each of which imports torch anew
def test_core_then_plugins_then_a_third_party(wheels, place, tmp_path):
    mmsa = place / "bin" / "mmsa"
    install(place, wheels["mmsa-core"])
    assert not re.findall("corrkd|dmd", run(mmsa, "list"))
    assert "no recipe 'corrkd'" in run(mmsa, "recipe", "copy", "corrkd", expected=2)
    assert "name: crossmodal" in run(mmsa, "check", "mult")
    install(place, wheels["mmsa-corrkd"], wheels["mmsa-dmd"])
    assert "name: corrkd.scd" in run(mmsa, "check", "dmd-corrkd")
    run(mmsa, "plugin", "new", "mmsa-third", "--kind", "distiller", cwd=tmp_path)
    build(tmp_path, tmp_path / "mmsa-third")
    install(place, *tmp_path.glob("mmsa_third-*.whl"))
    assert "third  (mmsa-third 0.1.0)\n  The smallest experiment" in run(mmsa, "recipe", "list")
    out = tmp_path / "out"
    small = ["--set", "train.epochs=1", "--set", "data.samples=[40,20,20]"]
    run(mmsa, "train", "third", *small, "--out", out, OMP_NUM_THREADS="1", WANDB_MODE="offline")
    about = json.loads((out / "seed-1111" / "provenance.json").read_text())
    assert about["recipe"] == {"name": "third", "distribution": "mmsa-third", "version": "0.1.0"}
    assert about["versions"]["mmsa-third"] == "0.1.0"
    assert about["commit"] is None  # a wheel is of no commit
    rows = [json.loads(line) for line in (out / "seed-1111" / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("loss/similarity", 0) > 0 for row in rows)
