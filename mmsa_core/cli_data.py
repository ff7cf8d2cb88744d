"""The command `mmsa data`: what can be done with data before a model is trained."""

from pathlib import Path

import click

from mmsa_core.cli_command import SET, command


@click.group()
def data() -> None:
    """Convert data."""


@data.command()
@click.argument("file", metavar="IN", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--reader", metavar="NAME", help="The data set that reads IN; by default what its keys tell for certain.")
@SET
@command
def convert(file: Path, folder: Path, reader: str | None, overrides: tuple[str, ...]) -> None:
    """Write what is in IN as a new folder OUT in our own format, which opens at once and shares memory."""
    from mmsa_core import conversion

    corpus, written = conversion.convert(file, folder, reader, overrides)
    for line in conversion.summary(corpus):
        click.echo(line)
    click.echo(f"written: {written}")
