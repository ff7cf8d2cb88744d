"""Files with bytes changed, cut out or copied: a read of well-formed samples or a `UserError`, and nothing else."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from mmsa_core import registry, writers
from mmsa_core.corpora import making
from mmsa_core.errors import UserError
from mmsa_core.testing.splits import padded

CASES = {
    "mmsa-pickle": ["."],
    "mult-pickle": ["."],
    "mmsa-fet": ["."],
    "folder": ["samples.csv", "text/train-00000.npy", "audio/test-00001.npy"],
    "folder, packed": ["text.npz", "audio.safetensors", "samples.parquet"],
    "cmu-sdk": ["text.csd", "audio.csd", "labels.csd", "folds.json"],
    "safetensors": ["train.safetensors", "test.safetensors"],
}
OPTIONS = {
    "mmsa-fet": {"classes": ["negative", "neutral", "positive"]},
    "folder, packed": {
        "table": "samples.parquet",
        "modalities": {"text": "text", "audio": "audio.safetensors"},
        "absent": "missing",
    },
    "cmu-sdk": {"pivot": "text"},
    "safetensors": {"verify": True},
}


def packed(root):
    """A folder with a Parquet table, a .npz and a .safetensors."""
    root.mkdir()
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez_compressed(root / "text.npz", text=x)
    save_file({"a": x, "b": x[:1]}, root / "audio.safetensors")
    table = {"id": ["a", "b"], "split": ["train", "test"], "score": [1.0, -1.0], "text": ["text.npz", None]}
    pq.write_table(pa.table(table), root / "samples.parquet")


@pytest.fixture(scope="module", params=list(CASES))
def case(request, tmp_path_factory):
    """The name of a case, what it reads, and each file's content."""
    root = tmp_path_factory.mktemp("case") / "made"
    corpus = making.corpus("tiny", 0, ["0.2"])
    few = {name: split.rows(torch.arange(len(split)) < 3) for name, split in corpus.splits.items()}
    if request.param == "folder, packed":
        packed(root)
    else:
        writers.write(replace(corpus, splits=few), request.param, root)
    paths = [root if name == "." else root / name for name in CASES[request.param]]
    return request.param, root, {path: path.read_bytes() for path in paths if path.exists()}


def mutated(draw, content):
    """Bytes changed, a stretch copied over another, or the end cut off."""
    found = bytearray(content)
    kind = draw(st.sampled_from(["change", "change", "splice", "cut"]))
    at = draw(st.integers(0, len(found) - 1))
    if kind == "cut":
        return bytes(found[:at])
    if kind == "splice":
        source, length = draw(st.integers(0, len(found) - 1)), draw(st.integers(1, 64))
        found[at : at + length] = content[source : source + length]
        return bytes(found)
    for _ in range(draw(st.integers(1, 4))):
        found[draw(st.integers(0, len(found) - 1))] = draw(st.integers(0, 255))
    return bytes(found)


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_files_are_read_or_refused(case, data):
    name, root, contents = case
    path = data.draw(st.sampled_from(list(contents)))
    kind = registry.datasets.get(name.split(",")[0])
    path.write_bytes(mutated(data.draw, contents[path]))
    try:
        corpus = kind(kind.Config(name="x", path=root, **OPTIONS.get(name, {}))).load()
    except UserError:
        return
    finally:
        path.write_bytes(contents[path])
    for split in corpus.splits.values():
        assert all(x.values.dtype == torch.float32 for x in split.features.values())
        found = padded(split)
        for modality, x in found.features.items():
            assert x.shape == (*found.observed[modality].shape, split.features[modality].channels)
            assert len(x) == len(split)
        assert all(len(values) == len(split) for values in split.targets.values())
