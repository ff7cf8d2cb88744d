"""The command `mmsa show`."""

import click

from mmsa_core.commands.command import command


@click.command()
@click.argument("name")
@command
def show(name: str) -> None:
    """Explain the component NAME and its fields.

    Docstring, equations, what it reads and gives, the type, default and meaning of each field, and how it stands in
    a recipe.
    """
    from mmsa_core import reference
    from mmsa_core.plain import plain

    click.echo(plain(reference.describe(name)))
