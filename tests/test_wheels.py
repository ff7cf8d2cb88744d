"""Wheels are independent: core alone, then plugins, then one of a third party, in an environment that has no checkout.

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
THIRD = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mmsa-third"
version = "2.5"
dependencies = ["mmsa-core>=0.1,<0.2"]
[project.entry-points."mmsa.distillers"]
"third.cosine" = "mmsa_third.cosine:Cosine"
[project.entry-points."mmsa.recipes"]
third = "mmsa_third.recipes"
[tool.hatch.build.targets.wheel]
packages = ["mmsa_third"]
""",
    "mmsa_third/__init__.py": "",
    "mmsa_third/cosine.py": """\
from torch.nn.functional import cosine_similarity

from mmsa_core.components import Distiller, DistillerConfig


class Cosine(Distiller):
    \"\"\"One minus the cosine of the two joint representations.\"\"\"

    class Config(DistillerConfig): ...

    def forward(self, student, teacher, batch):
        return (1 - cosine_similarity(student.joint, teacher.joint)).mean()
""",
    "mmsa_third/recipes/cosine.yaml": """\
# A student that turns the way of its teacher.
name: cosine
seeds: [1]
data: {name: synthetic, samples: [40, 20, 20]}
task: {kind: bins, classes: 7}
model:
  dim: 8
  encoders:
    text: {name: pooled}
    audio: {name: pooled}
    vision: {name: pooled}
  fusion: {name: concat}
teacher: {kind: trained}
masker: {name: modality_dropout, rate: 0.5}
distillers:
  cosine: {name: third.cosine, weight: 0.1}
train: {epochs: 1, batch_size: 20}
""",
}
pytestmark = [
    pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheels, is not installed"),
    pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links to the installed libraries can be made"),
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of each distribution, built from its source."""
    third, out = tmp_path_factory.mktemp("third"), tmp_path_factory.mktemp("wheels")
    for name, text in THIRD.items():
        (third / name).parent.mkdir(parents=True, exist_ok=True)
        (third / name).write_text(text)
    sources = {"mmsa-core": ROOT, **PLUGINS, "mmsa-third": third}
    run(sys.executable, "-m", "pip", "wheel", *QUIET, "--no-deps", "--no-build-isolation", "-w", out, *sources.values())
    return {name: next(out.glob(f"{name.replace('-', '_')}-*.whl")) for name in sources}


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


def run(*line, expected=0, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "MMSA", "PIP"))}
    line = [*map(str, line)]
    done = subprocess.run(line, env=clean | environment, capture_output=True, text=True, timeout=280, cwd="/")
    assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout if expected == 0 else done.stderr


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


def test_core_then_plugins_then_a_third_party(wheels, place, tmp_path):
    mmsa = place / "bin" / "mmsa"
    install(place, wheels["mmsa-core"])
    assert not re.findall("corrkd|dmd", run(mmsa, "list"))
    assert "no recipe 'corrkd'" in run(mmsa, "recipe", "copy", "corrkd", expected=2)
    assert "name: crossmodal" in run(mmsa, "check", "mult")
    install(place, wheels["mmsa-corrkd"], wheels["mmsa-dmd"])
    assert "name: corrkd.scd" in run(mmsa, "check", "dmd-corrkd")
    install(place, wheels["mmsa-third"])
    assert "cosine  (mmsa-third 2.5)\n  A student that turns" in run(mmsa, "recipe", "list")
    out = tmp_path / "out"
    run(mmsa, "train", "cosine", "--out", out, OMP_NUM_THREADS="1", WANDB_MODE="offline")
    about = json.loads((out / "seed-1" / "provenance.json").read_text())
    assert about["recipe"] == {"name": "cosine", "distribution": "mmsa-third", "version": "2.5"}
    assert about["versions"]["mmsa-third"] == "2.5"
    assert about["commit"] is None  # a wheel is of no commit
    rows = [json.loads(line) for line in (out / "seed-1" / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("loss/cosine", 0) > 0 for row in rows)
