"""Whether a launcher (`accelerate launch`, `torchrun`) started this process as one of several; its variables say so."""

import os

SAID = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def size() -> int:
    """How many processes were started together."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in SAID) else 1


def rank() -> int:
    """Which of them this one is; the first is 0."""
    return int(os.environ["RANK"]) if size() > 1 else 0
