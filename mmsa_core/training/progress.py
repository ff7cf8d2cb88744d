"""How far the training of one stage has come."""

from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

Row = dict[str, Any]
Pending = tuple[Row, tuple[str, ...], Tensor]
"""What was logged of a step and is still on the device: the row so far, names, and their values."""
States = tuple[dict[str, Any], dict[str, Any]]
"""Of the network and of the loss terms."""


@dataclass
class Progress:
    """What a stage remembers from one step to the next, besides weights and optimisers."""

    epoch: int = 0
    """Epochs that ended."""
    batch: int = 0
    """Mini-batches of the running epoch that are done."""
    steps: int = 0
    """Mini-batches of all epochs."""
    best: States | None = None
    """Network and terms as they were in the best epoch so far."""
    best_value: float = float("inf")
    best_epoch: int = 0
    complaints: dict[str, int] = field(default_factory=dict)
    """For how many epochs on end each term complained."""
    pending: list[Pending] = field(default_factory=list)
    """Logged in the running epoch, and not passed on yet."""
    finished: bool = False
    skipped: int = 0
    """Updates that were left out, since a loss or gradient was not finite."""
    rollbacks: int = 0
    """Times that training went back to where an epoch began; the learning rates are halved by each."""

    def state(self) -> dict[str, Any]:
        """As plain data and tensors."""
        return {each.name: getattr(self, each.name) for each in fields(self)}
