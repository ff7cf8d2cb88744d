"""What a file of our format says of itself, and what its tensors are called.

A folder has one safetensors file for each split. `ids` are bytes in UTF-8, `ids.ends` where each id ends; targets
are `targets.NAME`; a modality has `features.NAME.values` [frames + 1, channels] (all samples one after another,
nothing padded; the last frame is zero, for padding to be read from), `features.NAME.lengths` [samples], and
`features.NAME.seen` [frames + 1] where frames are missing between others. The description below is JSON under the
metadata key `mmsa`, its SHA-256 under `sha256`.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from pydantic import ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from mmsa_core.closed import Closed
from mmsa_core.errors import UserError

FORMAT, VERSION = "mmsa-data", 1
ENDING = ".safetensors"
IDS, ENDS = "ids", "ids.ends"
Kind = Literal["F16", "F32", "I64", "U8"]


class Stored(Closed):
    """One tensor."""

    dtype: Kind
    shape: tuple[NonNegativeInt, ...]
    sha256: str
    """Of its bytes."""


class Modality(Closed):
    """One modality of a split."""

    name: str
    channels: PositiveInt
    holes: bool
    """Whether frames between others are missing."""
    finite: bool
    """Whether all values are finite."""


class Source(Closed):
    """Where the data come from."""

    file: str
    """Its name, without its folder."""
    reader: str
    settings: dict[str, Any]
    """Of the reader."""
    sha256: str
    """Of the file, as the reader says it; empty for what was made and comes from no file."""


class About(Closed):
    """The description of one file."""

    model_config = ConfigDict(strict=False)

    format: Literal["mmsa-data"] = "mmsa-data"
    version: Literal[1] = 1
    mmsa: str
    """The version that wrote the file."""
    split: str
    samples: NonNegativeInt
    modalities: tuple[Modality, ...]
    targets: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    """Of classes and labels."""
    notes: tuple[str, ...]
    source: Source
    tensors: dict[str, Stored]

    def dump(self) -> str:
        """JSON in which equal descriptions are equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def values(modality: str) -> str:
    """The name of a modality's frames."""
    return f"features.{modality}.values"


def lengths(modality: str) -> str:
    """The name of a modality's lengths."""
    return f"features.{modality}.lengths"


def seen(modality: str) -> str:
    """The name of what is missing between a modality's frames."""
    return f"features.{modality}.seen"


def target(name: str) -> str:
    """The name of a target."""
    return f"targets.{name}"


def expected(about: About) -> set[str]:
    """The tensors that a file must have, and no other."""
    names = {IDS, ENDS, *(target(name) for name in about.targets)}
    for modality in about.modalities:
        names |= {values(modality.name), lengths(modality.name)}
        names |= {seen(modality.name)} if modality.holes else set()
    return names


def read(metadata: Mapping[str, str], where: str) -> tuple[About, str]:
    """The description in a file's metadata, and its SHA-256; whatever is wrong with it is a `UserError`."""
    text = metadata.get("mmsa")
    digest = sha256(text.encode()).hexdigest() if text is not None else ""
    if text is None or metadata.get("sha256") != digest:
        what = (
            "its description does not fit its own SHA-256" if text is not None else "no description of the data in it"
        )
        raise UserError(
            f"{where}: not a file that `mmsa data convert` wrote, or a damaged one ({what}). Convert again."
        )
    try:
        found = json.loads(text)
        version = found["version"] if found["format"] == FORMAT else None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{where}: its description is not ours ({error!s:.100}); expected JSON of {FORMAT}") from error
    if version != VERSION:
        raise UserError(
            f"{where}: has version {version!r:.40} of the format {FORMAT}, and this mmsa reads version {VERSION}; "
            "convert the source again with this mmsa, or use the one that wrote it"
        )
    try:
        return About.model_validate(found), digest
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{where}: its description is defect at {key!r:.100}: {first['msg']:.200}") from error
