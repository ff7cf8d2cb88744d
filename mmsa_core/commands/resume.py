"""`mmsa resume`."""

import sys
from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, SET, command
from mmsa_core.commands.train import JOBS


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@JOBS
@SET
@DEVICE
@command
def resume(folder: Path, jobs: int | None, overrides: tuple[str, ...], device: str) -> None:
    """Go on with the experiment in DIR.

    As `mmsa train RECIPE --out DIR --resume` does, with the recipe and the seeds that DIR has. --device auto is the
    kind of device that it was begun on, and where its data have moved, give --set data.path=FILE.
    """
    from mmsa_core.display import Display
    from mmsa_core.training import continuing, following, joining

    display, line = Display(), " ".join(["mmsa", *sys.argv[1:]])
    with joining.joined(device) as world:
        if world.rank:
            following.follow(world)
            return
        continuing.go_on(folder, overrides, device, jobs, line, display, world)
    display.console.print(f"run folder: {folder}", markup=False, highlight=False, soft_wrap=True)
