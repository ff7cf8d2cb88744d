"""What `mmsa evaluate --edges` does: who teaches whom in trained runs; as tables, CSV and heat maps."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import nn

from mmsa_core import assemble, registry
from mmsa_core.corpora.batching import batches, lengths_of, to_device
from mmsa_core.corpora.corpus import Split
from mmsa_core.display import Display
from mmsa_core.edges import edges
from mmsa_core.edges.edges import Edges, Pair
from mmsa_core.errors import UserError
from mmsa_core.evaluation import reports
from mmsa_core.run_folder import checkpoint
from mmsa_core.run_folder.checkpoint import Loaded


def report(run: Path, split: str, overrides: Sequence[str], device: torch.device, display: Display) -> None:
    """Print the mean edges of RUN, and write `edges-TERM.csv` and `edges-TERM.png` into the folder of each seed.

    Raises:
        UserError: where no term of the run gives edges.
    """
    runs = reports.opened(run, overrides, display)
    part = reports.data_of(runs, display).splits[split]
    found = []
    for each in runs:
        terms = trained_terms(each, part).to(device)
        found.append(edges.measure(each.model.to(device), terms, to_device(part, device), each.recipe))
    if not all(found):
        raise UserError(f"{run}: {_nothing(runs[0])}")
    for label in found[0]:
        title = f"{label}: who teaches whom, {runs[0].recipe.name}, {split} split ({len(part)} samples)"
        print_means(display, title, runs, [edges.means(each[label]) for each in found])
    for each, by_label in zip(runs, found, strict=True):
        for label, weights in by_label.items():
            for path in write(each, label, split, part.ids, weights):
                display.console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)


def trained_terms(run: Loaded, split: Split) -> nn.ModuleDict:
    """The terms of a run that give edges, as training left them; a few samples give lazy ones their sizes."""
    configs = run.recipe.distillers.items()
    asked = {label: config for label, config in configs if edges.given_by(registry.distillers.get(config.name))}
    recipe, seed = run.recipe.model_copy(update={"distillers": asked}), run.recipe.seeds[0]
    terms = assemble.distillers(recipe, run.channels, run.lengths, seed)
    if not asked:
        return terms
    probe = next(batches(split, recipe.task, min(4, len(split)), lengths=lengths_of(split, run.model)))
    with torch.no_grad():
        outputs = run.model(probe)
    assemble.rehearse(terms, outputs, outputs, probe, seed)
    path = run.folder / "distillers.safetensors"
    tensors, _ = checkpoint.read_tensors(path)
    try:
        terms.load_state_dict({name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in asked})
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit the recipe beside it: {error}") from error
    return terms


def print_means(display: Display, title: str, runs: Sequence[Loaded], means: Sequence[dict[Pair, float]]) -> None:
    """A table for each seed, and one over the seeds for the pairs that all of them have."""
    names = list(runs[0].channels)
    for run, pairs in zip(runs, means, strict=True):
        cells = {pair: f"{mean:.3f}" for pair, mean in pairs.items()}
        display.pairs(f"{title}: seed {run.recipe.seeds[0]}", "student<-teacher", names, cells)
    if len(runs) > 1:
        values = {pair: [each[pair] for each in means] for pair in means[0] if all(pair in each for each in means)}
        cells = {pair: f"{fmean(found):.3f} ± {stdev(found):.3f}" for pair, found in values.items()}
        display.pairs(f"{title}: {len(runs)} seeds, mean ± std", "student<-teacher", names, cells)


def write(run: Loaded, label: str, split: str, ids: Sequence[str], weights: Edges) -> Iterator[Path]:
    """A row per sample, and the heat map of the means; files of other content are not overwritten."""
    from mmsa_core.edges import figures  # matplotlib takes a second to import

    name = edges.stem(label, split)
    header = ["id", "split", *("<-".join(pair) for pair in weights)]
    columns = [["" if value != value else value for value in weight.tolist()] for weight in weights.values()]
    rows = [[sample, split, *rest] for sample, *rest in zip(ids, *columns, strict=True)]
    yield checkpoint.write_numbered(run.folder / f"{name}.csv", checkpoint.csv_text(header, rows).encode())
    image = figures.png(edges.title(run.recipe, label, split), list(run.channels), edges.means(weights))
    yield checkpoint.write_numbered(run.folder / f"{name}.png", image)


def _nothing(run: Loaded) -> str:
    """What to tell the user of a run without edges."""
    has = ", ".join(f"{label} ({config.name})" for label, config in run.recipe.distillers.items()) or "none"
    able = []
    for name in registry.distillers:
        try:
            able += [name] if edges.given_by(registry.distillers.get(name)) else []
        except UserError:
            continue  # a broken plugin is reported where it is used
    return (
        f"no loss term of it gives edges (its terms: {has}). Terms that learn which modality teaches which, and need "
        f"no teacher, give them; installed: {', '.join(able) or 'none'}"
    )
