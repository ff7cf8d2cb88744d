"""From run folders to what the sections of a report read: answers, comparisons, leakage."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsa_core import registry
from mmsa_core.comparison import comparability
from mmsa_core.comparison.comparability import Candidate
from mmsa_core.comparison.compare import Comparison, compare
from mmsa_core.components import DatasetConfig
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file, reports
from mmsa_core.evaluation.evaluation import Evaluated, evaluate
from mmsa_core.inspection import shared
from mmsa_core.report import naming
from mmsa_core.report.material import Material, Run
from mmsa_core.report.tested import Tested


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    protocols: Sequence[str]
    split: str = "test"
    against: Path | None = None
    """Whom the others are compared with; by default the first run."""
    published: bool = False
    resamples: int = 10_000
    overrides: Sequence[str] = ()


def gather(folders: Sequence[Path], options: Options, device: torch.device, display: Display) -> Material:
    """The runs with their answers; each data set is read once, however many runs are of it."""
    folders = in_order(folders, options.against)
    names = naming.names(folders)
    files = [protocol_file.load(name) for name in options.protocols]
    opened = [reports.opened(folder, options.overrides, display) for folder in folders]
    runs = tuple(Run(*each) for each in zip(names, folders, map(tuple, opened), strict=True))
    fit(runs)
    corpora: dict[str, Corpus] = {}
    candidates = {run.name: candidate(run, files, options.split, corpora, display) for run in runs}
    command = " ".join(["mmsa", *sys.argv[1:]])
    answered = [
        {
            name: evaluate(each.runs, each.data, each.split_name, each.protocols[number], device, command)
            for name, each in candidates.items()
        }
        for number in range(len(files))
    ]
    reasons = incomparable(candidates)
    comparable = [name for name in candidates if name not in reasons]
    first = corpora[_key(runs[0].recipe.data)]
    return Material(
        runs=runs,
        split=options.split,
        tested=tuple(map(Tested, answered)),
        comparisons=tuple(_compared(found, comparable, options.resamples) for found in answered),
        incomparable=tuple(reasons.values()),
        leakage=shared.leakage(first),
        names=first.names,
        published=options.published,
    )


def in_order(folders: Sequence[Path], against: Path | None) -> list[Path]:
    """The baseline, then the others as they were given."""
    if against is None:
        return list(folders)
    baseline = against.expanduser().resolve()
    return [against, *(folder for folder in folders if folder.expanduser().resolve() != baseline)]


def fit(runs: Sequence[Run]) -> None:
    """Refuse runs whose numbers are not of the same things: other metrics, or other samples."""
    first, splits = runs[0], runs[0].seeds[0].provenance.get("splits")
    for run in runs[1:]:
        ours, theirs = run.recipe.task.headline, first.recipe.task.headline
        if ours != theirs:
            raise UserError(
                f"{run.folder}: its task '{getattr(run.recipe.task, 'kind', '')}' is measured by {', '.join(ours)}, "
                f"but that of {first.folder} by {', '.join(theirs)}; make a report for each"
            )
        found = run.seeds[0].provenance.get("splits")
        if None not in (found, splits) and found != splits:
            raise UserError(
                f"{run.folder}: was trained on other data ({found} samples) than {first.folder} ({splits}); "
                "make a report for each"
            )


def candidate(
    run: Run, files: Sequence[protocol_file.File], split: str, corpora: dict[str, Corpus], display: Display
) -> Candidate:
    """A run with its data, which are read unless they are at hand, and the protocols for its modalities."""
    config: DatasetConfig = run.recipe.data
    key = _key(config)
    if key not in corpora:
        corpora[key] = registry.datasets.get(config.name)(config).load()
    prepared = reports.data_of(run.seeds, display, corpora[key])
    modalities = tuple(run.seeds[0].channels)
    protocols = [protocol_file.resolve(file, modalities, prepared.splits[split]) for file in files]
    return Candidate(run.folder, run.seeds, prepared, split, protocols)


def _key(config: DatasetConfig) -> str:
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)


def incomparable(candidates: Mapping[str, Candidate]) -> dict[str, str]:
    """Why runs cannot be compared with the first one sample by sample."""
    baseline, *others = candidates
    found = {}
    for name in others:
        try:
            comparability.check(candidates[baseline], candidates[name])
        except UserError as error:
            found[name] = str(error)
    return found


def _compared(found: Mapping[str, Evaluated], names: Sequence[str], resamples: int) -> Comparison | None:
    return compare({name: found[name] for name in names}, resamples=resamples) if len(names) > 1 else None
