"""What Weights & Biases is told of an evaluation: tables of protocols; curves, confusion and edges as pictures."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmsa_core.evaluation.evaluation import Evaluated
from mmsa_core.inspection.shared import Leakage
from mmsa_core.recipes.recipe import Wandb
from mmsa_core.report.blocks import Picture
from mmsa_core.report.drawing.style import render
from mmsa_core.report.material import Material
from mmsa_core.report.sections import confusion, curves
from mmsa_core.report.tested import Tested
from mmsa_core.tracking import wandb_runs
from mmsa_core.tracking.wandb_tracking import flat


def log(evaluated: Sequence[Evaluated], summaries: Sequence[Mapping[str, Any]]) -> None:
    """Tell the evaluation run of an experiment, or of one seed, what it answers under each protocol."""
    first = evaluated[0]
    folder = first.folder.resolve()
    experiment = folder.parent if folder.name == f"seed-{first.recipe.seeds[0]}" else folder
    with wandb_runs.start(first.recipe.track.wandb or Wandb(), first.recipe, folder, experiment.name, "eval") as run:
        for each, found in zip(evaluated, summaries, strict=True):
            name = each.protocol.name if each.split_name == "test" else f"{each.protocol.name}-{each.split_name}"
            rows = {place: flat(values) for place, values in (found["conditions"] | found["averages"]).items()}
            for place in found["averages"] or found["conditions"]:
                run.summary.update({f"{name}/{place}/{metric}": value for metric, value in rows[place].items()})
            told = {"table": wandb_runs.table(rows, each.protocol.axis)}
            told["references"] = wandb_runs.table(found["references"], "predictor")
            told |= {label: _image(picture) for label, picture in _pictures(each)}
            run.log({f"{name}/{label}": what for label, what in told.items()})
        _edges(run, folder)


def _pictures(evaluated: Evaluated) -> Iterator[tuple[str, Picture]]:
    """The figures that a report has of one experiment under one protocol."""
    material = Material(
        runs=(),
        split=evaluated.split_name,
        tested=(Tested({evaluated.recipe.name: evaluated}),),
        comparisons=(None,),
        incomparable=(),
        leakage=Leakage((), grouped=False),
        names={},
    )
    for label, section in (("curves", curves.section(material)), ("confusion", confusion.section(material))):
        pictures = [block for block in section.blocks if isinstance(block, Picture)] if section is not None else []
        for number, picture in enumerate(pictures, start=1):
            yield label if len(pictures) == 1 else f"{label} {number}", picture


def _image(picture: Picture) -> Any:
    import wandb
    from PIL import Image

    with Image.open(io.BytesIO(render(picture.draw).png)) as image:
        return wandb.Image(image, caption=picture.caption)


def _edges(run: Any, folder: Path) -> None:
    """The maps of learned edges that `mmsa evaluate --edges` and training left."""
    import wandb

    found = {}
    for path in sorted([*folder.glob("edges-*.png"), *folder.glob("seed-*/edges-*.png")]):
        found[f"edges/{path.parent.name}/{path.stem.removeprefix('edges-')}"] = wandb.Image(str(path))
    if found:
        run.log(found)
