"""The command `mmsa plugin new`."""

from pathlib import Path

import click

from mmsa_core.commands.command import command


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["distiller", "encoder", "fusion", "masker", "dataset"]),
    help="What the component is.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write, a new one; by default NAME.")
@command
def new(name: str, kind: str, out: Path | None) -> None:
    """Write a package NAME with one component, ready to train and to be tested."""
    from mmsa_core.plugins import creating

    folder = out or Path(name)
    names, written = creating.create(name, kind, folder)
    for path in written:
        click.echo(folder / path)
    click.echo(f"next: cd {folder} && pip install -e '.[test]'")
    click.echo(f"then: mmsa train {names.prefix}, and pytest")
