"""The commands of `mmsa plugin`, for authors of packages that bring components."""

import click

from mmsa_core.commands.plugin_new import new


@click.group()
def plugin() -> None:
    """Begin a package that brings a component."""


plugin.add_command(new)
