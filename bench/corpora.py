"""A made corpus on disk in both forms: one pickle in MMSA's schema, and what `mmsa data convert` makes of it."""

import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmsa_core.corpora import conversion


@dataclass(frozen=True)
class Made:
    """Sizes of a corpus, and of batches."""

    samples: tuple[int, int, int]
    """Rows of train, valid and test."""
    frames: int = 50
    channels: dict[str, int] = field(default_factory=lambda: {"text": 768, "audio": 74, "vision": 35})
    batch: int = 64


FULL = Made(samples=(16326, 1871, 4659))
QUICK = Made(samples=(70, 12, 12), channels={"text": 16, "audio": 5, "vision": 3})


def make(folder: Path, size: Made) -> dict[str, Any]:
    """Write `corpus.pkl` and the folder `ours`; sizes in gigabytes, and how long the conversion took."""
    file, lengths = folder / "corpus.pkl", []
    content = {}
    for seed, (name, rows) in enumerate(zip(("train", "valid", "test"), size.samples, strict=True)):
        content[name], frames = split(np.random.default_rng(seed), name, rows, size)
        lengths.append(frames)
    with file.open("wb") as written:
        pickle.dump(content, written, protocol=4)
    del content
    began = time.perf_counter()
    conversion.convert(file, folder / "ours", "mmsa-pickle", ())
    seconds = time.perf_counter() - began
    ours = sum(path.stat().st_size for path in (folder / "ours").iterdir())
    return {
        "mean_length": float(np.concatenate(lengths).mean()),
        "pickle_gigabytes": file.stat().st_size / 1e9,
        "ours_gigabytes": ours / 1e9,
        "conversion_s": seconds,
    }


def split(rng: np.random.Generator, name: str, rows: int, size: Made) -> tuple[dict[str, Any], Any]:
    """One split, padded with zeros; all modalities of a sample have the same length."""
    lengths = np.clip(np.exp(rng.normal(np.log(20), 0.6, size=rows)).round(), 3, size.frames).astype(np.int64)
    there = np.arange(size.frames) < lengths[:, None]
    found: dict[str, Any] = {"id": [f"{name}{row // 10}$_${row % 10}" for row in range(rows)]}
    for modality, width in size.channels.items():
        x = np.zeros((rows, size.frames, width), dtype=np.float32)
        x[there] = rng.standard_normal((int(lengths.sum()), width), dtype=np.float32)
        found[modality] = x
        found[f"{modality}_lengths"] = lengths.tolist()
    found["regression_labels"] = rng.uniform(-3, 3, size=rows).astype(np.float32)
    return found, lengths
