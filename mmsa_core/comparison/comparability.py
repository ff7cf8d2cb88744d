"""Which runs can be compared sample by sample: those that answer the same questions about the same clips."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsa_core.corpora.corpus import Split
from mmsa_core.corpora.data import Data
from mmsa_core.corpora.sequences import Sequences
from mmsa_core.errors import UserError
from mmsa_core.evaluation.protocol import Protocol
from mmsa_core.run_folder.checkpoint import Loaded
from mmsa_core.tasks import TaskBase

ROWS = 256
"""So many samples of a split are looked at at once."""


@dataclass(frozen=True)
class Candidate:
    """An experiment that is to be compared: its trained seeds, its data, and the protocols for its modalities."""

    folder: Path
    runs: Sequence[Loaded]
    data: Data
    split_name: str
    protocols: Sequence[Protocol]

    @property
    def task(self) -> TaskBase:
        """What it learned."""
        return self.runs[0].recipe.task

    @property
    def split(self) -> Split:
        """The samples that it is compared on."""
        return self.data.splits[self.split_name]


def check(baseline: Candidate, other: Candidate) -> None:
    """Refuse a pair whose samples, targets, masks or conditions differ, with everything that does."""
    if found := list(_differences(baseline, other)):
        raise UserError(
            "\n".join(
                f"{other.folder} cannot be compared with {baseline.folder} on the same samples: {each}"
                for each in found
            )
        )


def _differences(baseline: Candidate, other: Candidate) -> Iterator[str]:
    if baseline.task.needs != other.task.needs:
        yield f"it learned '{other.task.needs}', the baseline '{baseline.task.needs}'"
        return
    for field in ("convention", "range", "classes", "names", "sentiment"):
        ours, theirs = (getattr(each.task, field, None) for each in (other, baseline))
        if ours != theirs and not (field == "classes" and baseline.task.needs == "score"):  # bins of one score
            yield f"task.{field} is {ours}, the baseline's {theirs}"
    seeds = [each.runs[0].recipe.evaluate.seed for each in (other, baseline)]
    if seeds[0] != seeds[1]:
        yield f"its masks have seed {seeds[0]}, the baseline's {seeds[1]}; take --set evaluate.seed={seeds[1]}"
    yield from _samples(baseline, other)
    yield from _conditions(baseline, other)


def _samples(baseline: Candidate, other: Candidate) -> Iterator[str]:
    name, ours, theirs = baseline.split_name, other.split, baseline.split
    if ours.ids != theirs.ids:
        shared = len(set(ours.ids) & set(theirs.ids))
        yield f"its {name} split has {len(ours)} samples, the baseline's {len(theirs)}; {shared} ids are in both"
        return
    targets = [each.task.target(each.split).cpu() for each in (other, baseline)]
    if not torch.equal(*targets):
        yield f"the targets of the {name} split differ"
    for modality in ours.features.keys() & theirs.features.keys():
        if not _same(ours.features[modality], theirs.features[modality]):
            yield f"the features of '{modality}' in the {name} split differ, and with them which frames are hidden"


def _same(ours: Sequences, theirs: Sequences) -> bool:
    """Whether two modalities hold the same frames, however they are kept."""
    if ours.channels != theirs.channels or not torch.equal(ours.lengths, theirs.lengths):
        return False
    for start in range(0, len(ours), ROWS):
        rows = torch.arange(len(ours)).sub(start).lt(ROWS) & torch.arange(len(ours)).ge(start)
        if not all(map(torch.equal, ours.rows(rows).padded(), theirs.rows(rows).padded())):
            return False
    return True


def _conditions(baseline: Candidate, other: Candidate) -> Iterator[str]:
    for ours, theirs in zip(other.protocols, baseline.protocols, strict=True):
        if ours.describe() != theirs.describe() or ours.averages != theirs.averages:
            yield (
                f"protocol {ours.name} has other conditions for its modalities ({', '.join(ours.conditions)}) than for "
                f"the baseline's ({', '.join(theirs.conditions)})"
            )
