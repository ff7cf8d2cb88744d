"""`mmsa embed`."""

from pathlib import Path

import click

from mmsa_core.commands.command import DEVICE, RUN, SET, command


@click.command()
@RUN
@click.option("--protocol", default="inter", show_default=True, help="Whose conditions, beside the complete samples.")
@click.option("--condition", "conditions", multiple=True, help="One of its conditions; by default all of them.")
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "valid", "test"]))
@click.option("--out", type=click.Path(path_type=Path), help="A new folder (default: RUN/embed, then RUN/embed-2).")
@click.option(
    "--method",
    type=click.Choice(["pca", "tsne", "both"]),
    default="pca",
    show_default=True,
    help="PCA is always drawn.",
)
@click.option(
    "--samples", type=click.IntRange(min=4), default=300, show_default=True, help="Samples in the maps, at most."
)
@SET
@DEVICE
@command
def embed(
    run: Path,
    protocol: str,
    conditions: tuple[str, ...],
    split: str,
    out: Path | None,
    method: str,
    samples: int,
    overrides: tuple[str, ...],
    device: str,
) -> None:
    """Write what RUN makes of each sample, and 2-D maps of it.

    The files have the joint representation and that of each modality, of the samples as they are and in each
    condition of a protocol, in a folder for each seed.
    """
    from mmsa_core.devices import pick
    from mmsa_core.display import Display
    from mmsa_core.embedding import embedding_report

    methods = ("pca",) if method == "pca" else ("pca", "tsne")
    embedding_report.embed(run, protocol, conditions, split, out, methods, samples, overrides, pick(device), Display())
