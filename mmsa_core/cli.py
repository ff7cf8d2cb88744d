"""The command `mmsa`: thin; every subcommand reads its input, calls one function and prints."""

import io
import json
import sys
from pathlib import Path

import click

from mmsa_core.commands.ablate import ablate
from mmsa_core.commands.calibrate import CALIBRATE
from mmsa_core.commands.calibrate import calibrate as calibrate_command
from mmsa_core.commands.command import DEVICE, RECIPE, RUN, SET, command
from mmsa_core.commands.compare import compare
from mmsa_core.commands.data import data
from mmsa_core.commands.doctor import doctor
from mmsa_core.commands.embed import embed
from mmsa_core.commands.export import export
from mmsa_core.commands.list import list_components
from mmsa_core.commands.masks import masks
from mmsa_core.commands.plugin import plugin
from mmsa_core.commands.recipe import recipe
from mmsa_core.commands.report import report
from mmsa_core.commands.resume import resume
from mmsa_core.commands.show import show
from mmsa_core.commands.sweep import sweep
from mmsa_core.commands.together import Once
from mmsa_core.commands.train import train
from mmsa_core.commands.verify import verify
from mmsa_core.errors import UserError


@click.group(cls=Once)
@click.version_option(package_name="mmsa-core")
def main() -> None:
    """Multimodal sentiment analysis when modalities go missing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show ± stops no training
            stream.reconfigure(errors="backslashreplace")


main.add_command(ablate)
main.add_command(calibrate_command)
main.add_command(data)
main.add_command(doctor)
main.add_command(embed)
main.add_command(export)
main.add_command(list_components)
main.add_command(plugin)
main.add_command(show)
main.add_command(recipe)
main.add_command(report)
main.add_command(masks)
main.add_command(compare)
main.add_command(resume)
main.add_command(sweep)
main.add_command(train)
main.add_command(verify)


@main.command()
@RUN
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    help="A name that `mmsa protocols` lists, or a YAML file; inter and intra by default.",
)
@click.option("--split", default="test", show_default=True, type=click.Choice(["valid", "test"]))
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Also write everything as JSON, to a new file."
)
@click.option(
    "--edges", is_flag=True, help="Who teaches whom, as RUN's loss terms learned it; alone, no protocol is run."
)
@CALIBRATE
@click.option(
    "--track",
    is_flag=True,
    help="Also log to W&B, as RUN's recipe says in track.wandb: tables, curves, confusion matrices and edges.",
)
@SET
@DEVICE
@command
def evaluate(
    run: Path,
    protocols: tuple[str, ...],
    split: str,
    json_file: Path | None,
    edges: bool,
    calibrate: bool,
    track: bool,
    overrides: tuple[str, ...],
    device: str,
) -> None:
    """Evaluate RUN under missing modalities or frames."""
    from mmsa_core.devices import pick
    from mmsa_core.display import Display
    from mmsa_core.edges import edge_report
    from mmsa_core.evaluation import reports

    display = Display()
    if edges:
        edge_report.report(run, split, overrides, pick(device), display)
    if protocols or json_file or calibrate or track or not edges:
        chosen = protocols or ("inter", "intra")
        reports.evaluate(run, chosen, split, json_file, overrides, pick(device), display, calibrate, track)


@main.command()
@RUN
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format", "reader", help="The data set reader for FILE; by default what it looks like decides, or else RUN."
)
@click.option("--split", help="Predict this split only; by default every split of the file.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="CSV to write; by default predictions go to standard output."
)
@CALIBRATE
@SET
@DEVICE
@command
def predict(
    run: Path,
    file: Path,
    reader: str | None,
    split: str | None,
    out: Path | None,
    calibrate: bool,
    overrides: tuple[str, ...],
    device: str,
) -> None:
    """Predict FILE with RUN; any modality may be missing."""
    from mmsa_core.devices import pick
    from mmsa_core.evaluation import prediction

    prediction.predict(run, file, reader, split, out, overrides, pick(device), calibrate)


@main.command("import")
@click.argument("name")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run, a new one.")
@SET
@command
def import_checkpoint(name: str, checkpoint: Path, out: Path, overrides: tuple[str, ...]) -> None:
    """Make a run of CHECKPOINT, by the importer NAME."""
    from mmsa_core.display import Display
    from mmsa_core.run_folder import importing

    importing.run(name, checkpoint, out, overrides, " ".join(["mmsa", *sys.argv[1:]]), Display())


@main.command()
@RECIPE
@SET
@command
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Validate RECIPE and print it with every default."""
    from mmsa_core import assemble
    from mmsa_core.recipes import recipe_file

    found = recipe_file.load(recipe, overrides)
    assemble.contracts(found)
    click.echo(recipe_file.dump(found), nl=False)


@main.command()
@command
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from mmsa_core import registry
    from mmsa_core.recipes.recipe import Recipe

    for table in registry.ALL:
        for name in table:
            try:
                table.described(name)
            except UserError as error:
                click.echo(f"warning: left out: {error}", err=True)
    click.echo(json.dumps(Recipe.model_json_schema(), indent=2))


@main.command()
@click.argument("name", required=False)
@command
def protocols(name: str | None) -> None:
    """List the protocols, or print NAME as YAML."""
    from mmsa_core.evaluation import protocol_file

    known = protocol_file.shipped()
    if name is not None:
        protocol_file.load(name)
        click.echo(known.get(protocol_file.SHORT.get(name, name)) or Path(name).read_text(encoding="utf-8"), nl=False)
        return
    for each in known:
        about = protocol_file.load(each).about.split()
        short = next((f" (or {key})" for key, value in protocol_file.SHORT.items() if value == each), "")
        click.echo(f"{each}{short}\n  {' '.join(about)}")
