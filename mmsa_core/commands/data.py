"""The group `mmsa data`: what one does with data before and beside training."""

import shlex
from pathlib import Path

import click

from mmsa_core.commands.command import command
from mmsa_core.plain import plain

FORMATS = ("mmsa-pickle", "mult-pickle", "mmsa-fet", "folder", "cmu-sdk", "safetensors")
SIZES = ("tiny", "mosi", "mosei")
CORRUPTIONS = ("nan", "inf", "constant", "duplicates", "leak", "swapped", "truncated")

READER = click.option(
    "--reader", metavar="NAME", help="The data set that reads it; by default what it looks like decides."
)
READER_SET = click.option(
    "--set", "overrides", multiple=True, metavar="data.KEY=VALUE", help="A field of the reader, as in a recipe."
)


@click.group()
def data() -> None:
    """Look at data, convert them, and make some."""


@data.command()
@click.argument("file", type=click.Path(path_type=Path))
@READER
@READER_SET
@click.option("--plot", "folder", type=click.Path(path_type=Path), help="Also draw it: PNGs in a folder, new ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts, instead of text.")
@command
def inspect(file: Path, reader: str | None, overrides: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """What FILE (or a folder) holds, and known traps in it."""
    from mmsa_core.inspection import command as inspection

    inspection.inspect(file, reader, overrides, folder, as_json)


@data.command()
@click.argument("file", metavar="IN", type=click.Path(path_type=Path))
@click.argument("folder", metavar="OUT", type=click.Path(path_type=Path))
@READER
@READER_SET
@command
def convert(file: Path, folder: Path, reader: str | None, overrides: tuple[str, ...]) -> None:
    """Write IN as a new folder OUT in our own format.

    The folder opens at once, and all processes that read it share its memory.
    """
    from mmsa_core.corpora import conversion

    for line in conversion.summary(*conversion.convert(file, folder, reader, overrides)):
        click.echo(plain(line))
    click.echo(f"written: {folder}")
    click.echo(f"in a recipe: --set data.name=safetensors --set {shlex.quote(f'data.path={folder}')}")


@data.group()
def make() -> None:
    """Make a corpus and write it."""


@make.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "reader", type=click.Choice(FORMATS), required=True, help="The data set reader it is for.")
@click.option("--size", type=click.Choice(SIZES), default="tiny", show_default=True)
@click.option(
    "--missing",
    multiple=True,
    metavar="WHAT",
    help="A share of all pairs of sample and modality (0.3), or a modality: vision, train:text, audio=0.3.",
)
@click.option("--corrupt", multiple=True, type=click.Choice(CORRUPTIONS), help="Damage to do on purpose.")
@click.option(
    "--labels",
    type=click.Choice(["score", "unimodal", "emotions"]),
    default="score",
    show_default=True,
    help="A score and its sign; also a score of each modality alone; or four binary labels.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@command
def synthetic(
    out: Path, reader: str, size: str, missing: tuple[str, ...], corrupt: tuple[str, ...], labels: str, seed: int
) -> None:
    """Write a synthetic corpus to OUT, a new file or folder: the same bytes for the same options."""
    from mmsa_core import writers
    from mmsa_core.corpora import corruption, making

    settings = making.settings(reader, labels)
    corpus = making.corpus(size, seed, missing, labels)
    for kind in corrupt:
        corpus = corpus if kind == corruption.TRUNCATED else corruption.apply(corpus, kind)
    lost = writers.write(corpus, reader, out, corruption.truncate if corruption.TRUNCATED in corrupt else None)
    for sentence in lost:
        click.echo(f"note: {sentence}", err=True)
    click.echo(f"{out}: {', '.join(f'{name} {len(split)}' for name, split in corpus.splits.items())} samples")
    options = [f"data.name={reader}", f"data.path={out}", *settings]
    click.echo(f"train: mmsa train recipes/baseline.yaml {' '.join(f'--set {shlex.quote(each)}' for each in options)}")
