"""Data without a sample: said where there is nothing to predict, passed over where another split has some."""

from dataclasses import replace

import torch

from mmsa_core import writers
from mmsa_core.corpora import making
from mmsa_core.display import Display
from mmsa_core.training import experiment


def test_a_file_without_samples(make, tmp_path, mmsa):
    corpus = making.corpus("tiny", 0)
    none = {name: split.rows(torch.zeros(len(split), dtype=torch.bool)) for name, split in corpus.splits.items()}
    writers.write(replace(corpus, splits=none), "safetensors", tmp_path / "empty")
    writers.write(replace(corpus, splits=none | {"test": corpus.splits["test"]}), "safetensors", tmp_path / "partly")
    recipe = make.tiny(data={"name": "safetensors", "path": str(tmp_path / "whole")}, seeds=[1], masker=None)
    writers.write(corpus, "safetensors", tmp_path / "whole")
    run = experiment.train(recipe, tmp_path / "run", torch.device("cpu"), "mmsa train", Display())
    done = mmsa("predict", run, tmp_path / "empty")
    assert done.exit_code == 2
    assert "has no sample" in done.output
    done = mmsa("predict", run, tmp_path / "partly")
    assert done.exit_code == 0, done.output
    assert sum(",test," in line for line in done.output.splitlines()) == len(corpus.splits["test"])
