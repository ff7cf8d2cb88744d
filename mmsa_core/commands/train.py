"""The command `mmsa train`, and the options of every command that trains several seeds."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mmsa_core.commands.command import DEVICE, RECIPE, SET, command

MOST = 100
"""A single number up to this one counts seeds; a larger one is a seed."""
WANTED = f"expected a count from 1 to {MOST}, or seeds with commas such as 1111,1112,1113 (a single one: 7,)"


def seeds_given(_: Any, __: Any, text: str | None) -> int | list[int] | None:
    """The value of `--seeds`: a count, or the seeds themselves."""
    if text is None:
        return None
    try:
        found = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {WANTED}") from error
    if "," in text or found[0] > MOST:
        return found
    if found[0] < 1:
        raise click.BadParameter(f"{text!r}: {WANTED}")
    return found[0]


def jobs_given(_: Any, __: Any, text: str) -> int | None:
    """The value of `--jobs`; None is auto."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r}: expected a number from 1, or auto")
    return int(text)


SEEDS = click.option(
    "--seeds",
    metavar="N|A,B,..",
    callback=seeds_given,
    help=f"How many seeds (1 to {MOST}: the recipe's first and those that follow it), or the seeds themselves with "
    "commas (7, is the seed 7). One run for each; overrides the recipe's.",
)
JOBS = click.option(
    "--jobs",
    metavar="N|auto",
    default="auto",
    show_default=True,
    callback=jobs_given,
    help="How many seeds are trained at once, each in a process of its own; auto: as many as the cores allow at the "
    "recipe's threads, and one on CUDA. The numbers are the same.",
)


def with_seeds(recipe: Path, overrides: Sequence[str], seeds: int | list[int] | None) -> tuple[str, ...]:
    """The overrides with one for the seeds; a count begins at the recipe's first seed."""
    from mmsa_core.recipes import recipe_file

    if isinstance(seeds, int):
        first = recipe_file.load(recipe, overrides).seeds[0]
        seeds = list(range(first, first + seeds))
        click.echo(f"seeds: {', '.join(map(str, seeds))}")
    return (*overrides, *([] if seeds is None else [f"seeds={seeds}"]))


@click.command()
@RECIPE
@SET
@SEEDS
@JOBS
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the runs (default: runs/NAME, then runs/NAME-2)."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the experiment in --out: finished seeds are kept, the others are trained; more seeds may be asked "
    "for than before.",
)
@DEVICE
@command
def train(
    recipe: Path,
    overrides: tuple[str, ...],
    seeds: int | list[int] | None,
    jobs: int | None,
    out: Path | None,
    resume: bool,
    device: str,
) -> None:
    """Train RECIPE for every seed and evaluate it."""
    from mmsa_core.display import Display
    from mmsa_core.recipes import installed, recipe_file
    from mmsa_core.training import experiment, following, joining

    with joining.joined(device) as world:
        if world.rank:
            following.follow(world)
            return
        found = recipe_file.load(recipe, with_seeds(recipe, overrides, seeds))
        display, line = Display(), " ".join(["mmsa", *sys.argv[1:]])
        origin = installed.origin(recipe)
        folder = experiment.train(found, out, world.device, line, display, None, jobs, resume, origin, world)
    display.console.print(f"run folder: {folder}", markup=False, highlight=False, soft_wrap=True)
