"""What `mmsa compare` does: run folders in; tables, JSON and CSV out."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mmsa_core.comparison import comparability, compare_display, compare_tables
from mmsa_core.comparison.comparability import Candidate
from mmsa_core.comparison.compare import Cluster, Comparison, compare
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file, reports
from mmsa_core.evaluation.evaluation import evaluate
from mmsa_core.run_folder import checkpoint


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    protocols: Sequence[str]
    metrics: Sequence[str]
    split: str
    resamples: int
    seed: int
    cluster: Cluster | None
    overrides: Sequence[str]


def run(
    folders: Sequence[Path],
    against: Path | None,
    options: Options,
    json_file: Path | None,
    csv_file: Path | None,
    device: torch.device,
    display: Display,
) -> list[Comparison]:
    """Compare runs with the baseline, print what is found, and write it where asked."""
    reports.check_new("--json", json_file)
    reports.check_new("--csv", csv_file)
    ordered = in_order(folders, against)
    candidates = [candidate(folder, options, display) for folder in ordered]
    for other in candidates[1:]:
        comparability.check(candidates[0], other)
    names = named(ordered)
    command = " ".join(["mmsa", *sys.argv[1:]])
    found = []
    for number in range(len(options.protocols)):
        evaluated = {
            name: evaluate(each.runs, each.data, each.split_name, each.protocols[number], device, command)
            for name, each in zip(names, candidates, strict=True)
        }
        found.append(compare(evaluated, options.metrics, options.resamples, options.seed, options.cluster))
        compare_display.show(found[-1], display)
    if json_file is not None:
        checkpoint.write_json(json_file, [compare_tables.plain(each) for each in found])
    if csv_file is not None:
        checkpoint.write_csv(csv_file, *compare_tables.table(found))
    for path in (json_file, csv_file):
        if path is not None:
            display.console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
    return found


def in_order(folders: Sequence[Path], against: Path | None) -> list[Path]:
    """The baseline, then the others; each once."""
    baseline = folders[0] if against is None else against
    others = [each for each in folders if each.resolve() != baseline.resolve()]
    if not others:
        raise UserError(f"there is nothing to compare {baseline} with; name another run folder")
    for number, each in enumerate(others):
        if each.resolve() in {other.resolve() for other in others[:number]}:
            raise UserError(f"{each} is named twice; name each run once")
    return [baseline, *others]


def named(folders: Sequence[Path]) -> list[str]:
    """What tables call each run: the last part of its path, or all of it where two have the same."""
    short = [each.resolve().name for each in folders]
    return short if len(set(short)) == len(short) else [str(each) for each in folders]


def candidate(folder: Path, options: Options, display: Display) -> Candidate:
    """An experiment with its data and protocols; nothing is evaluated yet."""
    runs = reports.opened(folder, options.overrides, display)
    files = [protocol_file.load(name) for name in options.protocols]
    prepared = reports.data_of(runs, display)
    split = prepared.splits[options.split]
    protocols = [protocol_file.resolve(file, tuple(runs[0].channels), split) for file in files]
    return Candidate(folder, runs, prepared, options.split, protocols)
