"""What a network says of a split, once for each draw of the masks."""

import torch
from torch import Tensor, nn

from mmsa_core.components import Masker
from mmsa_core.corpora.batching import batches, full_lengths
from mmsa_core.corpora.corpus import Split
from mmsa_core.missing import Draw
from mmsa_core.tasks import TaskBase
from mmsa_core.types import filled


def predict(
    network: nn.Module,
    split: Split,
    task: TaskBase | None,
    draws: list[Draw],
    masker: Masker | None,
    size: int = 256,
) -> tuple[Tensor, Tensor]:
    """Logits [draws * samples, width] and targets of a split in eval mode, once for each draw of the masks.

    Samples in which nothing is seen get the same answer to the last bit, so that it ranks none of them.
    """
    training, size = network.training, min(size, len(split))
    network.eval()
    logits, targets = [], []
    with torch.inference_mode():
        for draw in draws:
            for batch in batches(split, task, size, lengths=full_lengths(split, network)):
                seen = masker(batch, draw) if masker else batch
                logits.append(network(filled(seen, size)).logits[: len(batch)])
                targets.append(batch.target)
    network.train(training)
    return torch.cat(logits), torch.cat(targets)
