"""`mmsa plugin`: for who writes one."""

import click

from mmsa_core.commands.plugin_check import check


@click.group()
def plugin() -> None:
    """Write and check a distribution of components."""


plugin.add_command(check)
