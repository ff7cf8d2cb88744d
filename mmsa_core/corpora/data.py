"""From a loaded corpus to what is trained on: checks, and the modalities that the model reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from mmsa_core import plain, registry
from mmsa_core.components import DatasetConfig
from mmsa_core.corpora import targets
from mmsa_core.corpora.corpus import SCORE, Corpus, Split
from mmsa_core.corpora.finite import checked, defects
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.errors import UserError
from mmsa_core.missing import Draw
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.tasks import TaskBase
from mmsa_core.types import Modality

SPLITS = ("train", "valid", "test")
NO_DRAW = Draw("none", 0)
"""For a pass without masks."""


@dataclass(frozen=True)
class Training:
    """All that stages and trainers are given: the test split cannot be reached from here.

    `lengths` are the longest sequences of train and valid. `limits` are those of all splits: a network whose size or
    results depend on how far a sample is padded is built for them, or it could not read the test split. These numbers,
    and for such networks alone, are all that training knows of the test split.
    """

    train: Split
    valid: Split
    channels: Mapping[Modality, int]
    lengths: Mapping[Modality, int]
    limits: Mapping[Modality, int]


@dataclass(frozen=True)
class Data:
    """Checked splits of the modalities that a model reads, in the recipe's order."""

    splits: Mapping[str, Split]
    channels: Mapping[Modality, int]
    lengths: Mapping[Modality, int]
    digest: str
    notes: tuple[str, ...]
    origin: str | None = None
    """Of what was converted: the digest of what it was converted from."""

    @property
    def training(self) -> Training:
        """What training may look at."""
        train, valid = self.splits["train"], self.splits["valid"]
        lengths = {m: max(split.features[m].longest for split in (train, valid)) for m in self.channels}
        return Training(train, valid, self.channels, lengths, self.lengths)


def check_names(corpus: Corpus) -> None:
    """Refuse names that could steer a terminal, break the line of a table, or read as another name.

    Raises:
        UserError: with the first of them; `mmsa data inspect` shows such data.
    """
    named: list[tuple[str, Iterable[str]]] = [("split", corpus.splits)]
    for split in corpus.splits.values():
        named += [("sample", split.ids), ("modality", split.features), ("target", split.targets)]
    named += [(f"name of {target}", names) for target, names in corpus.names.items()]
    for what, names in named:
        if (found := plain.first(names)) is not None:
            raise UserError(f"the data have the {what} {found[:100]!r}, with a control character in it; rename it")


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
    left_out = [f"{name} ({len(split)} rows)" for name, split in corpus.splits.items() if name not in SPLITS]
    notes = (f"splits that are neither train, valid nor test are not used: {', '.join(left_out)}",) if left_out else ()
    splits = {name: corpus.splits[name] for name in SPLITS}
    used = replace(corpus, splits=splits, notes=(*corpus.notes, *notes))
    return prepare(used, recipe.data, tuple(recipe.model.encoders), recipe.task)


def prepare(corpus: Corpus, config: DatasetConfig, modalities: Sequence[Modality], task: TaskBase | None) -> Data:
    """Check a corpus and keep what the model reads; without a task the targets are not looked at."""
    check_names(corpus)
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
        with_it = {n: int(s.features[modality].present().sum()) for n, s in splits.items()}
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
    return Data(
        splits=splits,
        channels={m: first.features[m].channels for m in modalities},
        lengths={m: max(s.features[m].longest for s in splits.values()) for m in modalities},
        digest=corpus.digest,
        notes=tuple(notes),
        origin=corpus.origin,
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


def with_channels(split: Split, channels: Mapping[Modality, int], where: str, nonfinite: str) -> Split:
    """The modalities that a trained model reads; one that the data lack is missing in every sample."""
    features = {}
    for modality, width in channels.items():
        found = split.features.get(modality)
        if found is not None and found.channels != width:
            raise UserError(
                f"{where}: '{modality}' is {found.channels} wide, but the model reads it {width} wide; "
                "extract the same features that it was trained on"
            )
        features[modality] = Sequences.none(len(split), width) if found is None else found
    return _finite(replace(split, features=features), nonfinite, where, [])


def complete(split: Split) -> Split:
    """The samples that have every modality."""
    keep = torch.stack([x.present() for x in split.features.values()]).all(dim=0)
    return split.rows(keep)


def seen(split: Split) -> list[str]:
    """The modalities of which each sample has a frame, joined by +; empty where it has none."""
    present = {m: x.present().tolist() for m, x in split.features.items()}
    return ["+".join(m for m in present if present[m][row]) for row in range(len(split))]


def _chosen(split: Split, modalities: Sequence[Modality], where: str) -> Split:
    for modality in modalities:
        if modality not in split.features:
            raise UserError(
                f"{where}: no modality '{modality}', which model.encoders names; the data have: "
                f"{', '.join(split.features)}.{registry.suggestions(modality, list(split.features))}"
            )
    return replace(split, features={m: split.features[m] for m in modalities})


def _finite(split: Split, nonfinite: str, where: str, notes: list[str]) -> Split:
    """Refuse features that are not finite in observed frames, or say that they count as zero."""
    features = {m: checked(x) for m, x in split.features.items()}
    for modality, x in features.items():
        found = None if x.finite else defects(x)
        if found is not None and nonfinite == "refuse":
            raise UserError(
                f"{where}: {found.values} values of '{modality}' in {found.rows} rows are NaN or infinite; the first "
                f"is {found.value} of sample '{split.ids[found.row]}' (row {found.row}, frame {found.frame}, column "
                f"{found.column}). Mend the file, or set them to zero with --set data.nonfinite=zero"
            )
        if found is not None:
            notes.append(f"{where}: {found.values} NaN or infinite values of '{modality}' were set to zero")
    return replace(split, features=features)


def _without(split: Split, modality: Modality) -> Split:
    """The split with one modality missing in every sample."""
    return replace(split, features={**split.features, modality: split.features[modality].missing()})


def _with_something(split: Split, where: str, notes: list[str]) -> Split:
    """Skip the rows that have no frame of any modality, and say so."""
    some = torch.stack([x.present() for x in split.features.values()]).any(dim=0)
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
