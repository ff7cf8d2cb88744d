"""`mmsa plugin`: for who writes one."""

import click

from mmsa_core.commands.plugin_check import check
from mmsa_core.commands.plugin_new import new


@click.group()
def plugin() -> None:
    """Write and check a distribution of components."""


plugin.add_command(check)
plugin.add_command(new)
