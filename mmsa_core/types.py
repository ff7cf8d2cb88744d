"""What flows through a model: a `Batch` goes in, `Outputs` come out.

Shape symbols: batch = samples, time = frames of one modality, channels = width of its features,
dim = width of a representation, width = width of the prediction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

if TYPE_CHECKING:
    from mmsa_core.components import Context

Modality = str
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples with one feature sequence per modality.

    `observed` is True where a frame is real and visible: padding and missing frames are both
    False, and a missing modality is a row that is False throughout. Features of unobserved frames
    carry no meaning (they may be anything, NaN included).
    `index` is the row of each sample in its split, `key` a 64-bit hash of its id: masks depend on
    the key alone, so they are the same whatever the order or size of the batches.
    """

    features: Mapping[Modality, Float[Tensor, "batch _time _channels"]]
    observed: Mapping[Modality, Bool[Tensor, "batch _time"]]
    target: Float[Tensor, " batch"] | Int64[Tensor, " batch"] | Int64[Tensor, "batch _labels"]
    index: Int64[Tensor, " batch"]
    key: Int64[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return shapes(self)

    def present(self, modality: Modality) -> Bool[Tensor, " batch"]:
        """Samples of which at least one frame of `modality` is visible."""
        return self.observed[modality].any(dim=1)

    def hide(self, hidden: Mapping[Modality, Bool[Tensor, "batch _time"]]) -> "Batch":
        """The batch with more frames hidden; features are shared, not copied."""
        seen = {m: o & ~hidden[m] if m in hidden else o for m, o in self.observed.items()}
        return replace(self, observed=seen)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One modality after its encoder.

    `observed` tells which steps of `sequence` stand for visible frames (an encoder may shorten the
    sequence); `pooled` is zero for a sample of which no frame is visible.
    """

    sequence: Float[Tensor, "batch time dim"]
    observed: Bool[Tensor, "batch time"]
    pooled: Float[Tensor, "batch dim"]

    def __repr__(self) -> str:
        return shapes(self)

    @property
    def present(self) -> Bool[Tensor, " batch"]:
        """Samples of which at least one step is visible."""
        return self.observed.any(dim=1)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What every model returns and every distiller may read.

    A fusion that exposes more returns a subclass with more fields, which has an `example` of its own.
    """

    encoded: Mapping[Modality, Encoded]
    joint: Float[Tensor, "batch joint"]
    logits: Float[Tensor, "batch width"]

    def __repr__(self) -> str:
        return shapes(self)

    @classmethod
    def example(cls, batch: Batch, context: "Context", seed: int) -> "Outputs":
        """Outputs that fit a batch, for the conformance kit; another seed gives other numbers.

        A subclass takes these, `Outputs.example(batch, context, seed)`, and adds its fields, made of them: what
        a sample gets depends on that sample's observed frames alone, and where nothing is observed stands zero.
        """
        from mmsa_core.testing.samples import outputs

        return outputs(batch, context, seed)


def shapes(found: object) -> str:
    """What a person wants to see of tensors: kinds and shapes, by name; no numbers."""
    if isinstance(found, Tensor):
        return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
    if isinstance(found, Mapping):
        return f"{{{', '.join(f'{name}: {shapes(each)}' for name, each in found.items())}}}"
    if is_dataclass(found):
        parts = (f"{field.name}={shapes(getattr(found, field.name))}" for field in fields(found))
        return f"{type(found).__name__}({', '.join(parts)})"
    return repr(found)


def map_tensors(function: Callable[..., Tensor], first: T, *others: T) -> T:
    """Apply `function` to the tensors of equally built dataclasses, mappings and tuples, keeping their shape."""
    if isinstance(first, Tensor):
        return function(first, *others)  # type: ignore[return-value]
    if is_dataclass(first):
        names = [field.name for field in fields(first)]
        parts: dict[str, Any] = {
            n: map_tensors(function, getattr(first, n), *(getattr(o, n) for o in others)) for n in names
        }
        return replace(first, **parts)  # type: ignore[type-var]
    if isinstance(first, Mapping):
        return {k: map_tensors(function, v, *(o[k] for o in others)) for k, v in first.items()}  # type: ignore[return-value,index]
    if isinstance(first, tuple):
        return tuple(map_tensors(function, *each) for each in zip(first, *others, strict=True))  # type: ignore[return-value]
    return first


def widened(x: Tensor) -> Tensor:
    """Numbers of 16 bits in single precision; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def narrow(outputs: Outputs, kind: type[Outputs]) -> Outputs:
    """The fields of `kind` alone; outputs of another class stay as they are."""
    if not isinstance(outputs, kind):
        return outputs
    return kind(**{field.name: getattr(outputs, field.name) for field in fields(kind)})


def lengthened(batch: Batch, lengths: Mapping[Modality, int]) -> Batch:
    """The batch with padding behind the modalities that are shorter than `lengths` says."""
    more = {m: max(0, lengths.get(m, 0) - o.shape[1]) for m, o in batch.observed.items()}
    if not any(more.values()):
        return batch
    features = {m: F.pad(x, (0, 0, 0, more[m])) for m, x in batch.features.items()}
    return replace(batch, features=features, observed={m: F.pad(o, (0, more[m])) for m, o in batch.observed.items()})


def filled(batch: Batch, size: int) -> Batch:
    """The batch with its first sample repeated until there are `size`.

    The shape of a matrix product decides how it is summed; rows of products of one shape do not
    depend on each other or on their place. So a sample's outputs are the same to the last bit in
    every batch of one size.
    """

    def repeat(x: Tensor) -> Tensor:
        return torch.cat([x, x[:1].expand(size - len(x), *x.shape[1:])]) if len(x) < size else x

    return map_tensors(repeat, batch)
