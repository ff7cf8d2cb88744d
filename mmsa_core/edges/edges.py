"""Who teaches whom: the weights that a loss term learned for its (student, teacher) pairs of modalities.

They are asked of the trained student, which sees everything. A term that needs a teacher is not asked.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mmsa_core.components import Distiller
from mmsa_core.corpora.batching import batches, full_lengths
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.model import Model
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.types import Batch, Modality

Pair = tuple[Modality, Modality]
Edges = Mapping[Pair, Tensor]
"""The weight of each (student, teacher) pair in every sample; NaN where one of the two is absent."""


def given_by(component: type[Distiller]) -> bool:
    """Whether a class of loss terms has edges and needs no teacher for them."""
    return component.edges is not Distiller.edges and not component.needs_teacher


def measure(network: Model, terms: nn.ModuleDict, split: Split, recipe: Recipe) -> dict[str, Edges]:
    """The edges of each term that gives some, on the CPU; network and terms are left in eval mode."""
    asked = {label: term for label, term in terms.items() if isinstance(term, Distiller) and given_by(type(term))}
    if not asked:
        return {}
    parts: dict[str, dict[Pair, list[Tensor]]] = {label: {} for label in asked}
    network.eval()
    terms.eval()
    with torch.no_grad():
        lengths = full_lengths(split, network)
        for batch in batches(split, recipe.task, recipe.evaluate.batch_size, lengths=lengths):
            outputs = network(batch)
            for label, term in asked.items():
                edges = term.edges(outputs, outputs, batch)
                _check(label, edges, batch)
                for pair, weight in edges.items():
                    parts[label].setdefault(pair, []).append(weight.cpu())
    return {label: {pair: torch.cat(p) for pair, p in pairs.items()} for label, pairs in parts.items() if pairs}


def _check(label: str, edges: Edges, batch: Batch) -> None:
    """A plugin's term may give anything."""
    for pair, weight in edges.items():
        if weight.shape != (len(batch),) or not set(pair) <= set(batch.features):
            raise UserError(
                f"distillers.{label}: its edges have {pair} in shape {tuple(weight.shape)}; expected pairs of "
                f"{', '.join(batch.features)}, and one weight for each of {len(batch)} samples"
            )


def means(edges: Edges) -> dict[Pair, float]:
    """The mean of each pair over the samples that have both; a pair that no sample has is left out."""
    found = {pair: weight.double().nanmean().item() for pair, weight in edges.items()}
    return {pair: mean for pair, mean in found.items() if mean == mean}


def stem(label: str, split: str) -> str:
    """What a term's files are called; those of the test split do not say so, as with every table of a run folder."""
    return f"edges-{label}" if split == "test" else f"edges-{label}-{split}"


def title(recipe: Recipe, label: str, split: str) -> str:
    """What stands above a heat map."""
    return f"{label}: who teaches whom\n{recipe.name}, seed {recipe.seeds[0]}, {split} split"


def draw(
    folder: Path, network: Model, terms: nn.ModuleDict, valid: Split, recipe: Recipe, warn: Callable[[str], None]
) -> None:
    """Write a trained student's heat maps on validation; what fails is said, and stops no training."""
    try:
        for label, found in measure(network, terms, valid, recipe).items():
            from mmsa_core.edges import figures  # matplotlib takes a second to import

            path, names = folder / f"{stem(label, 'valid')}.png", list(recipe.model.encoders)
            figures.heat_map(path, title(recipe, label, "valid"), names, means(found))
    except Exception as error:  # a plugin's term can fail in any way
        warn(f"the edges were not drawn; training goes on ({type(error).__name__}: {error})")
