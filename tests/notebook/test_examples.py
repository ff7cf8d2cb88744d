"""The example notebooks run as scripts, and are cells with prose."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_three():
    assert [path.stem for path in EXAMPLES] == ["own_data", "own_distiller", "train_and_compare"]


@pytest.mark.needs("mmsa-corrkd")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    command = [sys.executable, "-W", "error", path]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = re.split(r"^# %%", path.read_text(), flags=re.M)[1:]
    prose = [each for each in cells if each.startswith(" [markdown]")]
    assert len(prose) >= 3
    assert all(line.startswith("#") for each in prose for line in each.splitlines()[1:] if line)
