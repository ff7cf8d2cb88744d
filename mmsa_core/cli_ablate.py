"""The command `mmsa ablate`."""

import sys
from pathlib import Path

import click

from mmsa_core.cli_command import DEVICE, RECIPE, SET, command
from mmsa_core.cli_train import JOBS, SEEDS, with_seeds


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
    """Train RECIPE and variants that lack a part, and compare each with the full one.

    All are trained on the same seeds and masks.
    """
    from mmsa_core import ablating, ablation, recipe_file
    from mmsa_core.devices import pick
    from mmsa_core.display import Display

    found = recipe_file.load(recipe, with_seeds(recipe, overrides, seeds))
    variants = ablation.variants(found, drops, each)
    display, line = Display(), " ".join(["mmsa", *sys.argv[1:]])
    chosen = protocols or ("inter", "intra")
    folder = ablating.run(variants, chosen, out, pick(device), line, display, processes=jobs, resumed=resume)
    display.console.print(f"ablation: {folder}", markup=False, highlight=False, soft_wrap=True)
