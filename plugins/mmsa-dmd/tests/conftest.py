"""What several tests need: outputs of the class that DMD's terms read."""

import pytest
import torch
from mmsa_dmd.outputs import Decoupled, Node

from mmsa_core import missing, testing


def build(of, context, seed=0):
    """Outputs that fit a batch, every part a random linear map of the encoded modalities; as the kit's `build`."""
    base, source = testing.outputs(of, context, seed), torch.Generator().manual_seed(missing.derive(seed, "dmd"))
    dim, high = context.dim, (len(base.encoded) - 1) * context.dim

    def times(x, width):
        return x @ torch.randn(x.shape[-1], width, generator=source)

    def nodes(wide):
        found = {m: times(e.pooled, wide) for m, e in base.encoded.items()}
        return {m: Node(times(r, context.task.width), r) for m, r in found.items()}

    parts = [{m: times(e.sequence, dim) for m, e in base.encoded.items()} for _ in range(4)]
    low, reinforced = nodes(dim), nodes(high)
    return Decoupled(
        encoded=base.encoded,
        joint=base.joint,
        logits=base.logits,
        present=torch.stack([e.present for e in base.encoded.values()], dim=1),
        private=parts[0],
        shared=parts[1],
        reconstruction=parts[2],
        private_again=parts[3],
        similarity={m: times(e.pooled, dim) for m, e in base.encoded.items()},
        homogeneous=low,
        heterogeneous=reinforced,
        shared_logits=times(base.joint, context.task.width),
        memory={m: node.representation for m, node in reinforced.items()},
    )


@pytest.fixture
def decoupled():
    return build
