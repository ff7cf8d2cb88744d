"""Which condition of a protocol hides nothing."""

import torch

from mmsa_core.corpora.batching import batches
from mmsa_core.evaluation.evaluation import Evaluated


def whole(evaluated: Evaluated) -> str | None:
    """The first condition under which every sample is seen as it is."""
    conditions = evaluated.protocol.conditions
    bare = [name for name, each in conditions.items() if not each.maskers and each.samples == "all"]
    return bare[0] if bare else next((name for name in conditions if _changes_nothing(evaluated, name)), None)


def _changes_nothing(evaluated: Evaluated, name: str) -> bool:
    """Whether samples are seen as they are; those of some rates are, though they have a masker."""
    condition, config = evaluated.protocol.conditions[name], evaluated.recipe.evaluate
    if condition.samples != "all":
        return False
    for batch in batches(evaluated.split, None, config.batch_size):
        seen = condition(batch, evaluated.protocol.source(config.seed))
        for modality, observed in seen.observed.items():
            if not torch.equal(observed, batch.observed[modality]):
                return False
            if not torch.equal(seen.features[modality][observed], batch.features[modality][observed]):
                return False
    return True
