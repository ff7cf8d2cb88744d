"""The command `mmsa masks`: records of the masks of a protocol, or of a published code, to be replayed."""

from pathlib import Path
from typing import Any

import click

from mmsa_core.commands.command import SET, command

CODES = ("mmsa", "emt-dlfr", "lnln", "gcnet", "imder")


def frames_given(_: Any, __: Any, given: tuple[str, ...]) -> dict[str, int]:
    """The values of `--frames`."""
    found = {}
    for text in given:
        modality, equals, number = text.partition("=")
        if not equals or not modality or not number.isdecimal():
            raise click.BadParameter(f"{text!r}: expected MODALITY=NUMBER, such as audio=500")
        found[modality] = int(number)
    return found


@click.command()
@click.argument("source", metavar="RECIPE|RUN", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the records, a new one.")
@click.option("--protocol", help="The protocol whose masks are recorded, by name or file.")
@click.option("--published", type=click.Choice(CODES), help="In place of a protocol: the masks of a published code.")
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "valid", "test"]))
@click.option("--seed", type=click.IntRange(min=0), help="With --published: a seed in place of the published ones.")
@click.option("--order", metavar="A,B,C", help="With --published: what stands for text, audio and vision.")
@click.option(
    "--frames",
    multiple=True,
    metavar="MODALITY=N",
    callback=frames_given,
    help="With --published: what the arrays of the code's file are padded to.",
)
@SET
@command
def masks(
    source: Path,
    out: Path,
    protocol: str | None,
    published: str | None,
    split: str,
    seed: int | None,
    order: str | None,
    frames: dict[str, int],
    overrides: tuple[str, ...],
) -> None:
    """Record a protocol's masks on the data of RECIPE or RUN.

    OUT gets a file of masks for each condition, which the masker `replay` reads, and protocol.yaml, which replays
    them all with `mmsa evaluate RUN --protocol OUT/protocol.yaml`.
    """
    from mmsa_core.errors import UserError
    from mmsa_core.masks import recording_command as work

    if (protocol is None) == (published is None):
        raise UserError("give either --protocol or --published")
    if protocol is not None and (seed is not None or order or frames):
        raise UserError("--seed, --order and --frames go with --published; a protocol's seed is --set evaluate.seed=N")
    recipe = work.recipe_of(source, overrides)
    if protocol is not None:
        paths = work.record(recipe, protocol, split, out)
    else:
        assert published is not None
        paths = work.record_published(recipe, published, split, out, seed, order, frames)
    for path in paths:
        click.echo(f"written: {path}")
    click.echo(f"replay: mmsa evaluate RUN --protocol {path} --split {split}")
