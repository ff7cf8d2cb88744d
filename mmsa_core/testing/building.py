"""How the kit builds a component: its Config from an example, its weights from a seed."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import ValidationError

from mmsa_core.example import Example


def config_of(component: Any, config: Any, example: Example | None = None, name: str = "") -> Any:
    """A Config: the one given, or that of an example."""
    if config is not None:
        return config
    fields = dict(example.config) if example is not None else {}
    try:
        return component.Config.model_validate(({"name": name} if name else {}) | fields)
    except ValidationError as error:
        lacking = [".".join(map(str, each["loc"])) for each in error.errors() if each["type"] == "missing"]
        what = f"{', '.join(lacking)} has no default" if lacking else " ".join(str(error).split())
        raise AssertionError(
            f"{component.__name__}: the kit cannot build its Config: {what}; override `examples` to say what it needs"
        ) from error


def seeded(seed: int, build: Callable[[], Any], who: str) -> Any:
    """What is built with torch's generator at `seed`."""
    torch.manual_seed(seed)
    try:
        return build()
    except (AssertionError, NotImplementedError):
        raise
    except Exception as error:
        if "meta" in str(error):
            raise
        raise AssertionError(f"{who}: cannot be built: {type(error).__name__}: {error}") from error
