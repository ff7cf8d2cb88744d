"""What `mmsa data inspect` does: choose the reader, read, look, warn, print."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from mmsa_core.corpora import opening
from mmsa_core.errors import UserError
from mmsa_core.inspection import text
from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.plain import plain
from mmsa_core.inspection.traps import warnings


def inspect(path: Path, reader: str | None, overrides: Sequence[str], folder: Path | None, as_json: bool) -> None:
    """Print the report of a file or folder, as text or JSON, and draw it where a folder is given."""
    if folder is not None:
        from mmsa_core.inspection import plots  # who draws nothing need not wait for matplotlib

        plots.check(folder)
    choice = opening.choose(path, reader, overrides)
    name = choice.config.name
    waiting = Console(stderr=True)
    with waiting.status("reading") as status:  # seen on a terminal alone
        corpus = choice.load()
        if not any(len(split) for split in corpus.splits.values()):
            raise UserError(f"{path}: no split has a row; there is nothing to look at")
        found = facts(corpus, choice.looks, lambda what: status.update(f"looking at {what}"))
        status.update("looking for known traps")
        warned = warnings(corpus, found)
    drawn = plots.draw(folder, path.name, found) if folder is not None else []
    if as_json:
        written = plain(str(path), name, found, warned, [str(each) for each in drawn])
        click.echo(json.dumps(written, indent=2, allow_nan=False))
        return
    out = text.console()
    with out.capture() as report:
        text.show(out, f"{path.name} (reader {name})", found, warned)
    click.echo("\n".join(line.rstrip() for line in report.get().splitlines()))
    for each in drawn:
        out.print(f"written: {each}", markup=False, soft_wrap=True)
