"""The base of everything that a user writes in YAML: frozen, typed, closed to unknown keys."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Closed(BaseModel):
    """A frozen model; an unknown key is an error that suggests a known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _suggest(cls, data: Any) -> Any:
        known = list(cls.model_fields)
        unknown = [key for key in data if key not in known] if isinstance(data, dict) else []
        if unknown:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [InitErrorDetails(type=_unknown_key(key, known), loc=(key,), input=data[key]) for key in unknown],
            )
        return data


def _unknown_key(key: object, known: list[str]) -> PydanticCustomError:
    close = get_close_matches(str(key), known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return PydanticCustomError(
        "unknown_key",
        "unknown key '{key}'.{hint} Known here: {known}",
        {"key": str(key), "hint": hint, "known": ", ".join(known)},
    )
