"""From a loaded corpus to batches: checks, the model's modalities, and rows by index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from mmsa_core import registry, targets
from mmsa_core.components import DatasetConfig
from mmsa_core.corpus import SCORE, Corpus, Split
from mmsa_core.errors import UserError
from mmsa_core.missing import Draw
from mmsa_core.recipe import Recipe
from mmsa_core.tasks import TaskBase
from mmsa_core.types import Batch, Modality

SPLITS = ("train", "valid", "test")
NO_DRAW = Draw("none", 0)
"""For a pass without masks."""


@dataclass(frozen=True)
class Data:
    """Checked splits of the modalities that a model reads, in the recipe's order."""

    splits: Mapping[str, Split]
    channels: Mapping[Modality, int]
    lengths: Mapping[Modality, int]
    digest: str
    notes: tuple[str, ...]


def load(recipe: Recipe, corpus: Corpus | None = None) -> Data:
    """Read the recipe's data set, or take a corpus from memory, and prepare it for training.

    Raises:
        UserError: for bad input.
    """
    corpus = registry.datasets.get(recipe.data.name)(recipe.data).load() if corpus is None else corpus
    for name in SPLITS:
        if name not in corpus.splits or not len(corpus.splits[name]):
            state = "empty" if name in corpus.splits else "absent"
            raise UserError(
                f"data '{recipe.data.name}': split '{name}' is {state}; splits found: "
                f"{', '.join(f'{n} ({len(s)} rows)' for n, s in corpus.splits.items()) or 'none'}. "
                "Training needs train, valid and test with at least one row each."
            )
    used = replace(corpus, splits={name: corpus.splits[name] for name in SPLITS})
    return prepare(used, recipe.data, tuple(recipe.model.encoders), recipe.task)


def prepare(corpus: Corpus, config: DatasetConfig, modalities: Sequence[Modality], task: TaskBase | None) -> Data:
    """Check a corpus and keep what the model reads; without a task the targets are not looked at."""
    notes = list(corpus.notes)
    splits: dict[str, Split] = {}
    for name, raw in corpus.splits.items():
        where = f"data '{config.name}', split '{name}'"
        split = _finite(_chosen(raw, modalities, where), config.nonfinite, where, notes)
        split = _with_something(split, where, notes)
        if task is not None:
            split = _scored(targets.chosen(split, corpus.names, task, where), config, task)
            task.check(split, where)
        splits[name] = split
    for modality in modalities if task is not None else ():
        with_it = {n: int(s.observed[modality].any(dim=1).sum()) for n, s in splits.items()}
        if not any(with_it.values()):
            raise UserError(
                f"data '{config.name}': no sample of any split has modality '{modality}'; "
                f"leave it out of model.encoders or give data that have it"
            )
        if not with_it["train"]:
            notes.append(
                f"no training sample has '{modality}': nothing can be learned of it, it counts as missing everywhere"
            )
            splits = {
                name: _with_something(_without(split, modality), f"data '{config.name}', split '{name}'", notes)
                for name, split in splits.items()
            }
    first = next(iter(splits.values()))
    lengths = {m: max(_extent(s.observed[m]) for s in splits.values()) for m in modalities}
    return Data(
        splits={name: _cut(split, lengths) for name, split in splits.items()},
        channels={m: first.features[m].shape[2] for m in modalities},
        lengths=lengths,
        digest=corpus.digest,
        notes=tuple(notes),
    )


def batches(
    split: Split, task: TaskBase | None, size: int, order: Int64[Tensor, " rows"] | None = None
) -> Iterator[Batch]:
    """The split in batches of `size` rows (the last may be smaller), in the given or the stored order."""
    order = torch.arange(len(split)) if order is None else order
    key = split.key
    device = next(iter(split.features.values())).device
    target = task.target(split) if task is not None else torch.zeros(len(split), device=device)
    for rows in torch.split(order, size):
        at = rows.to(device, non_blocking=True)
        yield Batch(
            features={m: x[at] for m, x in split.features.items()},
            observed={m: o[at] for m, o in split.observed.items()},
            target=target[at],
            index=at,
            key=key[rows].to(device, non_blocking=True),
        )


def check_widths(where: str, reads: Mapping[Modality, int], has: Mapping[Modality, int]) -> None:
    """Refuse a network whose modalities the data do not have, or have in another width."""
    for modality, width in reads.items():
        if has.get(modality) != width:
            found = f"have it {has[modality]} wide" if modality in has else f"of this recipe have {', '.join(has)}"
            raise UserError(
                f"{where} reads '{modality}' {width} wide, but the data {found}; "
                "use one that was trained on the same features"
            )


def to_device(split: Split, device: torch.device) -> Split:
    """The split with its tensors on a device; rows are then picked there."""
    return replace(
        split,
        features={m: x.to(device) for m, x in split.features.items()},
        observed={m: o.to(device) for m, o in split.observed.items()},
        targets={name: t.to(device) for name, t in split.targets.items()},
    )


