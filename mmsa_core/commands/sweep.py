"""The command `mmsa sweep`."""

import sys
from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, command
from mmsa_core.commands.train import jobs_given


@click.command()
@click.argument("sweep", metavar="SWEEP.yaml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder (default: runs/NAME, then runs/NAME-2).")
@click.option(
    "--on",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where trials are trained: in processes of this machine, or on a ray cluster.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="With --on ray: of the cluster, such as ray://HOST:10001 or auto; without one ray is started here.",
)
@click.option(
    "--jobs",
    metavar="N|auto",
    default="auto",
    show_default=True,
    callback=jobs_given,
    help="How many trials are trained at once; auto: as many as the cores allow at the recipe's threads, and one on "
    "CUDA. With 1 the same sweep gives the same trials.",
)
@click.option("--resume", is_flag=True, help="Go on with the sweep in --out; more trials may be asked for than before.")
@DEVICE
@command
def sweep(
    sweep: Path, out: Path | None, on: str, address: str | None, jobs: int | None, resume: bool, device: str
) -> None:
    """Search for good values of a recipe's keys, judged by validation.

    The test split is not evaluated.
    """
    from mmsa_core.devices import pick
    from mmsa_core.display import Display
    from mmsa_core.errors import UserError
    from mmsa_core.execution import executors
    from mmsa_core.sweeps import sweep_file, sweeping

    if address is not None and on != "ray":
        raise UserError("--address: names a ray cluster; add --on ray")
    loaded, chosen = sweep_file.load(sweep), pick(device)
    display, line = Display(), " ".join(["mmsa", *sys.argv[1:]])
    executor = executors.make(on, address, chosen.type)
    folder = sweeping.run(loaded, out, chosen, line, display, jobs, resume, executor)
    display.console.print(f"sweep: {folder}", markup=False, highlight=False, soft_wrap=True)
