"""In which form attention is computed: on a CPU in small parts that stay in its cache, elsewhere in few operations.

A GPU is done with the small products of these models sooner than the next operation reaches it.
"""

import torch

FEW: bool | None = None
"""Few operations, whatever the device; None: everywhere but on a CPU. For tests, and to count what a GPU would run."""


def few_operations(device: torch.device) -> bool:
    """Whether all Transformers of a stack are computed at once there, in one piece."""
    return device.type != "cpu" if FEW is None else FEW
