"""How the runs were trained: every loss term and validation over epochs, for teacher and student."""

from collections.abc import Sequence
from functools import partial

from mmsa_core.report.blocks import Block, Column, Picture, Row, Section, Table, Text
from mmsa_core.report.drawing.lines import Panel, panels
from mmsa_core.report.log import over_seeds
from mmsa_core.report.material import Material, Run
from mmsa_core.report.metric_names import named
from mmsa_core.report.spread import measured


def section(material: Material) -> Section:
    """A figure for each stage, and which epoch was picked."""
    blocks: list[Block] = [
        Text(
            "Lines are means over the seeds, bands one standard deviation, as far as all seeds trained; beyond that "
            "each seed is a thin line. Loss terms are shown before their weights. Students are validated under the "
            f"masks of their training: {'; '.join(f'{run.name} {masks(run)}' for run in material.runs)}. What was "
            "validated under different masks, and losses of different tasks, cannot be compared here; the tables can."
        )
    ]
    for stage in ("teacher", "student"):
        found = quantities(material.runs, stage)
        if found:
            blocks.append(_picture(material, stage, found))
    return Section("Training", (*blocks, picked(material)))


def masks(run: Run) -> str:
    """Under which masks a run is trained and validated."""
    masker, kind = run.recipe.masker, getattr(run.recipe.task, "kind", "")
    return f"({kind}) {'none' if masker is None else masker.name}"


def quantities(runs: Sequence[Run], stage: str) -> list[str]:
    """Every loss term that any run has, then the validation loss and the headline metrics."""
    known = dict.fromkeys(name for run in runs for log in run.logs for name in log.epochs.get(stage, {}))
    terms = [name for name in known if name.startswith("train/loss/")]
    terms.sort(key=lambda name: (name != "train/loss/task", name == "train/loss/total"))
    headline = [f"valid/{name}" for name in ("loss", *runs[0].recipe.task.headline)]
    return terms + [name for name in dict.fromkeys(headline) if name in known]


def _picture(material: Material, stage: str, found: Sequence[str]) -> Picture:
    names = [run.name for run in material.runs]
    drawn = [_panel(material.runs, stage, name) for name in found]
    return Picture(
        f"training-{stage}",
        f"Training of the {stage}: loss terms on the training split, and validation.",
        f"Line plots over epochs, one panel for each of {', '.join(panel.title for panel in drawn)}; "
        f"one line for each of {', '.join(names)}.",
        partial(panels, drawn, names, markers=False),
    )


def _panel(runs: Sequence[Run], stage: str, name: str) -> Panel:
    series = {run.name: over_seeds(run.logs, stage, name) for run in runs}
    where, _, quantity = name.partition("/")
    title = f"{quantity.removeprefix('loss/')} (training loss)" if where == "train" else f"validation {named(quantity)}"
    ylabel = "loss" if "loss" in quantity else named(quantity)
    return Panel(title, "epoch", ylabel, {run: each for run, each in series.items() if each is not None}, whole=True)


def picked(material: Material) -> Table:
    """Which epoch of the student validation picked."""
    rows: list[Row] = []
    for run in material.runs:
        found = [each.results for each in run.seeds]
        seconds = [each.provenance.get("seconds") for each in run.seeds]
        columns = [[each.get(key) for each in found] for key in ("best_epoch", "epochs")]
        cells = [measured(values, decimals=1) for values in (*columns, seconds)]
        rows.append((run.name, str(found[0].get("selected_by", "")), *cells))
    columns_of = (
        Column("run", "run", numeric=False),
        Column("picked by", "selected_by", numeric=False),
        Column("picked epoch", "best_epoch"),
        Column("epochs trained", "epochs"),
        Column("seconds per seed", "seconds"),
    )
    return Table("training", f"The epoch that validation picked, {material.spread}", columns_of, (tuple(rows),))
