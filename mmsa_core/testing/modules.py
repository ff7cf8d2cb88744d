"""What every component that is a module must hold: encoders, fusions and distillers alike."""

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from mmsa_core.run_folder import checkpoint
from mmsa_core.testing.compare import finite, require
from mmsa_core.testing.devices import META, on_meta
from mmsa_core.testing.kit import Table
from mmsa_core.testing.samples import flat
from mmsa_core.types import map_tensors


class ModuleCase(Protocol):
    """A component in one situation."""

    @property
    def who(self) -> str: ...
    @property
    def inputs(self) -> Any: ...
    def build(self, seed: int = 0) -> nn.Module:
        """A new module with weights drawn from torch's generator at `seed`."""

    def call(self, module: Any, inputs: Any) -> Any:
        """What it makes of inputs."""

    def cast(self, dtype: torch.dtype) -> Any:
        """Its inputs in another floating type."""


def seed(case: ModuleCase) -> None:
    """Built and run twice from one seed, in evaluation and in training, it gives the same bits."""
    for training in (False, True):
        results = []
        for _ in range(2):
            module = case.build(5).train(training)
            torch.manual_seed(6)
            results.append(flat(case.call(module, case.inputs)))
            require(torch.initial_seed() == 6, case.who, "it sets the seed of torch's generator")
        mode = "training" if training else "evaluation"
        require(all(map(torch.equal, *results)), case.who, f"the same seed gives another result in {mode}")


@torch.no_grad()
def dtypes(case: ModuleCase) -> str | None:
    """In float64 it gives the numbers of float32; what else the device supports gives finite numbers."""
    module = case.build()
    wanted = flat(case.call(module, case.inputs))  # gives lazy modules their weights, too
    unsupported = []
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        name = str(dtype).removeprefix("torch.")
        try:
            found = flat(case.call(deepcopy(module).to(dtype), case.cast(dtype)))
        except Exception as error:
            if "not implemented for" in str(error) and dtype != torch.float64:
                unsupported.append(name)
                continue
            raise AssertionError(f"{case.who}: fails in {name} with {type(error).__name__}: {error}") from error
        require(finite(found), case.who, f"the result is not finite in {name}")
        if dtype == torch.float64:
            near = all(torch.allclose(a.double(), b.double(), 1e-3, 1e-4) for a, b in zip(found, wanted, strict=True))
            require(near, case.who, "the result in float64 is another one than in float32")
    return f"torch has no {' and '.join(unsupported)} for it on this device" if unsupported else None


def device(case: ModuleCase) -> str | None:
    """Built and run on the `meta` device, all of it is there."""

    def built() -> nn.Module:
        with META:
            return case.build()

    module, unknown = on_meta(case.who, "it cannot be built", built)
    if module is not None:
        owned = [*module.named_parameters(), *module.named_buffers()]
        here = [name for name, x in owned if x.device != META]
        require(not here, case.who, f"built for another device than the CPU, {', '.join(here)} is on the CPU")
    moved = case.build()
    case.call(moved, case.inputs)  # gives lazy modules their sizes
    moved = moved.to(META)
    out, undecided = on_meta(
        case.who, "it fails", lambda: case.call(moved, map_tensors(lambda x: x.to(META), case.inputs))
    )
    if out is not None:
        require(all(x.device == META for x in flat(out)), case.who, "its result is on the CPU wherever its input is")
    return undecided or unknown


def weights(case: ModuleCase) -> None:
    """Saved as a run folder's safetensors and read into a module of another seed, it gives the same bits."""
    module, other = case.build(0), case.build(1)
    wanted = flat(case.call(module, case.inputs))
    case.call(other, case.inputs)  # gives lazy modules their sizes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        try:
            checkpoint.write_tensors(path, module.state_dict(), {})
            other.load_state_dict(checkpoint.read_tensors(path)[0])
        except Exception as error:
            raise AssertionError(
                f"{case.who}: its weights cannot be saved and read: {type(error).__name__}: {error}"
            ) from error
    found = flat(case.call(other, case.inputs))
    require(
        all(map(torch.equal, found, wanted)),
        case.who,
        "rebuilt from its saved weights it gives another result; a tensor that decides it must be parameter or buffer",
    )


CHECKS: Table = (("dtypes", dtypes), ("seed", seed), ("device", device), ("weights", weights))
