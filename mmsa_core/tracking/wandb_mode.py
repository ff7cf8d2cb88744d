"""Whether runs are sent to Weights & Biases: what the recipe says, or the environment, or whether there is a key."""

import os
from netrc import NetrcParseError, netrc


def mode(configured: str) -> str:
    """The mode of a recipe's `track.wandb.mode`; auto is what WANDB_MODE says, or else online if there is a key."""
    if configured != "auto":
        return configured
    return os.environ.get("WANDB_MODE") or ("online" if key() else "offline")


def key() -> str | None:
    """Where an API key is at hand: in the environment, or in ~/.netrc, where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return "WANDB_API_KEY"
    try:
        return "~/.netrc" if any("wandb" in host for host in netrc().hosts) else None
    except (OSError, NetrcParseError):
        return None
