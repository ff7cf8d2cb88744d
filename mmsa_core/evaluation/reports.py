"""What `mmsa evaluate` does: run folders in; tables, CSV and JSON out."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmsa_core.calibration import calibration_file
from mmsa_core.corpora import data
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.evaluation.evaluation import evaluate as evaluate_runs
from mmsa_core.evaluation.scores import Scores
from mmsa_core.run_folder import checkpoint, sealed
from mmsa_core.tracking import tracking


def evaluate(
    run: Path,
    protocols: Sequence[str],
    split: str,
    json_file: Path | None,
    overrides: Sequence[str],
    device: torch.device,
    display: Display,
    calibrate: bool = False,
    track: bool = False,
) -> None:
    """Print the table of each protocol, and write `evaluate-PROTOCOL.csv` into RUN, and JSON where asked.

    If `track`, Weights & Biases is told too.
    """
    check_new("--json", json_file)
    written, answered = [], evaluations(run, protocols, split, overrides, device, display, calibrate)
    for evaluated in answered:
        found = evaluated.summary()
        show(evaluated, found, display)
        name = f"evaluate-{found['protocol']}{'' if split == 'test' else '-' + split}"
        table = write_csv(run, f"{name}{'-calibrated' if calibrate else ''}", found)
        display.console.print(f"written: {table}", markup=False, highlight=False, soft_wrap=True)
        written.append(found)
    if track:
        from mmsa_core.tracking import wandb_evaluation  # its figures take a second to import

        tracking.Switches(display.warn).attempt("W&B", lambda: wandb_evaluation.log(answered, written))
    if json_file is not None:
        checkpoint.write_json(json_file, written[0] if len(written) == 1 else {f["protocol"]: f for f in written})
        display.console.print(f"written: {json_file}", markup=False, highlight=False, soft_wrap=True)


def evaluations(
    run: Path,
    protocols: Sequence[str],
    split: str,
    overrides: Sequence[str],
    device: torch.device,
    display: Display,
    calibrate: bool = False,
) -> list[Evaluated]:
    """An experiment under each protocol; every mistake in their names is found before anything is computed."""
    runs = opened(run, overrides, display)
    calibrations = [calibration_file.load(each) for each in runs] if calibrate else []
    files = [protocol_file.load(name) for name in protocols]
    prepared = data_of(runs, display)
    found = [protocol_file.resolve(file, tuple(runs[0].channels), prepared.splits[split]) for file in files]
    command = " ".join(["mmsa", *sys.argv[1:]])
    return [evaluate_runs(runs, prepared, split, each, device, command, calibrations) for each in found]


def show(evaluated: Evaluated, found: Mapping[str, Any], display: Display) -> None:
    """Print the table of one protocol, and what its averages are over."""
    protocol, seeds = evaluated.protocol, found["seeds"]
    of = f"{len(seeds)} seeds, mean ± std" if len(seeds) > 1 else f"seed {seeds[0]}"
    count = f"{found['samples']} samples"
    title = f"{evaluated.recipe.name}, {evaluated.split_name} split ({count}), protocol {protocol.name}: {of}"
    rows = found["conditions"] | found["averages"]
    some = {name: n for name, n in found["samples_of"].items() if n != found["samples"]}
    labels = {name: f"{name} ({n})" for name, n in some.items()}
    named = {labels.get(name, name): values for name, values in rows.items()}
    display.table(title, protocol.axis, evaluated.task, named, found["references"], protocol.metrics)
    if borrowed := [share for each in evaluated.scores if (share := _borrowed(each))]:
        text = f"{100 * max(borrowed):.1f} % of a seed's answers are of a cell that validation never showed"
        display.note(f"{text}: they are calibrated as their subset, or as all samples")
    if some:
        display.console.print("in brackets: the samples that a row is over", highlight=False)
    for name, members in found["averaged"].items():
        how = "mean over" if found["averaged_how"][name] == "mean" else "area under the curve, per unit of rate, over"
        display.console.print(f"{name}: {how} {', '.join(members)}", highlight=False)


def _borrowed(scores: Scores) -> float:
    """The share of calibrated answers whose bias is not of their own cell."""
    steps = [each.steps > 0 for each in (scores.calibrated or {}).values()]
    return torch.cat(steps).double().mean().item() if steps else 0.0


def opened(run: Path, overrides: Sequence[str], display: Display, predicts: bool = True) -> list[checkpoint.Loaded]:
    """The trained seeds of a run; if it `predicts`, one that was trained without a task is refused."""
    if missing := checkpoint.unfinished(run):
        display.warn(f"{run}: {', '.join(missing)} has no trained student and is left out")
    read = checkpoint.load if predicts else checkpoint.rebuild
    runs = [read(folder, overrides) for folder in checkpoint.seed_folders(run)]
    for each in runs:
        if said := sealed.altered(each.folder, each.provenance):
            display.warn(said)
    if runs[0].recipe.threads is not None:
        torch.set_num_threads(runs[0].recipe.threads)
    return runs


def data_of(runs: Sequence[checkpoint.Loaded], display: Display, corpus: Corpus | None = None) -> data.Data:
    """The data that the runs' recipe names, read or already at hand, which must fit the networks."""
    prepared = data.load(runs[0].recipe, corpus)
    for each in runs:
        data.check_widths(f"the network in {each.folder}", each.channels, prepared.channels)
        if not _same(each.provenance, prepared):
            display.warn(f"{each.folder}: the data are not those that it was trained on (another SHA-256)")
    return prepared


def _same(provenance: Mapping[str, Any], prepared: data.Data) -> bool:
    """Whether a run was trained on these data, in this form or in one of which the other is a conversion."""
    trained = {provenance.get("data_sha256", prepared.digest), provenance.get("data_converted_from_sha256")}
    return bool((trained & {prepared.digest, prepared.origin}) - {None})  # an imported run knows no data


def check_new(option: str, path: Path | None) -> None:
    """Refuse a file to write that exists or has no folder, before anything is computed for it."""
    if path is not None and path.exists():
        raise UserError(f"{option} {path}: exists, and nothing is overwritten; name a new file")
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}; make it first")


def write_csv(run: Path, name: str, found: dict[str, Any]) -> Path:
    """One row per condition and metric: mean, std, and each seed's value; undefined cells are empty.

    A table of other numbers is not overwritten: the new one gets the next free number.
    """
    header = ["protocol", "condition", "metric", "mean", "std", *(f"seed {seed}" for seed in found["seeds"])]
    rows = [
        [found["protocol"], condition, metric, value["mean"], value["std"], *value["values"]]
        for condition, values in (found["conditions"] | found["averages"]).items()
        for metric, value in values.items()
    ]
    rows += [
        [found["protocol"], f"reference: {name}", metric, value, None]
        for name, values in found["references"].items()
        for metric, value in values.items()
    ]
    return checkpoint.write_numbered(run / f"{name}.csv", checkpoint.csv_text(header, rows).encode())
