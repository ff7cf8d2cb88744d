"""The command `mmsa doctor`."""

import json

import click

from mmsa_core.commands.command import SET
from mmsa_core.plain import plain


@click.command()
@click.argument("recipe", required=False)
@SET
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every problem in full.")
def doctor(recipe: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what a bug report needs: versions, device, plugins, data.

    With RECIPE also whether it can be read and where its data are. What is broken is said, and the exit code is 0 all
    the same. Keys are not shown, and the home folder is ~. Where `mmsa` does not start: python -m mmsa_core.doctor.
    """
    from mmsa_core.doctor.facts import report
    from mmsa_core.doctor.page import text

    facts = report(recipe, overrides)
    click.echo(json.dumps(facts, indent=2) if as_json else plain(text(facts)))
