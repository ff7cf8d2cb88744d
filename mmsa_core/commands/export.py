"""The command `mmsa export`."""

from pathlib import Path
from typing import Literal

import click

from mmsa_core.commands.command import RUN, command
from mmsa_core.plain import plain


@click.command()
@RUN
@click.option("--format", "form", required=True, type=click.Choice(["onnx", "pt2"]))
@click.option(
    "--out", type=click.Path(path_type=Path), help="A new file; by default student.onnx or student.pt2 in RUN."
)
@click.option("--seed", type=int, help="Which of RUN's seeds, where it has several.")
@command
def export(run: Path, form: Literal["onnx", "pt2"], out: Path | None, seed: int | None) -> None:
    """Write the student of RUN as one file for other programs.

    Inputs are the features and the mask of each modality. Before the file is put in place it is compared with the
    network on every subset of the modalities, at other lengths and numbers of samples.
    """
    from mmsa_core.export import exporting

    written = exporting.export(run, form, out, seed)
    for note in written.notes:
        click.echo(plain(f"note: {note}"), err=True)
    click.echo(f"compared with the network in {written.cases} cases: the same up to rounding")
    click.echo(plain(f"written: {written.path}"))
