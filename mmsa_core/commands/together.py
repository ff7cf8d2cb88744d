"""What a command does where a launcher started it several times at once."""

import sys

import click

from mmsa_core import launched

TRAIN = ("train", "resume")
"""Commands that several processes do together."""


def left_to_the_first(name: str) -> bool:
    """Whether this process has nothing to do, since the first one does all of this command."""
    if launched.size() == 1 or name in TRAIN:
        return False
    if launched.rank() == 0:
        click.echo(f"warning: `mmsa {name}` takes one process; the other {launched.size() - 1} end", err=True)
    return launched.rank() > 0


class Once(click.Group):
    """Commands whose wrong use is said once, by the first process."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError:
            if launched.rank():
                sys.exit(2)
            raise
