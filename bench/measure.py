"""Timing of alternatives side by side, so that what else the machine does hits all of them alike."""

import os
import platform
import resource
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Found = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A measured quantity: the median of `n` measurements, and how far they spread."""

    median: float
    min: float
    max: float
    n: int
    unit: str

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> "Figure":
        return cls(median(values), min(values), max(values), len(values), unit)

    def __str__(self) -> str:
        return f"{self.median:9.3f} ({self.min:.3f} .. {self.max:.3f}, n = {self.n}) {self.unit}"


def alternate(variants: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every variant in every round; each is called once before, and every second round runs backwards."""
    for variant in variants.values():
        variant()
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in list(variants)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            variants[name]()
            found[name].append(time.perf_counter() - began)
    return found


def peak_mebibytes() -> float:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that torch dispatches: also views, and those of the backward pass and of optimisers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(call: Callable[[], None]) -> int:
    """How many operations a call dispatches."""
    found = Operations()
    with found:
        call()
    return found.count


def arguments(description: str) -> ArgumentParser:
    """The options that every bench has."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that everything runs; figures mean nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch; by default its own choice")
    return parser


def environment() -> Found:
    """What absolute times depend on."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
