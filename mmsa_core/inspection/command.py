"""What `mmsa data inspect` does: choose the reader, read, look, warn, print."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console

from mmsa_core import recipe_file, registry
from mmsa_core.corpus import Corpus
from mmsa_core.errors import UserError
from mmsa_core.inspection import text
from mmsa_core.inspection.facts import facts
from mmsa_core.inspection.plain import plain
from mmsa_core.inspection.recognition import Looks, recognise
from mmsa_core.inspection.traps import warnings
from mmsa_core.recipe_defects import describe


def inspect(path: Path, reader: str | None, overrides: Sequence[str], folder: Path | None, as_json: bool) -> None:
    """Print the report of a file or folder, as text or JSON, and draw it where a folder is given."""
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder; a relative path starts at {Path.cwd()}")
    if folder is not None:
        from mmsa_core.inspection import plots  # who draws nothing need not wait for matplotlib

        plots.check(folder)
    looks = recognise(path)
    name = reader or chosen(path, looks)
    waiting = Console(stderr=True)
    with waiting.status("reading") as status:  # seen on a terminal alone
        corpus = read(path, name, looks, overrides)
        found = facts(corpus, looks, lambda what: status.update(f"looking at {what}"))
        status.update("looking for known traps")
        warned = warnings(corpus, found)
    drawn = plots.draw(folder, path.name, found) if folder is not None else []
    if as_json:
        written = plain(str(path), name, found, warned, [str(each) for each in drawn])
        click.echo(json.dumps(written, indent=2, allow_nan=False))
        return
    out = text.console()
    with out.capture() as report:
        text.show(out, f"{path.name} (reader {name})", found, warned)
    click.echo("\n".join(line.rstrip() for line in report.get().splitlines()))
    for each in drawn:
        out.print(f"written: {each}", markup=False, soft_wrap=True)


def chosen(path: Path, looks: Looks | None) -> str:
    """The reader of what a path looks like."""
    if looks is None:
        held = "an empty folder" if path.is_dir() and not any(path.iterdir()) else "nothing that is recognised"
        raise UserError(f"{path}: {held}; name its reader with --reader, one of {', '.join(readers())}")
    if looks.reader is None:
        raise UserError(
            f"{path}: {looks.schema} ({'; '.join(f'{k}: {v}' for k, v in looks.details.items())}). Both schemas are a "
            "dict of splits with the keys text, audio, vision, id and labels; --reader NAME --set data.modalities=... "
            f"reads other names. Readers: {', '.join(readers())}"
        )
    if looks.reader not in registry.datasets:
        raise UserError(
            f"{path}: {looks.schema}, which the reader '{looks.reader}' would read, but no installed distribution has "
            f"it. Readers: {', '.join(readers())}"
        )
    return looks.reader


def readers() -> list[str]:
    """The data sets that read a path; one that cannot be imported is nobody's reader."""
    found = []
    for name in registry.datasets:
        with suppress(UserError):
            if "path" in registry.datasets.get(name).Config.model_fields:
                found.append(name)
    return found


def read(path: Path, name: str, looks: Looks | None, overrides: Sequence[str]) -> Corpus:
    """The corpus of a path; `overrides` are data.KEY=VALUE."""
    kind: Any = registry.datasets.get(name)
    if "path" not in kind.Config.model_fields:
        raise UserError(f"--reader {name}: reads no file; it makes its corpus itself")
    needed = {key: value for key, value in (looks.settings if looks else {}).items() if key in kind.Config.model_fields}
    data: dict[str, Any] = {"data": {"name": name, "path": str(path), **needed}}
    origin: dict[tuple[str | int, ...], str] = {}
    for override in overrides:
        if not override.startswith("data.") or override.partition("=")[0] in ("data.name", "data.path"):
            raise UserError(
                f"--set {override}: expected data.KEY=VALUE, a field of the reader (`mmsa show {name}` lists them). "
                "The file is the argument, its reader is --reader"
            )
        recipe_file.apply(data, override, origin)
    try:
        config = kind.Config.model_validate(data["data"])
    except ValidationError as error:
        inner = {key[1:]: where for key, where in origin.items()}
        raise UserError(describe(error, data["data"], inner, f"reader {name}")) from error
    corpus: Corpus = kind(config).load()
    if not any(len(split) for split in corpus.splits.values()):
        raise UserError(f"{path}: no split has a row; there is nothing to look at")
    return corpus
