"""What the training of a seed takes: time and memory, over all of its parts where it was resumed."""

import sys
import time
from collections.abc import Mapping

import torch

Usage = dict[str, float]
"""`seconds`, `cpu_seconds`, `peak_mebibytes` of the process, and on CUDA `peak_device_mebibytes`."""


class Meter:
    """Counts from now on, and adds what parts `before` took: as of the state that is gone on from."""

    def __init__(self, device: torch.device, before: Mapping[str, float] | None = None) -> None:
        self._device, self._before = device, before or {}
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def __call__(self) -> Usage:
        sums = {"seconds": time.perf_counter() - self._wall, "cpu_seconds": time.process_time() - self._cpu}
        peaks = {"peak_mebibytes": peak_mebibytes()}
        if self._device.type == "cuda":
            peaks["peak_device_mebibytes"] = torch.cuda.max_memory_allocated(self._device) / 2**20
        found = {name: value + self._before.get(name, 0.0) for name, value in sums.items()}
        found |= {name: max(value, self._before.get(name, 0.0)) for name, value in peaks.items() if value}
        return {name: round(value, 1) for name, value in found.items()}


def peak_mebibytes() -> float:
    """The most memory that this process has held so far; 0 where that is not known."""
    if sys.platform == "win32":
        return 0.0
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
