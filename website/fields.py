"""Fields of pydantic models as a table."""

from collections.abc import Sequence

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mmsa_core.field_types import value as shown
from mmsa_core.field_types import written

Row = tuple[str, FieldInfo, str | None]
"""Key, field, and the kind of component that it names."""


def table(rows: Sequence[Row]) -> str:
    """A Markdown table: key, what may be written, default, meaning."""
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field, kind in rows:
        value = f"[{kind}](components.md#{kind}s)" if kind else f"`{_type(field)}`"
        lines.append(f"| `{key}` | {value} | {_shown(field)} | {_meaning(field)} |")
    return "\n".join(lines)


def default(field: FieldInfo) -> str:
    """A field's default, or the only value that it may have."""
    found = field.get_default(call_default_factory=True)
    return written(field.annotation) if field.is_required() else str(found)


def _shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    found = field.get_default(call_default_factory=True)
    if found == "":
        return "required"
    return "as follows" if isinstance(found, BaseModel) else f"`{shown(found)}`"


def _type(field: FieldInfo) -> str:
    """What may be written; a section of several kinds is named once."""
    return " | ".join(dict.fromkeys(written(field.annotation, field.metadata).split(" | ")))


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")
