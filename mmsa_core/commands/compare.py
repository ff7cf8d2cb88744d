"""The command `mmsa compare`."""

from pathlib import Path
from typing import Literal

import click

from mmsa_core.commands.command import DEVICE, SET, command


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="The run that the others are compared with; the first by default.",
)
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    help="A name that `mmsa protocols` lists, or a YAML file; inter and intra by default.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Compare by this one (and what stands beside it); by default the table's.",
)
@click.option("--split", default="test", show_default=True, type=click.Choice(["valid", "test"]))
@click.option("--resamples", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the resamples.")
@click.option(
    "--cluster",
    type=click.Choice(["video", "none"]),
    help="Draw whole videos or single samples; by default videos where ids tell them.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write everything as JSON, a new file.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the tables as CSV, a new file.")
@SET
@DEVICE
@command
def compare(
    runs: tuple[Path, ...],
    against: Path | None,
    protocols: tuple[str, ...],
    metrics: tuple[str, ...],
    split: str,
    resamples: int,
    seed: int,
    cluster: Literal["video", "none"] | None,
    json_file: Path | None,
    csv_file: Path | None,
    overrides: tuple[str, ...],
    device: str,
) -> None:
    """Say which differences between RUNs are distinguishable.

    They are compared with the first, on the same samples and masks.
    """
    from mmsa_core.comparison import compare_command
    from mmsa_core.devices import pick
    from mmsa_core.display import Display

    options = compare_command.Options(
        protocols or ("inter", "intra"), metrics, split, resamples, seed, cluster, overrides
    )
    compare_command.run(runs, against, options, json_file, csv_file, pick(device), Display())
