"""Mixed precision: networks compute in 16 bits where torch holds that to be safe, all that follows in 32.

Weights, what a network gives, losses, distances, metrics, validation and evaluation are in single precision.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmsa_core.errors import UserError
from mmsa_core.types import Batch, Outputs, map_tensors, widened

Precision = Literal["float32", "bfloat16", "float16"]
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def run(network: nn.Module, batch: Batch, precision: Precision) -> Outputs:
    """What a network says of a batch, in single precision."""
    if precision == "float32":
        found: Outputs = network(batch)
        return found
    with torch.autocast(next(network.parameters()).device.type, TYPES[precision]):
        found = network(batch)
    return map_tensors(widened, found)


def check(precision: Precision, device: torch.device) -> None:
    """Refuse what a device cannot do.

    Raises:
        UserError: where a CUDA device is too old for bfloat16.
    """
    if precision != "bfloat16" or device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False):
        return
    name = torch.cuda.get_device_name(device)
    raise UserError(f"train.precision: {name} does not compute in bfloat16; take float16 or float32")


class Scale:
    """What an objective is multiplied by so that small gradients are no zeros in float16; 1 otherwise.

    It is halved when gradients overflow, whose update is left out, and doubled after `GROWS` updates without that: the
    rule of torch's GradScaler, which takes no gradients that are summed over mini-batches before they are looked at.
    """

    FIRST, GROWS = 2.0**16, 2000

    def __init__(self, precision: Precision) -> None:
        self.moves = precision == "float16"
        self.value, self.good = self.FIRST if self.moves else 1.0, 0

    def state(self) -> dict[str, Any]:
        """What changes."""
        return {"value": self.value, "good": self.good}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.value, self.good = float(state["value"]), int(state["good"])

    def on(self, objective: Tensor) -> Tensor:
        """The objective as its gradient is taken."""
        return objective if self.value == 1 else objective * self.value

    def off(self, gradient: Tensor | None) -> Tensor | None:
        """The gradient of the objective itself."""
        return gradient if gradient is None or self.value == 1 else gradient / self.value

    def held(self) -> None:
        """An update was finite."""
        self.good += self.moves
        if self.good == self.GROWS:
            self.value, self.good = 2 * self.value, 0

    def overflowed(self) -> bool:
        """Gradients were not finite: whether a smaller scale may mend it."""
        if not self.moves or self.value == 1:
            return False
        self.value, self.good = self.value / 2, 0
        return True
