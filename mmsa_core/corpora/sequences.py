"""The frames of one modality of all samples: without padding, and rows are picked without a copy."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

CHUNK = 2**18
"""Numbers that a pass over all frames looks at in one piece: in float64 they still fit a core's cache."""


@dataclass(frozen=True)
class Statistics:
    """Number, mean and standard deviation (of the population) of the frames that are seen, column by column."""

    count: int
    mean: Float64[Tensor, " channels"]
    deviation: Float64[Tensor, " channels"]


@dataclass(frozen=True)
class Sequences:
    """Sample i has the frames `values[starts[i] : starts[i] + lengths[i]]`; the last of them is a frame that is seen.

    A sample without any frame has length 0. `values` may be a view of a file, of any floating type, and may hold
    frames that belong to no sample. `starts` and `lengths` stay on the host, where batches are planned.
    """

    values: Float[Tensor, "frames channels"]
    starts: Int64[Tensor, " samples"]
    lengths: Int64[Tensor, " samples"]
    seen: Bool[Tensor, " frames"] | None = None
    """False where a frame between two others, or before them, is missing; None where none is."""
    finite: bool = False
    """Whether all of `values` is known to be finite; if not, a batch has zero where a value is not."""
    zero: int | None = None
    """Where in `values` is a frame of zeros, if that is known: what is not observed is then read from there."""

    @classmethod
    def of(cls, x: Float[Tensor, "samples time channels"], observed: Bool[Tensor, "samples time"]) -> "Sequences":
        """Those of a padded tensor, which is shared: each goes to its last observed frame."""
        samples, time, channels = x.shape
        lengths = (
            torch.where(observed, torch.arange(1, time + 1), 0).amax(dim=1) if time else torch.zeros(samples).long()
        )
        whole = torch.equal(observed.sum(dim=1), lengths)
        short = int(lengths.argmin()) if samples else 0
        padding = samples and int(lengths[short]) < time and not x[short, -1].any()
        return cls(
            values=x.reshape(samples * time, channels),
            starts=torch.arange(samples) * time,
            lengths=lengths,
            seen=None if whole else observed.reshape(samples * time),
            zero=(short + 1) * time - 1 if padding else None,
        )

    @classmethod
    def none(cls, samples: int, channels: int) -> "Sequences":
        """A modality that is missing in all samples."""
        nothing = torch.zeros(samples, dtype=torch.int64)
        return cls(torch.zeros(0, channels), nothing, nothing, finite=True)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def channels(self) -> int:
        """Width of a frame."""
        return self.values.shape[1]

    @property
    def longest(self) -> int:
        """Frames of the longest sequence, at least one: what all of them are padded to at most."""
        return int(self.lengths.max().clamp(min=1)) if len(self) else 1

    @property
    def bytes(self) -> int:
        """Memory of the frames."""
        return self.values.nbytes + (0 if self.seen is None else self.seen.nbytes)

    def present(self) -> Bool[Tensor, " samples"]:
        """Samples that have a frame."""
        return self.lengths > 0

    def rows(self, keep: Bool[Tensor, " samples"]) -> "Sequences":
        """The samples where `keep` is True; their frames are shared."""
        return replace(self, starts=self.starts[keep], lengths=self.lengths[keep])

    def missing(self) -> "Sequences":
        """The same samples without any frame."""
        return replace(self, lengths=torch.zeros_like(self.lengths))

    def to(self, device: torch.device) -> "Sequences":
        """With the frames on a device."""
        seen = None if self.seen is None else self.seen.to(device)
        return replace(self, values=self.values.to(device), seen=seen)

    def padded(self, length: int = 1) -> tuple[Float[Tensor, "samples time channels"], Bool[Tensor, "samples time"]]:
        """All samples as one padded tensor in float32, as they are, and which frames of it are observed."""
        time = max(length, self.longest)
        observed = torch.arange(time) < self.lengths.unsqueeze(1)
        if self.seen is not None:
            observed = observed.masked_scatter(observed, self.seen.cpu()[self.frames()])
        x = torch.zeros(len(self), time, self.channels)
        x[observed] = self.values.cpu()[self.places()].float()
        return x, observed

    def batch(
        self, rows: Int64[Tensor, " batch"], length: int = 1, device: torch.device | None = None
    ) -> tuple[Float[Tensor, "batch time channels"], Bool[Tensor, "batch time"]]:
        """Some samples in float32, zero where nothing is observed, padded to the longest of them, and to `length`.

        On its way from the host to a CUDA device the copy waits for nothing.
        """
        device = device or self.values.device
        starts, lengths = self.starts[rows].unsqueeze(1), self.lengths[rows].unsqueeze(1)
        time = max(length, int(lengths.max()))
        step = torch.arange(time)
        there = step < lengths
        if not len(self.values):
            return torch.zeros(len(rows), time, self.channels, device=device), sent(there, device)
        at, observed = (sent(x, self.values.device) for x in (torch.where(there, starts + step, self.zero or 0), there))
        if self.seen is not None:
            observed = observed & self.seen[at]
            at = at if self.zero is None else torch.where(observed, at, self.zero)
        x = sent(picked(self.values, at.flatten(), device), device).float().view(len(rows), time, self.channels)
        observed = sent(observed, device)
        if not self.finite:
            x.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        if self.zero is None:
            x.mul_(observed.to(x.dtype).unsqueeze(2))  # many times as fast as masked_fill_, and no value is NaN here
        return x, observed

    def pieces(self) -> Iterator[slice]:
        """The samples in slices of whole samples, of about `CHUNK` numbers each."""
        limit, ends, first = max(1, CHUNK // self.channels), self.lengths.cumsum(0), 0
        while first < len(self):
            done = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(torch.searchsorted(ends, done + limit, right=True)))
            yield slice(first, last)
            first = last

    def chunks(self) -> Iterator[tuple[Int64[Tensor, " frames"], Float[Tensor, "frames channels"]]]:
        """The frames that are seen and their places in `values`, in pieces of about `CHUNK` numbers."""
        for samples in self.pieces():
            at = self.places(samples)
            if len(at):
                yield at, self.values[at.to(self.values.device)]

    def places(self, samples: slice = slice(None)) -> Int64[Tensor, " frames"]:
        """Where in `values` the seen frames of some samples are."""
        at = self.frames(samples)
        return at if self.seen is None else at[self.seen[at.to(self.seen.device)].cpu()]

    def frames(self, samples: slice = slice(None)) -> Int64[Tensor, " frames"]:
        """Where in `values` their frames are, those that are missing between others included."""
        lengths = self.lengths[samples]
        shift = self.starts[samples] - (lengths.cumsum(0) - lengths)
        return torch.arange(int(lengths.sum())) + shift.repeat_interleave(lengths)

    @cached_property
    def statistics(self) -> Statistics:
        """Of the frames that are seen; chunk after chunk (Chan et al., 1979), so that no copy of them is made."""
        count = 0
        mean = torch.zeros(self.channels, dtype=torch.float64, device=self.values.device)
        squares = torch.zeros_like(mean)
        for _, values in self.chunks():
            x = values.double()
            x = x if self.finite else x.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
            own = x.mean(dim=0)
            difference, total = own - mean, count + len(x)
            squares += x.sub_(own).square_().sum(dim=0) + difference.square() * (count * len(x) / total)
            mean += difference * (len(x) / total)
            count = total
        return Statistics(count, mean, (squares / max(1, count)).sqrt())


def picked(
    values: Float[Tensor, "frames channels"], at: Int64[Tensor, " picked"], device: torch.device
) -> Float[Tensor, "picked channels"]:
    """The frames at some places, in memory that is quick to fill, or from which a CUDA device copies on its own."""
    shape = len(at), values.shape[1]
    if values.device.type != "cpu":
        return values.index_select(0, at)
    if device.type == "cuda":
        pinned = torch.empty(shape, dtype=values.dtype, pin_memory=True)
        return torch.index_select(values, 0, at, out=pinned)
    found = torch.from_numpy(np.empty(shape, dtype=np.float32))  # numpy asks for huge pages, torch does not
    if values.dtype == found.dtype:
        return torch.index_select(values, 0, at, out=found)
    return found.copy_(values.index_select(0, at))


def sent(x: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; a copy to CUDA is not waited for."""
    if x.device == device:
        return x
    if device.type == "cuda" and x.device.type == "cpu" and not x.is_pinned():
        x = x.pin_memory()
    return x.to(device, non_blocking=True)
