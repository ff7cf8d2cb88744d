"""What a trained student makes of samples, complete and masked: joint and of each modality; and 2-D maps of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from mmsa_core.corpora.batching import batches, full_lengths
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation.availability import availability
from mmsa_core.evaluation.protocol import Condition
from mmsa_core.missing import Draw
from mmsa_core.model import Model
from mmsa_core.types import Modality, filled

COMPLETE = "complete"
"""The name of the condition that leaves the data as they are."""
PERPLEXITY = 30.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Represented:
    """What a network makes of each sample in one condition, and what it saw of it (see `availability`)."""

    joint: Float[Tensor, "samples joint"]
    pooled: Mapping[Modality, Float[Tensor, "samples dim"]]
    subset: Int64[Tensor, " samples"]
    share: Float[Tensor, " samples"]

    def tensors(self) -> dict[str, Tensor]:
        """By name."""
        return {"joint": self.joint, **self.pooled, "subset seen": self.subset, "share missing": self.share}


@dataclass(frozen=True)
class Map:
    """A point for each row, and what stands beside the axes."""

    points: Points
    axes: tuple[str, str]


def represent(network: Model, split: Split, condition: Condition, draw: Draw, size: int) -> Represented:
    """The representations of a split in eval mode, on the CPU."""
    size = min(size, len(split))
    parts: dict[str, list[Tensor]] = {}
    network.eval()
    with torch.inference_mode():
        for batch in batches(split, None, size, lengths=full_lengths(split, network)):
            seen = condition(filled(batch, size), draw)
            outputs = network(seen)
            found = {m: encoded.pooled for m, encoded in outputs.encoded.items()} | {"": outputs.joint}
            found |= dict(zip(("subset", "share"), availability(seen), strict=True))
            for name, tensor in found.items():
                parts.setdefault(name, []).append(tensor[: len(batch)].cpu())
    whole = {name: torch.cat(tensors) for name, tensors in parts.items()}
    joint, subset, share = (whole.pop(name) for name in ("", "subset", "share"))
    return Represented(joint, whole, subset, share)


def represent_all(
    network: Model, split: Split, conditions: Mapping[str, Condition], draw: Draw, size: int
) -> dict[str, Represented]:
    """Complete samples first, then each condition that shows less of some sample than is there."""
    found = {COMPLETE: represent(network, split, Condition(), draw, size)}
    for name, condition in conditions.items():
        masked = represent(network, split, condition, draw, size)
        if not torch.equal(masked.joint, found[COMPLETE].joint):
            found[name] = masked
    return found


def some(split: Split, most: int) -> Int64[Tensor, " rows"]:
    """The rows of at most so many samples, drawn by their ids, in the split's order."""
    return Draw("embed", 0).samples(split.key, "some").argsort(stable=True)[:most].sort().values


def pca(rows: Points) -> Map:
    """The two principal components; the largest weight of each is positive, so that equal rows give equal maps."""
    found = PCA(n_components=2, svd_solver="full").fit(rows)
    strongest = np.abs(found.components_).argmax(axis=1)
    sign = np.sign(found.components_[[0, 1], strongest])
    share = 100 * found.explained_variance_ratio_
    axes = (f"component 1 ({share[0]:.1f} % of the variance)", f"component 2 ({share[1]:.1f} % of the variance)")
    return Map(found.transform(rows) * sign, axes)


def tsne(rows: Points) -> Map:
    """The t-SNE of scikit-learn, from the PCA and with a fixed random state (van der Maaten and Hinton, JMLR 2008)."""
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    points = TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=0).fit_transform(rows)
    return Map(points.astype(np.float64), ("t-SNE 1", f"t-SNE 2 (perplexity {perplexity:.0f})"))


METHODS = {"pca": pca, "tsne": tsne}


def maps(found: Sequence[Float[Tensor, "rows joint"]], methods: Sequence[str], where: str) -> dict[str, Map]:
    """The joint representations of some conditions, one below the other, as points of the plane."""
    rows = torch.cat(list(found)).double().numpy()
    if rows.shape[1] < 2 or len(rows) < 4 or not np.ptp(rows, axis=0).any():
        raise UserError(
            f"{where}: {len(rows)} joint representations of width {rows.shape[1]} make no map; at least 4 samples, "
            "2 columns and some difference between them are needed"
        )
    return {name: METHODS[name](rows) for name in methods}
