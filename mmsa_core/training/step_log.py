"""What is logged of each step: kept on the device, and brought to the host once an epoch."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmsa_core.components import Distiller
from mmsa_core.model import Model
from mmsa_core.training import nonfinite
from mmsa_core.training.progress import Pending, Row
from mmsa_core.training.terms import Terms
from mmsa_core.training.world import ALONE, World
from mmsa_core.types import Batch


def pending(meta: Row, logged: Mapping[str, Tensor]) -> Pending:
    """A step's row and its scalars, of any dtype, which stay where they are."""
    with torch.no_grad():
        return meta, tuple(logged), torch.stack([value.to(torch.float32) for value in logged.values()])


def rows(kept: Sequence[Pending]) -> list[Row]:
    """The rows of steps on the host; this waits for the device once."""
    values = iter(torch.cat([stacked for _, _, stacked in kept]).tolist())
    return [meta | dict(zip(names, values, strict=False)) for meta, names, _ in kept]


def series(found: Sequence[Row]) -> dict[str, list[float]]:
    """What was logged under each name, in the order of the steps."""
    return {name: [row[name] for row in found if name in row] for row in found for name in row if "/" in name}


def means(of: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean of the finite values under each name that has one."""
    found = {name: nonfinite.mean(values) for name, values in sorted(of.items())}
    return {name: mean for name, mean in found.items() if mean is not None}


def partly_finite(of: Mapping[str, Sequence[float]]) -> list[str]:
    """Names whose means leave steps out, but for losses, of which the guard has told."""
    bad = [name for name, values in of.items() if not all(map(math.isfinite, values))]
    return [name for name in bad if name.partition("/")[0] not in ("loss", "weighted")]


def constant(of: Mapping[str, Sequence[float]]) -> list[str]:
    """Names that had one value in all steps."""
    return [name for name, values in of.items() if len(values) > 1 and min(values) == max(values)]


def observations(terms: Terms) -> dict[str, Tensor]:
    """What the loss terms observed in their last forward."""
    found: dict[str, Tensor] = {}
    for label, term in terms.modules.items():
        assert isinstance(term, Distiller)
        found |= {f"{label}/{name}": value for name, value in term.observations.items()}
    return found


def term_gradient(weighted: Tensor, parameters: Sequence[Tensor], world: World = ALONE) -> Tensor:
    """Norm of one weighted term's gradient on parameters, zero where it has none."""
    if not weighted.requires_grad:
        return weighted.new_zeros(())
    own = torch.autograd.grad(weighted, parameters, retain_graph=True, allow_unused=True)
    found = world.summed(own, parameters)
    return nn.utils.get_total_norm([g for g in found if g is not None])


def encoder_gradients(network: Model) -> dict[str, Tensor]:
    """Norm of what is summed of the objective's gradient on each encoder that learns."""
    found = {}
    for modality, encoder in network.encoders.items():
        if gradients := [p.grad for p in encoder.parameters() if p.grad is not None]:
            found[f"encoder_gradient/{modality}"] = nn.utils.get_total_norm(gradients)
    return found


def hidden_shares(batch: Batch, seen: Batch) -> dict[str, Tensor]:
    """Share of each modality's observed frames that the masks of this step hid."""
    shares = {}
    for modality, before in batch.observed.items():
        had = before.sum()
        shares[f"hidden/{modality}"] = (had - seen.observed[modality].sum()) / had.clamp(min=1)
    return shares
