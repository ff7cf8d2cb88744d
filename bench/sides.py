"""The two ways from a file to batches that `bench/data.py` measures, each in a process of its own."""

import os
import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpora import Made
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mmsa_core.components import DatasetConfig
from mmsa_core.corpora import data
from mmsa_core.corpora.batching import batches, shuffled
from mmsa_core.datasets.stored import StoredCorpus
from mmsa_core.tasks import Regression

CHECKED = 3
"""Batches whose content is compared."""


def ours(folder: Path, size: Made) -> dict[str, Any]:
    """Our format, memory-mapped: opened and checked as before a training."""
    imports, task, names = held(), Regression(), tuple(size.channels)
    began = time.perf_counter()
    corpus = StoredCorpus(StoredCorpus.Config(path=folder / "ours")).load()
    train = data.prepare(corpus, DatasetConfig(name="ours"), names, task).splits["train"]
    opened = time.perf_counter() - began
    full, order = dict.fromkeys(names, size.frames), order_of(size)

    def made(rows: Tensor = order, lengths: Mapping[str, int] | None = full) -> Iterable[Any]:
        return batches(train, task, size.batch, rows, lengths)

    found = timed(made) | {"open_s": opened, "imports_mebibytes": imports}
    bucket = shuffled(train, size.batch, 50, torch.Generator().manual_seed(0))
    found["longest_of_batch_epoch_s"] = seconds(lambda: made(lengths=None))
    found["bucket_epoch_s"] = seconds(lambda: made(bucket, None))
    return found | {"checksums": checksums((batch.features, batch.target) for batch in made())}


class Views(Dataset[dict[str, Any]]):
    """One sample at a time, as views of the arrays: the least that such a Dataset can do."""

    def __init__(self, split: Mapping[str, Any], names: Iterable[str]) -> None:
        self.features = {m: split[m] for m in names}
        self.labels, self.split = split["regression_labels"], split

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = {m: torch.from_numpy(x[index]) for m, x in self.features.items()}
        return found | {"label": torch.tensor(self.labels[index]), "index": index}


class Samples(Views):
    """One sample at a time as MMSA gives it: float32 copies of the split's arrays, of which each sample is a copy."""

    def __init__(self, split: Mapping[str, Any], names: Iterable[str]) -> None:
        super().__init__({key: x.astype(np.float32) if key in names else x for key, x in split.items()}, names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = {m: torch.Tensor(x[index]) for m, x in self.features.items()}
        found |= {f"{m}_lengths": self.split[f"{m}_lengths"][index] for m in self.features}
        return found | {"label": torch.tensor(self.labels[index]), "index": index, "id": self.split["id"][index]}


def peer(folder: Path, size: Made, kind: type[Views] = Samples) -> dict[str, Any]:
    """`pickle.load`, and a DataLoader over single samples."""
    imports = held()
    began = time.perf_counter()
    with (folder / "corpus.pkl").open("rb") as file:
        content = pickle.load(file)
    samples = {name: kind(split, size.channels) for name, split in content.items()}["train"]
    del content
    opened = time.perf_counter() - began
    order = order_of(size).tolist()

    def made() -> Iterable[dict[str, Any]]:
        return DataLoader(samples, batch_size=size.batch, sampler=order)

    found = timed(made) | {"open_s": opened, "imports_mebibytes": imports}
    given = (({m: batch[m] for m in size.channels}, batch["label"]) for batch in made())
    return found | {"checksums": checksums(given)}


def views(folder: Path, size: Made) -> dict[str, Any]:
    """The same without any copy that can be left out."""
    return peer(folder, size, Views)


SIDES: dict[str, Callable[[Path, Made], dict[str, Any]]] = {"ours": ours, "peer": peer, "views": views}


def order_of(size: Made) -> Tensor:
    """The order of an epoch, the same for both."""
    return torch.randperm(size.samples[0], generator=torch.Generator().manual_seed(0))


def timed(made: Callable[[], Iterable[Any]]) -> dict[str, float]:
    """Seconds of two epochs: the first one touches every page for the first time."""
    return {"first_epoch_s": seconds(made), "second_epoch_s": seconds(made)}


def seconds(made: Callable[[], Iterable[Any]]) -> float:
    """How long all batches take."""
    began = time.perf_counter()
    for _ in made():
        pass
    return time.perf_counter() - began


def checksums(given: Iterable[tuple[Mapping[str, Tensor], Tensor]]) -> list[list[float]]:
    """Sums of the first batches, which differ where the batches do."""
    found = []
    for (features, target), _ in zip(given, range(CHECKED), strict=False):
        weighted = [(x.double() * torch.arange(x.shape[2])).sum().item() for x in features.values()]
        found.append([*weighted, target.double().sum().item()])
    return found


def held() -> float:
    """Mebibytes of anonymous memory after the imports; 0 where that cannot be known."""
    status = Path(f"/proc/{os.getpid()}/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)
