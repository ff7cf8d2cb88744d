"""A sweep of four trials that train for some milliseconds."""

import importlib.util
from pathlib import Path

import pytest
import yaml

SPEC = importlib.util.spec_from_file_location("here", Path(__file__).with_name("here.py"))
HERE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HERE)

BASE = """\
name: tiny
data: {name: synthetic, samples: [22, 9, 11], length: [3, 6]}
task: {kind: bins, classes: 7}
model: {dim: 8, encoders: {text: {name: pooled}, audio: {name: pooled}}, fusion: {name: concat}}
masker: {name: modality_dropout, rate: 0.4}
train: {epochs: 2, batch_size: 8, lr: 1e-3}
"""
SWEEP = """\
name: search
recipe: base.yaml
space:
  train.lr: {kind: float, low: 1e-4, high: 1e-1, log: true}
  model.dim: {kind: int, low: 4, high: 12, step: 4}
  model.fusion: {kind: categorical, choices: [{name: concat}, {name: gated}]}
seeds: [1, 2]
trials: 4
sampler: {kind: tpe, startup: 2}
"""


@pytest.fixture
def write(tmp_path):
    """Write the base recipe and the sweep, some of its keys replaced; returns the sweep's file."""

    def written(**changes):
        (tmp_path / "base.yaml").write_text(BASE)
        text = yaml.safe_dump(yaml.safe_load(SWEEP) | changes, sort_keys=False) if changes else SWEEP
        (tmp_path / "sweep.yaml").write_text(text)
        return tmp_path / "sweep.yaml"

    return written


@pytest.fixture
def here():
    return HERE
