"""The modalities that a masker's option names."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from mmsa_core.errors import UserError
from mmsa_core.types import Modality

Names = Annotated[tuple[Modality, ...], Field(min_length=1)]


def named(names: tuple[Modality, ...] | None, known: Iterable[Modality], masker: str) -> list[Modality]:
    """The modalities of the data that are named, or all of them; one that the data lack raises `UserError`."""
    unknown = [m for m in names or () if m not in known]
    if unknown:
        raise UserError(
            f"masker '{masker}' names {', '.join(map(repr, unknown))}, but the data have {', '.join(known)}"
        )
    return [m for m in known if names is None or m in names]
