"""The group `mmsa recipe`: the recipes that installed distributions bring."""

import shlex
from pathlib import Path

import click

from mmsa_core.commands.command import command


@click.group()
def recipe() -> None:
    """List the installed recipes, and copy one to edit."""


@recipe.command("list")
@command
def list_recipes() -> None:
    """List the recipes that a name stands for, with the distribution of each and its first comment."""
    from mmsa_core.plain import plain
    from mmsa_core.recipes import installed

    found = installed.survey()
    for problem in found.problems:
        click.echo(plain(f"warning: {problem}"), err=True)
    for name, claims in found.recipes.items():
        owners = " and ".join(each.owner for each in claims)
        click.echo(plain(f"{name}  ({owners})"))
        click.echo(plain(f"  {installed.about(claims[0])}"))


@recipe.command()
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@command
def copy(name: str, file: Path | None) -> None:
    """Write the installed recipe NAME to FILE (default: NAME.yaml), a new one, to edit."""
    from mmsa_core.recipes import installed

    found = installed.find(name)
    written = installed.copy(found, file or Path(f"{name}.yaml"))
    click.echo(f"written: {written} (recipe '{name}' of {found.owner})")
    click.echo(f"train: mmsa train {shlex.quote(str(written))}")
