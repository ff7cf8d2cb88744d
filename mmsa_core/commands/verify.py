"""`mmsa verify`."""

import sys
from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, RUN, SET, command
from mmsa_core.commands.train import JOBS


@click.command()
@RUN
@click.option("--seed", "seeds", multiple=True, type=int, help="One of its seeds; by default all of them.")
@JOBS
@SET
@DEVICE
@command
def verify(run: Path, seeds: tuple[int, ...], jobs: int | None, overrides: tuple[str, ...], device: str) -> None:
    """Train RUN again and compare it byte for byte.

    It is trained from its recipe and provenance into a temporary folder; --device auto is the kind of device that it
    was trained on, and where its data have moved, give --set data.path=FILE. Exit code 0: identical. 1: it differs.
    2: it cannot be trained again.
    """
    from mmsa_core.display import Display
    from mmsa_core.plain import plain
    from mmsa_core.run_folder import verifying

    line = " ".join(["mmsa", *sys.argv[1:]])
    verdicts = verifying.verify(run, seeds, overrides, device, jobs, line, Display())
    for verdict in verdicts:
        names = ", ".join(verdict.compared)
        click.echo(f"seed {verdict.seed}: {'different' if verdict.differences else f'identical ({names})'}")
        for difference in verdict.differences:
            click.echo(plain(f"  {difference}"))
        for cause in verdict.causes:
            click.echo(plain(f"  {'likely reason' if verdict.differences else 'though not the same'}: {cause}"))
        if verdict.differences and not verdict.causes:
            click.echo("  provenance says of nothing that it was otherwise then")
    if any(verdict.differences for verdict in verdicts):
        sys.exit(1)
