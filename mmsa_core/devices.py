"""Which device a command runs on."""

import torch

from mmsa_core.errors import UserError


def pick(name: str) -> torch.device:
    """`auto` is CUDA where there is one; asking for CUDA that is absent is an error."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError(
            f"--device cuda: no CUDA device is available to torch {torch.__version__}; "
            "use --device cpu or auto, or install a CUDA build of torch"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")
