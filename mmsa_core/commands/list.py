"""The command `mmsa list`."""

import json
import shutil
import sys
from dataclasses import asdict

import click

from mmsa_core.commands.command import command


@click.command("list")
@click.argument(
    "kind",
    required=False,
    metavar="[KIND]",
    type=click.Choice(["encoders", "fusions", "distillers", "maskers", "datasets", "importers"]),
)
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, a list with an object for each component.")
@command
def list_components(kind: str | None, as_json: bool) -> None:
    """List the installed components and who brings them.

    Reads metadata only: kind, name, distribution, version, and what the distribution says of itself, or why the
    component cannot be used.
    """
    from mmsa_core.plain import plain
    from mmsa_core.plugins import listing

    found = [row for row in listing.rows() if kind in (None, f"{row.kind}s")]
    if as_json:
        click.echo(json.dumps([asdict(row) for row in found], indent=2))
        return
    cells = [[row.kind, row.name, row.distribution, row.version or "-"] for row in found]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row, given in zip(found, cells, strict=True):
        said = f"! {row.problem}" if row.problem else row.summary
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(given, widths, strict=True)), said]).rstrip()
        click.echo(plain(line)[:room])
