"""Torch's deterministic algorithms, for as long as a training lasts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
"""Read by cuBLAS when it is first used."""


@contextmanager
def algorithms(wanted: bool) -> Iterator[None]:
    """Where they are `wanted`, take deterministic algorithms while the block runs; what was set before is set again.

    Torch raises an error for an operation that has none. On CUDA cuBLAS must not have been used in this process before.
    """
    if not wanted:
        yield
        return
    before, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark, workspace = torch.backends.cudnn.benchmark, os.environ.get(CUBLAS)
    os.environ.setdefault(CUBLAS, ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            del os.environ[CUBLAS]
