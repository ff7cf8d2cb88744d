"""What `mmsa masks` writes: a manifest of masks for each condition, and a protocol that replays them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Bool
from torch import Tensor

from mmsa_core import assemble
from mmsa_core.corpora import data
from mmsa_core.corpora.batching import batches
from mmsa_core.corpora.corpus import Split
from mmsa_core.errors import UserError
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.protocol import Condition, Protocol
from mmsa_core.masks import manifest
from mmsa_core.masks.manifest import Manifest
from mmsa_core.missing import Draw
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder.checkpoint import write_text
from mmsa_core.run_folder.new_folder import new_folder
from mmsa_core.types import Modality

Masks = Mapping[Modality, Bool[Tensor, "samples _frames"]]
PROTOCOL = "protocol.yaml"


@dataclass(frozen=True)
class Recorded:
    """One condition: what stays observed (None: what the data have), and where it stands on the axis of rates."""

    name: str
    masks: Masks | None
    at: float | None = None


def of_protocol(recipe: Recipe, prepared: data.Data, name: str, split: str) -> tuple[dict[str, Any], list[Recorded]]:
    """A protocol as it is written, and the masks that it draws for a split with the recipe's `evaluate.seed`."""
    chosen = prepared.splits[split]
    protocol = protocol_file.get(name, tuple(prepared.channels), chosen)
    samples = _replayable(protocol)
    for condition in protocol.conditions.values():
        condition.prepare(prepared.splits["train"], assemble.raw(recipe.model))
    source, size = protocol.source(recipe.evaluate.seed), recipe.evaluate.batch_size
    found = [
        Recorded(label, drawn(condition, chosen, source, size) if condition.maskers else None, condition.at)
        for label, condition in protocol.conditions.items()
    ]
    written = {
        "name": f"{protocol.name}-replay",
        "about": f"Recorded masks of {protocol.name}, seed {source.seed}. {' '.join(protocol.about.split())}".strip(),
        "axis": protocol.axis,
        "samples": samples,
        "metrics": list(protocol.metrics),
        "averages": {label: {"over": list(each.over), "how": each.how} for label, each in protocol.averages.items()},
    }
    return written, found


def _replayable(protocol: Protocol) -> str:
    """The samples that all conditions are about; conditions that no manifest can hold are refused."""
    for label, condition in protocol.conditions.items():
        if changing := [masker for masker in condition.maskers if masker.changes_features]:
            raise UserError(
                f"protocol '{protocol.name}', condition '{label}': masker '{changing[0].config.name}' changes what "
                "frames show, which masks cannot hold; evaluate the protocol itself, its numbers are repeatable"
            )
    samples = {condition.samples for condition in protocol.conditions.values()}
    if len(samples) > 1 or not samples <= {"all", "complete"}:
        raise UserError(
            f"protocol '{protocol.name}' asks about other samples in each condition, and records of masks are for all "
            "of them; evaluate the protocol itself"
        )
    return samples.pop()


def drawn(condition: Condition, split: Split, draw: Draw, size: int) -> Masks:
    """What a condition leaves of each sample of a split."""
    lengths = {m: x.longest for m, x in split.features.items()}
    seen = [condition(batch, draw).observed for batch in batches(split, None, size, lengths=lengths)]
    return {m: torch.cat([each[m] for each in seen]).cpu() for m in split.features}


def write(
    out: Path, written: Mapping[str, Any], found: list[Recorded], split: Split, about: Mapping[str, Any]
) -> list[Path]:
    """Write the manifests and the protocol into a new folder; the paths of the files, the protocol's last."""
    with new_folder(out) as made:
        names = _write(made, written, found, split, about)
    return [out / name for name in names]


def _write(
    out: Path, written: Mapping[str, Any], found: list[Recorded], split: Split, about: Mapping[str, Any]
) -> list[str]:
    conditions: dict[str, list[dict[str, str]]] = {}
    for number, each in enumerate(found):
        conditions[each.name] = []
        if each.masks is not None:
            path = out / f"{number:02d}-{re.sub(r'[^A-Za-z0-9._+-]', '_', each.name)}.safetensors"
            own = {**about, "condition": each.name}
            manifest.write(path, Manifest(split.ids, split.key, each.masks, own))
            conditions[each.name] = [{"name": "replay", "path": path.name}]
    places = {each.name: each.at for each in found if each.at is not None}
    whole = {**written, "conditions": conditions} | ({"at": places} if places else {})
    write_text(out / PROTOCOL, yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120))
    return [*(path["path"] for each in conditions.values() for path in each), PROTOCOL]
