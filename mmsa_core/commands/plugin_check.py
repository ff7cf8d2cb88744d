"""`mmsa plugin check`."""

import sys

import click

from mmsa_core.commands.command import command


@click.command("check")
@click.argument("distribution")
@command
def check(distribution: str) -> None:
    """Try the components of an installed DISTRIBUTION.

    The conformance kit (`mmsa_core.testing`) builds each of them and looks whether it holds what every component must.
    Exit code 0: all do. 1: one does not. 2: there is no such distribution.
    """
    from mmsa_core.screen import Screen
    from mmsa_core.testing import report

    if not report.check(distribution, Screen(width=None if sys.stdout.isatty() else report.PLAIN_WIDTH)):
        sys.exit(1)
