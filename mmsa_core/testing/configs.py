"""Whether a Config says the same when it has been written into a recipe and read again."""

from typing import Any

import yaml

from mmsa_core.recipes import recipe_yaml
from mmsa_core.testing.compare import require


def round_trip(case: Any) -> None:
    """A Config that is written as YAML, as a run folder's recipe is, comes back equal."""
    config = case.config
    try:
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        data, _ = recipe_yaml.read(text, "the Config")
        again = type(config).model_validate(data)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise AssertionError(
            f"{case.who}: its Config does not come back from YAML: {type(error).__name__}: {reason:.300}"
        ) from error
    changed = [name for name in type(config).model_fields if getattr(again, name) != getattr(config, name)]
    require(not changed, case.who, f"its Config comes back from YAML with another {', '.join(changed)}")
