"""How the types and values of a recipe's fields are written."""

import json
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def value(of: Any) -> str:
    """A value as it is written in YAML."""
    return of if isinstance(of, str) else json.dumps(to_jsonable_python(of))


def written(annotation: Any, limits: Sequence[Any] = ()) -> str:
    """A type as a user writes values of it: `int > 0`, `[int, int]`, `mean | sum`, `null`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return written(inner[0], inner[1:])
    if origin is Literal:
        return " | ".join(map(value, inner))
    if origin in (Union, types.UnionType):
        return " | ".join(map(written, inner))
    if origin is dict:
        name = f"{{{written(inner[0])}: {written(inner[1])}}}"
    elif origin in (tuple, list):
        name = f"[{', '.join('...' if each is Ellipsis else written(each) for each in inner)}]"
    elif annotation is type(None):
        name = "null"
    elif isinstance(annotation, type):
        name = "section" if issubclass(annotation, BaseModel) else annotation.__name__.lower()
    else:
        name = str(annotation)
    flat = [each for limit in limits for each in getattr(limit, "metadata", [limit])]
    bounds = [f"{sign} {getattr(each, key):g}" for each in flat for key, sign in LIMITS.items() if hasattr(each, key)]
    return " ".join([name, " and ".join(bounds)]).rstrip()
