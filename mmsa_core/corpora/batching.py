"""Batches of a split: which samples, in which order, padded to what length, on which device."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from mmsa_core.corpora.corpus import Split
from mmsa_core.model import Model
from mmsa_core.tasks import TaskBase
from mmsa_core.types import Batch, Modality

SHARE = 4
"""A split whose features take at most a 1/SHARE of a device's free memory is kept there whole."""


def batches(
    split: Split,
    task: TaskBase | None,
    size: int,
    order: Int64[Tensor, " rows"] | None = None,
    lengths: Mapping[Modality, int] | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """The split in batches of `size` rows (the last may be smaller), in the given or the stored order.

    Each is padded to the longest sequence in it, and to `lengths` where these are given. With workers, so many
    threads make batches ahead of their use; the batches and their order are the same.
    """
    order = torch.arange(len(split)) if order is None else order
    key, device, least = split.key, split.device, lengths or {}
    target = task.target(split) if task is not None else torch.zeros(len(split), device=device)

    def made(rows: Int64[Tensor, " batch"]) -> Batch:
        at = rows.to(device, non_blocking=True)
        sequences = {m: x.batch(rows, least.get(m, 1), device) for m, x in split.features.items()}
        return Batch(
            features={m: x for m, (x, _) in sequences.items()},
            observed={m: observed for m, (_, observed) in sequences.items()},
            target=target[at],
            index=at,
            key=key[rows].to(device, non_blocking=True),
        )

    chosen = torch.split(order, size) if len(order) else ()  # torch splits nothing into one empty part
    yield from ahead(made, chosen, workers) if workers else map(made, chosen)


def ahead(made: Callable[[Tensor], Batch], chosen: Sequence[Tensor], workers: int) -> Iterator[Batch]:
    """What is made of each, in its order, by threads that are at most twice their number ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Batch]] = deque()
        for rows in chosen:
            waiting.append(pool.submit(made, rows))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def shuffled(split: Split, size: int, bucket: int, source: torch.Generator) -> Int64[Tensor, " rows"]:
    """Every sample once, in an order that `source` decides.

    With a bucket, that many batches at a time are dealt anew: their samples by length, then the batches at random.
    The last samples, which fill no batch, stay where they are.
    """
    order = torch.randperm(len(split), generator=source)
    whole = len(order) // size * size
    if not bucket or not whole:
        return order
    length = torch.stack([x.lengths / x.longest for x in split.features.values()]).sum(dim=0)
    dealt = []
    for window in torch.split(order[:whole], bucket * size):
        rows = window[length[window].argsort(stable=True)].view(-1, size)
        dealt.append(rows[torch.randperm(len(rows), generator=source)].flatten())
    return torch.cat([*dealt, order[whole:]])


def needed(network: nn.Module) -> dict[Modality, int]:
    """What batches for a network must be padded to: nothing, unless its results depend on it."""
    return dict(network.lengths) if isinstance(network, Model) and network.fixed_length else {}


def lengths_of(split: Split, network: nn.Module) -> dict[Modality, int] | None:
    """What training pads batches to: None, the longest of each, unless the network's results depend on it."""
    return full_lengths(split, network) if needed(network) else None


def full_lengths(split: Split, network: nn.Module) -> dict[Modality, int]:
    """The longest sequence of the split, or of the data that the network was built for where its results depend on it.

    With one length in all batches a sample's outputs do not depend on its batch, to the last bit.
    """
    least = needed(network)
    return {m: max(x.longest, least.get(m, 1)) for m, x in split.features.items()}


def to_device(split: Split, device: torch.device) -> Split:
    """The split for a device: its features are moved there where they fit, else each batch is when it is made."""
    features = split.features
    if device.type == "cpu" or fits(sum(x.bytes for x in features.values()), device):
        features = {m: x.to(device) for m, x in features.items()}
    targets = {name: t.to(device) for name, t in split.targets.items()}
    return replace(split, features=features, targets=targets, device=device)


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes leave room on a CUDA device for what training needs."""
    return size * SHARE <= torch.cuda.mem_get_info(device)[0]
