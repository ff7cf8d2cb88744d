"""What the checks compare, and what they say where it differs."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmsa_core.types import Encoded, Outputs


def require(condition: bool | Tensor, who: str, defect: str) -> None:
    if not condition:
        raise AssertionError(f"{who}: {defect}")


def finite(values: Sequence[Tensor | None]) -> bool:
    return all(bool(value.isfinite().all()) for value in values if value is not None)


def shapes(who: str, out: Encoded, samples: int, dim: int) -> None:
    steps = out.observed.shape[1]
    require(out.observed.dtype == torch.bool, who, "`observed` is not boolean")
    require(out.sequence.shape == (samples, steps, dim), who, f"`sequence` has shape {tuple(out.sequence.shape)}")
    require(out.pooled.shape == (samples, dim), who, f"`pooled` has shape {tuple(out.pooled.shape)}")
    require(finite([out.sequence, out.pooled]), who, "the result is not finite")


def same(who: str, defect: str, found: Float[Tensor, "*shape"], wanted: Float[Tensor, "*shape"]) -> None:
    if not torch.allclose(found, wanted, rtol=1e-4, atol=1e-5):
        raise AssertionError(f"{who}: {defect} (by up to {(found - wanted).abs().max().item():.3g})")


def same_encoded(who: str, defect: str, found: Encoded, wanted: Encoded) -> None:
    """Compare what stands for observed frames; the number of unobserved steps may differ."""
    counts = found.observed.sum(dim=1), wanted.observed.sum(dim=1)
    require(torch.equal(*counts), who, f"{defect} (the observed steps)")
    same(who, f"{defect} (`sequence`)", found.sequence[found.observed], wanted.sequence[wanted.observed])
    same(who, f"{defect} (`pooled`)", found.pooled, wanted.pooled)


def same_outputs(who: str, defect: str, found: Outputs, wanted: Outputs) -> None:
    same(who, f"{defect} (joint)", found.joint, wanted.joint)
    same(who, f"{defect} (logits)", found.logits, wanted.logits)


def unlike(found: Any, wanted: Any, *aside: str, name: str = "outputs") -> str | None:
    """Where two nested results differ in fields, keys, types or shapes; fields named `aside` are not looked at."""
    if isinstance(wanted, Tensor):
        same_kind = isinstance(found, Tensor) and found.dtype == wanted.dtype and found.shape == wanted.shape
        return None if same_kind else f"{name} is {_about(found)}, expected {_about(wanted)}"
    parts: dict[str, tuple[Any, Any]] = {}
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping) or set(found) != set(wanted):
            return f"{name} has not the keys {', '.join(wanted)}"
        parts = {f"{name}.{key}": (found[key], wanted[key]) for key in wanted}
    elif is_dataclass(wanted):
        names = [field.name for field in fields(wanted) if field.name not in aside]
        parts = {f"{name}.{key}": (getattr(found, key, None), getattr(wanted, key)) for key in names}
    odd = (unlike(a, b, *aside, name=key) for key, (a, b) in parts.items())
    return next((each for each in odd if each), None)


def _about(x: Any) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
