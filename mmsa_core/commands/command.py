"""What every command of `mmsa` shares: one message for a user's mistake, and options that several take."""

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mmsa_core import launched, limits
from mmsa_core.commands import together
from mmsa_core.errors import Interrupted, Together, UserError
from mmsa_core.plain import plain
from mmsa_core.training.stopping import EXIT_CODE

RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
"""A file, or the name of an installed recipe; a file that exists wins. `recipe_file.load` takes both."""
RUN = click.argument("run", type=click.Path(path_type=Path))
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a recipe field, e.g. train.lr=1e-4."
)
DEBUG = click.option("--debug", is_flag=True, help="Show the traceback of an error.")

STOPPED = 128 + signal.SIGINT
"""The exit code of what Ctrl-C ends, as shells have it."""


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A user's mistake ends with one message and exit code 2; `--debug` shows where it was noticed."""

    @functools.wraps(function)
    def run(*args: Any, debug: bool, **kwargs: Any) -> None:
        if together.left_to_the_first(function.__name__):
            return
        try:
            if not launched.rank():
                report_problems()
            function(*args, **kwargs)
        except BrokenPipeError:
            sys.exit(1)
        except Interrupted as stopped:
            click.echo(plain(f"stopped; {stopped}"), err=True)
            sys.exit(EXIT_CODE)
        except KeyboardInterrupt:
            if debug:
                traceback.print_exc()
            click.echo("stopped; files are written whole or not at all", err=True)
            sys.exit(STOPPED)
        except (UserError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, Together) and launched.rank():  # the first process says it
                sys.exit(2)
            explained = limits.explained(error)  # what a machine runs out of, or a file that cannot be read or written
            if isinstance(error, RuntimeError) and explained is None:
                raise  # a defect
            if debug:
                traceback.print_exc()
            for line in plain(explained or str(error)).splitlines():
                click.echo(f"error: {line}", err=True)
            sys.exit(2)

    return DEBUG(run)


def report_problems() -> None:
    """Say which installed distributions could not be read; everything else goes on working."""
    from mmsa_core import registry

    for problem in registry.metadata().problems:
        click.echo(plain(f"warning: {problem}"), err=True)
