"""The command `mmsa ablate`."""

import sys
from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, RECIPE, SET, command
from mmsa_core.commands.train import JOBS, SEEDS, with_seeds


@click.command()
@RECIPE
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="PATH",
    help="A part to leave out in a variant of its own, such as distillers.scd, masker or train.clip; "
    "teacher+distillers leaves both out.",
)
@click.option(
    "--each", multiple=True, metavar="PATH", help="Leave out each entry of a part in turn, such as distillers."
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    help="A name that `mmsa protocols` lists, or a YAML file; inter and intra by default.",
)
@SET
@SEEDS
@JOBS
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder, with one below it for each variant (default: runs/NAME-ablation, then runs/NAME-ablation-2).",
)
@click.option("--resume", is_flag=True, help="Go on with the ablation in --out; finished seeds are kept.")
@DEVICE
@command
def ablate(
    recipe: Path,
    drops: tuple[str, ...],
    each: tuple[str, ...],
    protocols: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: int | list[int] | None,
    jobs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
) -> None:
    """Compare RECIPE with variants that each lack a part.

    All are trained on the same seeds and masks.
    """
    from mmsa_core.ablation import ablating, ablation
    from mmsa_core.devices import pick
    from mmsa_core.display import Display
    from mmsa_core.recipes import installed, recipe_file

    found = recipe_file.load(recipe, with_seeds(recipe, overrides, seeds))
    variants = ablation.variants(found, drops, each)
    display, line = Display(), " ".join(["mmsa", *sys.argv[1:]])
    chosen = protocols or ("inter", "intra")
    origin = installed.origin(recipe)
    folder = ablating.run(variants, chosen, out, pick(device), line, display, jobs, resume, origin)
    display.console.print(f"ablation: {folder}", markup=False, highlight=False, soft_wrap=True)
