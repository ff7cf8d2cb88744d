"""What `mmsa report` does: run folders in, a folder with the report out."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from mmsa_core import protocol_file, registry, reports
from mmsa_core.checkpoint import Loaded
from mmsa_core.components import DatasetConfig
from mmsa_core.corpus import Corpus
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import Evaluated, evaluate
from mmsa_core.inspection import shared
from mmsa_core.report import naming, writing
from mmsa_core.report.material import Material, Run
from mmsa_core.report.sections import SECTIONS
from mmsa_core.report.tested import Tested


def report(
    folders: Sequence[Path],
    out: Path,
    protocols: Sequence[str],
    split: str,
    against: Path | None,
    published: bool,
    overrides: Sequence[str],
    device: torch.device,
    display: Display,
) -> Path:
    """Evaluate every run under every protocol, and write the report; returns the page.

    Raises:
        UserError: for a folder that is no run, runs that cannot stand in one table, or `out` that holds something.
    """
    writing.check(out)
    material = gather(folders, protocols, split, against, published, overrides, device, display)
    title = f"Report: {', '.join(run.name for run in material.runs)}"
    sections = [section for make in SECTIONS if (section := make(material)) is not None]
    return writing.write(out, title, sections)


def gather(
    folders: Sequence[Path],
    protocols: Sequence[str],
    split: str,
    against: Path | None,
    published: bool,
    overrides: Sequence[str],
    device: torch.device,
    display: Display,
) -> Material:
    """The runs with their answers; each data set is read once, however many runs are of it."""
    folders = _with(against, folders)
    opened = [reports.opened(folder, overrides, display) for folder in folders]
    fit(folders, opened)
    names = naming.names([each[0].recipe.name for each in opened], folders)
    runs = tuple(Run(*each) for each in zip(names, folders, map(tuple, opened), strict=True))
    corpora: dict[str, Corpus] = {}
    files = [protocol_file.load(name) for name in protocols]
    answered: list[dict[str, Evaluated]] = [{} for _ in files]
    for run in runs:
        corpus = _corpus(run.recipe.data, corpora)
        prepared = reports.data_of(run.seeds, display, corpus)
        for file, found in zip(files, answered, strict=True):
            protocol = protocol_file.resolve(file, tuple(run.seeds[0].channels), prepared.splits[split])
            command = " ".join(["mmsa", *sys.argv[1:]])
            found[run.name] = evaluate(run.seeds, prepared, split, protocol, device, command)
    first = _corpus(runs[0].recipe.data, corpora)
    return Material(
        runs=runs,
        split=split,
        tested=tuple(map(Tested, answered)),
        against=runs[0 if against is None else _same_folder(against, folders)],
        leakage=shared.leakage(first),
        names=first.names,
        published=published,
    )


def fit(folders: Sequence[Path], opened: Sequence[Sequence[Loaded]]) -> None:
    """Refuse runs whose numbers are not of the same things: other metrics, or other samples."""
    for folder, each in zip(folders, opened, strict=True):
        first, other = opened[0][0], each[0]
        if first.recipe.task.headline != other.recipe.task.headline:
            raise UserError(
                f"{folder}: its task '{getattr(other.recipe.task, 'kind', '')}' is measured by "
                f"{', '.join(other.recipe.task.headline)}, but that of {folders[0]} by "
                f"{', '.join(first.recipe.task.headline)}; make a report for each"
            )
        splits = [run.provenance.get("splits") for run in (first, other)]
        if None not in splits and splits[0] != splits[1]:
            raise UserError(
                f"{folder}: was trained on other data ({splits[1]} samples) than {folders[0]} ({splits[0]}); "
                "make a report for each"
            )


def _with(against: Path | None, folders: Sequence[Path]) -> list[Path]:
    """The runs, and before them the one that they are compared with unless it is among them."""
    known = {folder.expanduser().resolve() for folder in folders}
    first = [against] if against is not None and against.expanduser().resolve() not in known else []
    return [*first, *folders]


def _same_folder(wanted: Path, folders: Sequence[Path]) -> int:
    resolved = wanted.expanduser().resolve()
    return next(n for n, folder in enumerate(folders) if folder.expanduser().resolve() == resolved)


def _corpus(config: DatasetConfig, known: dict[str, Corpus]) -> Corpus:
    key = json.dumps(config.model_dump(mode="json"), sort_keys=True)
    if key not in known:
        known[key] = registry.datasets.get(config.name)(config).load()
    return known[key]
