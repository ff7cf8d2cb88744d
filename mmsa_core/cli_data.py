"""The group `mmsa data`: what one does with data before and beside training."""

from pathlib import Path

import click

from mmsa_core.cli_command import command


@click.group()
def data() -> None:
    """Look at data."""


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--reader", help="The data set component that reads FILE; by default what it looks like decides.")
@click.option(
    "--set", "overrides", multiple=True, metavar="data.KEY=VALUE", help="A field of the reader, as in a recipe."
)
@click.option("--plot", "folder", type=click.Path(path_type=Path), help="Also draw it: PNGs in a folder, new ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts, instead of text.")
@command
def inspect(file: Path, reader: str | None, overrides: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """What FILE (or a folder) holds, and known traps in it."""
    from mmsa_core.inspection import command as inspection

    inspection.inspect(file, reader, overrides, folder, as_json)
