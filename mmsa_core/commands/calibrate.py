"""`mmsa calibrate`."""

from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, RUN, SET, command

CALIBRATE = click.option(
    "--calibrate", is_flag=True, help="Also with RUN's calibration, which `mmsa calibrate` fits, as NAME_calibrated."
)


@click.command()
@RUN
@click.option("--draws", type=click.IntRange(min=1), default=3, show_default=True, help="Draws of the masks to fit on.")
@click.option("--temperature", is_flag=True, help="Fit a temperature too; not for a regression.")
@SET
@DEVICE
@command
def calibrate(run: Path, draws: int, temperature: bool, overrides: tuple[str, ...], device: str) -> None:
    """Fit a bias for what is seen of a sample, on validation.

    There is one for each subset of the modalities and bucket of the share of missing frames, fitted on masked draws of
    RUN's validation split. It is kept as calibration.json in the folder of each seed; evaluate and predict apply it
    with --calibrate.
    """
    from mmsa_core.calibration import calibration_report
    from mmsa_core.devices import pick
    from mmsa_core.display import Display

    calibration_report.calibrate(run, draws, temperature, overrides, pick(device), Display())
