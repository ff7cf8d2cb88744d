"""The command `mmsa report`."""

from pathlib import Path

import click

from mmsa_core.commands.command import SET, command


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the report, a new one.")
@click.option(
    "--protocol", "protocols", multiple=True, help="As in `mmsa evaluate`; inter and intra by default.", metavar="NAME"
)
@click.option("--split", default="test", show_default=True, type=click.Choice(["valid", "test"]))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Whom the others are compared with; by default the first.",
)
@click.option(
    "--resamples", type=click.IntRange(min=1), default=10_000, show_default=True, help="As in `mmsa compare`."
)
@click.option("--published", is_flag=True, help="Show numbers that papers printed beside the runs', marked as such.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@SET
@command
def report(
    runs: tuple[Path, ...],
    out: Path,
    protocols: tuple[str, ...],
    split: str,
    against: Path | None,
    resamples: int,
    published: bool,
    device: str,
    overrides: tuple[str, ...],
) -> None:
    """Report on RUNs: an HTML page, tables and figures."""
    from mmsa_core.devices import pick
    from mmsa_core.display import Display
    from mmsa_core.report import making
    from mmsa_core.report.gathering import Options

    display = Display()
    options = Options(protocols or ("inter", "intra"), split, against, published, resamples, overrides)
    page = making.report(runs, out, options, pick(device), display)
    display.console.print(f"written: {page}", markup=False, highlight=False, soft_wrap=True)