def with_channels(split: Split, channels: Mapping[Modality, int], where: str, nonfinite: str) -> Split:
    """The modalities that a trained model reads; one that the data lack is missing in every sample."""
    features, observed = {}, {}
    for modality, width in channels.items():
        found = split.features.get(modality)
        if found is None:
            features[modality] = torch.zeros(len(split), 1, width)
            observed[modality] = torch.zeros(len(split), 1, dtype=torch.bool)
            continue
        if found.shape[2] != width:
            raise UserError(
                f"{where}: '{modality}' is {found.shape[2]} wide, but the model reads it {width} wide; "
                "extract the same features that it was trained on"
            )
        features[modality], observed[modality] = found, split.observed[modality]
    return _finite(replace(split, features=features, observed=observed), nonfinite, where, [])


def complete(split: Split) -> Split:
    """The samples that have every modality."""
    keep = torch.stack([o.any(dim=1) for o in split.observed.values()]).all(dim=0)
    return split.rows(keep)


def seen(split: Split) -> list[str]:
    """The modalities of which each sample has a frame, joined by +; empty where it has none."""
    present = {m: o.any(dim=1).tolist() for m, o in split.observed.items()}
    return ["+".join(m for m in present if present[m][row]) for row in range(len(split))]


def _chosen(split: Split, modalities: Sequence[Modality], where: str) -> Split:
    for modality in modalities:
        if modality not in split.features:
            raise UserError(
                f"{where}: no modality '{modality}', which model.encoders names; the data have: "
                f"{', '.join(split.features)}.{registry.suggestions(modality, list(split.features))}"
            )
    return replace(
        split,
        features={m: split.features[m] for m in modalities},
        observed={m: split.observed[m] for m in modalities},
    )


def _finite(split: Split, nonfinite: str, where: str, notes: list[str]) -> Split:
    """Refuse, or set to zero, features that are not finite in observed frames."""
    features = dict(split.features)
    for modality, x in split.features.items():
        seen = split.observed[modality].unsqueeze(-1)
        bad = ~torch.isfinite(x) & seen
        count = int(bad.sum())
        if count and nonfinite == "refuse":
            row, frame, column = (int(i) for i in bad.nonzero()[0])
            rows = int(bad.any(dim=2).any(dim=1).sum())
            raise UserError(
                f"{where}: {count} values of '{modality}' in {rows} rows are NaN or infinite; the first is "
                f"{x[row, frame, column].item()} of sample '{split.ids[row]}' (row {row}, frame {frame}, column "
                f"{column}). Mend the file, or set them to zero with --set data.nonfinite=zero"
            )
        if count:
            notes.append(f"{where}: {count} NaN or infinite values of '{modality}' were set to zero")
        features[modality] = torch.where(torch.isfinite(x) & seen, x, 0.0)
    return replace(split, features=features)


def _without(split: Split, modality: Modality) -> Split:
    """The split with one modality missing in every sample."""
    return replace(split, observed={**split.observed, modality: torch.zeros_like(split.observed[modality])})


def _with_something(split: Split, where: str, notes: list[str]) -> Split:
    """Skip the rows that have no frame of any modality, and say so."""
    some = torch.stack([o.any(dim=1) for o in split.observed.values()]).any(dim=0)
    skipped = int((~some).sum())
    if skipped == len(split):
        raise UserError(f"{where}: none of its {len(split)} rows has a frame of {', '.join(split.features)}")
    if skipped:
        notes.append(f"{where}: {skipped} of {len(split)} rows have no modality at all and are skipped")
        split = split.rows(some)
    return split


def _scored(split: Split, config: DatasetConfig, task: TaskBase) -> Split:
    """Map the file's scores linearly onto the task's range."""
    top = getattr(task, "range", None)
    if config.score_range is None or top is None or SCORE not in split.targets:
        return split
    low, high = config.score_range
    if not low < high:
        raise UserError(f"data.score_range: expected [lowest, highest], found [{low:g}, {high:g}]")
    score = ((split.targets[SCORE] - low) / (high - low) * 2 - 1) * top
    return replace(split, targets={**split.targets, SCORE: score})


def _extent(observed: Tensor) -> int:
    """Frames up to the last one that any sample has; at least one."""
    used = observed.any(dim=0).nonzero()
    return int(used[-1, 0]) + 1 if len(used) else 1


def _cut(split: Split, lengths: Mapping[Modality, int]) -> Split:
    """Without the frames at the end that no sample has."""
    return replace(
        split,
        features={m: x[:, : lengths[m]].contiguous() for m, x in split.features.items()},
        observed={m: o[:, : lengths[m]].contiguous() for m, o in split.observed.items()},
    )
