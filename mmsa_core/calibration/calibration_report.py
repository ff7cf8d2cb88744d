"""What `mmsa calibrate` does: fits every seed of a run, and shows what that does to clips left out of the fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mmsa_core import metrics
from mmsa_core.calibration import calibrating, calibration_file
from mmsa_core.calibration.calibrating import Fitted, Values, headline
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.evaluation import reports
from mmsa_core.evaluation.evaluation import summarize
from mmsa_core.run_folder.checkpoint import Loaded
from mmsa_core.tasks import Regression


def calibrate(
    run: Path, draws: int, temperature: bool, overrides: Sequence[str], device: torch.device, display: Display
) -> None:
    """Fit the calibration of each seed of RUN on validation, keep it, and print a table before and after.

    Raises:
        UserError: for a run that cannot be calibrated, or that has another calibration.
    """
    runs = reports.opened(run, overrides, display)
    if temperature and isinstance(runs[0].recipe.task, Regression):
        raise UserError(
            f"{run}: --temperature: a regression has no probabilities that a temperature could change; leave it out"
        )
    prepared = reports.data_of(runs, display)
    valid, found = prepared.splits["valid"], []
    for each in runs:
        asked = calibrating.ask(each, valid, draws, device)
        fitted = calibrating.fitted(each.recipe.task, asked, valid, temperature)
        file = calibration_file.written(each, fitted, len(valid), prepared.digest, draws)
        path = calibration_file.save(each.folder, file)
        display.console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
        found.append(fitted)
    show(runs, found, len(valid), display)


def show(runs: Sequence[Loaded], found: Sequence[Fitted], samples: int, display: Display) -> None:
    """The table of metrics on clips left out, without calibration and with."""
    task = runs[0].recipe.task
    per_seed = [rows(runs[0], both(each)) for each in found]
    table = {name: summarize([each[name] for each in per_seed]) for name in per_seed[0]}
    of = f"{len(runs)} seeds, mean ± std" if len(runs) > 1 else f"seed {runs[0].recipe.seeds[0]}"
    title = f"{runs[0].recipe.name}, clips of the validation split ({samples}) left out of the fit: {of}"
    display.table(title, "seen", task, table, {})
    for each, fitted in zip(runs, found, strict=True):
        before, after = headline(task, fitted.before), headline(task, fitted.after[fitted.rule])
        text = f"seed {each.recipe.seeds[0]}: rule {fitted.rule}, F1 {100 * before:.1f} -> {100 * after:.1f}"
        if after > before:
            display.console.print(text, highlight=False)
        else:
            display.warn(f"{text}: on clips left out this calibration does not help")


def both(fitted: Fitted) -> dict[str, Values]:
    """The metrics of each condition, those with calibration under their own names."""
    after = fitted.after[fitted.rule]
    return {
        name: {**values, **{f"{metric}_calibrated": value for metric, value in after[name].items()}}
        for name, values in fitted.before.items()
    }


def rows(run: Loaded, found: Mapping[str, Values]) -> dict[str, dict[str, Any]]:
    """The subsets without missing frames, and means over conditions of the grid."""
    whole = "+".join(run.channels)
    complete = {name.removesuffix(" 0"): dict(values) for name, values in found.items() if name.endswith(" 0")}
    rates = [dict(values) for name, values in found.items() if name.startswith(f"{whole} ")]
    return complete | {
        f"mean over {len(rates)} rates of {whole}": metrics.average(rates),
        f"mean over all {len(found)} conditions": metrics.average([dict(values) for values in found.values()]),
    }
