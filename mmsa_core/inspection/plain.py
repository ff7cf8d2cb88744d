"""Facts and warnings as plain data, for scripts: JSON in which an undefined number is null."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmsa_core.inspection.facts import Facts
from mmsa_core.inspection.traps.warning import Warned

FORMAT = "mmsa-inspection-1"


def plain(path: str, reader: str, facts: Facts, warned: Sequence[Warned], plots: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is known; the length of each single sequence is left out."""
    found = asdict(facts)
    patterns = found.pop("patterns")
    for each in found["features"].values():
        for features in each.values():
            if features["lengths"]:
                del features["lengths"]["all"]
    for pair, known in zip(found["leakage"]["shared"], facts.leakage.shared, strict=True):
        pair |= {"ids": list(known.ids), "groups": list(known.groups)}
    found["leakage"]["renumbered"] = facts.leakage.renumbered
    found["patterns"] = {
        name: [{"modalities": pattern, "rows": rows} for pattern, rows in each.items()]
        for name, each in patterns.items()
    }
    about = {"format": FORMAT, "path": path, "reader": reader}
    cleaned: dict[str, Any] = _defined(
        {**about, **found, "warnings": [asdict(each) for each in warned], "plots": plots}
    )
    return cleaned


def _defined(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _defined(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(each) for each in value]
    return value
