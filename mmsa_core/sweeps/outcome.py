"""What a sweep leaves behind: a table of its trials, figures of what mattered, and the chosen recipe."""

from collections.abc import Mapping
from pathlib import Path
from statistics import stdev
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from mmsa_core.display import Display
from mmsa_core.recipes import recipe_file
from mmsa_core.run_folder import checkpoint
from mmsa_core.sweeps import candidates, figures
from mmsa_core.sweeps.space import Scalar
from mmsa_core.sweeps.study import Study
from mmsa_core.sweeps.sweep import Sweep
from mmsa_core.sweeps.sweep_file import Loaded
from mmsa_core.training import experiment

SHOWN = 20
"""Trials of the table in the terminal; the file has all of them."""
ENDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "unfinished"}


def shown(params: Mapping[str, Scalar]) -> str:
    """Values in one line."""
    return ", ".join(f"{key} {short(value)}" for key, value in params.items())


def short(value: Scalar) -> str:
    """A value in few letters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def csv(study: Study, sweep: Sweep) -> str:
    """A row for each trial, by number."""
    seeds = list(dict.fromkeys(seed for each in study.trials for seed in each.user_attrs.get("seeds", {})))
    metric = sweep.objective.metric
    header = ["trial", "state", metric, "std", *(f"seed {seed}" for seed in seeds), *sweep.space, "message"]
    rows = []
    for each in study.trials:
        found = each.user_attrs.get("seeds", {})
        value = each.value if found else None
        values = [each.number, ENDS[each.state.name], value, _std(found), *(found.get(seed) for seed in seeds)]
        params = [each.params.get(key) for key in sweep.space]
        message = " ".join(each.user_attrs.get("message", "").split())
        rows.append(["" if v is None else v for v in [*values, *params, message]])
    return checkpoint.csv_text(header, rows)


def write(folder: Path, study: Study, loaded: Loaded, display: Display) -> None:
    """Print the table and write everything."""
    checkpoint.write_text(folder / "trials.csv", csv(study, loaded.sweep))
    display.console.print(_table(study, loaded.sweep))
    written = [folder / "trials.csv"]
    best = study.completed()
    if not best:
        display.warn("no trial was trained to its end, so that there is nothing to choose")
        return
    importances = study.importances()
    if not importances:
        display.note("too few different results to say which keys matter: no figure of importances")
    drawn = {"parallel": figures.parallel(study.completed(), loaded.sweep)}
    if importances:
        drawn["importance"] = figures.importance(importances, loaded.sweep)
        checkpoint.write_json(folder / "importance.json", importances)
    for name, rendered in drawn.items():
        for kind, content in (("png", rendered.png), ("pdf", rendered.pdf)):
            checkpoint.write_bytes(folder / f"{name}.{kind}", content)
            written.append(folder / f"{name}.{kind}")
    checkpoint.write_text(folder / "best.yaml", _best(best[0], loaded))
    for path in written:
        display.console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
    again = f"mmsa train {folder / 'best.yaml'} --seeds 5"
    display.note(f"trial {best[0].number} is chosen; nothing was tested so far. To train and test it: {again}")


def _best(trial: Any, loaded: Loaded) -> str:
    """The chosen recipe, which is tested as the base recipe is."""
    recipe = experiment.anchored(candidates.chosen(loaded, trial.params))
    seeds = trial.user_attrs["seeds"]
    head = [
        f"# Trial {trial.number} of the sweep {loaded.sweep.name}, chosen by validation alone:",
        f"# {loaded.sweep.objective.metric} {trial.value:.6g}, the mean of {_seeds(seeds)}.",
        "# It is the best of several by these numbers, so that they flatter it.",
    ]
    return "\n".join(head) + "\n" + recipe_file.dump(recipe)


def _table(study: Study, sweep: Sweep) -> Table:
    best, trials = study.completed(), study.trials
    others = [each for each in trials if each.state.name != "COMPLETE"]
    kept = [*best, *others][:SHOWN]
    of = "" if len(kept) == len(trials) else f", the first {SHOWN} of {len(trials)} trials"
    title = f"{sweep.name}: {sweep.objective.metric} on validation{of}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for name in ("trial", sweep.objective.metric, "state", *sweep.space):
        table.add_column(name, justify="right")
    for each in kept:
        found = each.user_attrs.get("seeds", {})
        spread = f" ± {std:.3f}" if (std := _std(found)) is not None else ""
        value = f"{each.value:.4f}{spread}" if found and each.value is not None else ""
        params = [short(each.params[key]) if key in each.params else "" for key in sweep.space]
        table.add_row(str(each.number), value, ENDS[each.state.name], *params)
    return table


def _std(found: Mapping[str, float]) -> float | None:
    return stdev(found.values()) if len(found) > 1 else None


def _seeds(found: Mapping[str, float]) -> str:
    return f"seed{'s' if len(found) > 1 else ''} {', '.join(found)}"
