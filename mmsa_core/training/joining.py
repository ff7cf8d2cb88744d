"""Finding the other processes that a launcher started, with accelerate: the device of each, and how they talk."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from mmsa_core import launched
from mmsa_core.devices import pick
from mmsa_core.errors import Together, UserError
from mmsa_core.training.gathering import Lost
from mmsa_core.training.world import World

PATIENCE = timedelta(days=1)
"""How long a process waits for a word of the first one, which may evaluate or wait for a disk meanwhile."""


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The processes that were started together, on the kind of device that is asked for; one alone loads nothing.

    Raises:
        UserError: where accelerate or a device is missing.
    """
    if launched.size() == 1:
        yield World(device=pick(device))
        return
    if importlib.util.find_spec("accelerate") is None:
        raise Together(
            f"started as {launched.size()} processes (WORLD_SIZE), which need accelerate: "
            "pip install 'mmsa-core[distributed]', or start one"
        )
    on_cpu = device == "cpu" or (device == "auto" and os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true")
    try:
        kind = pick("cpu" if on_cpu else device).type
    except UserError as error:
        raise Together(str(error)) from error
    here, have = int(os.environ.get("LOCAL_WORLD_SIZE", launched.size())), torch.cuda.device_count()
    if kind == "cuda" and here > have:
        raise Together(
            f"{here} processes on this machine, but {have} CUDA devices, of which each process needs one; start "
            f"{have} processes (--nproc-per-node, --num_processes), or take --device cpu"
        )
    yield from _together(kind)


def _together(kind: str) -> Iterator[World]:
    from accelerate import PartialState

    state = PartialState(cpu=True, timeout=PATIENCE) if kind == "cpu" else PartialState()
    host = None if kind == "cpu" else dist.new_group(backend="gloo", timeout=PATIENCE)
    world = World(state.process_index, state.num_processes, state.device, host)
    try:
        yield world
    finally:
        if world.rank == 0 and not world.busy:
            with suppress(Lost):
                world.told(None)  # nothing is left to do
        state.destroy_process_group()  # also behind an error: gloo's threads may abort a process that ends without it
