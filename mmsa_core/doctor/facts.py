"""The sections of the report; one that fails says so in its place, and the others are there."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from mmsa_core.doctor import plugins
from mmsa_core.doctor.asking import Item, ask
from mmsa_core.doctor.secrets import HIDDEN, SECRET, hidden

Answers = Sequence[tuple[Item, dict[str, Any]]]
OURS = ("test", "dev", "docs")
"""Extras that a user has no need of."""
SETTINGS = re.compile(r"(MMSA|OMP|MKL|CUDA|PYTORCH|TORCH|CUBLAS|WANDB)_\w+|PYTHON(PATH|HASHSEED|WARNINGS)")
"""Variables that are shown, without those that hold secrets."""
RUNS = 200
"""Run folders that are looked at."""


def report(recipe: str | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Every fact, fit to be shown to strangers."""
    strict = os.environ.pop("MMSA_PLUGINS_STRICT", None)
    try:
        items: list[Item] = [["device"], *([["recipe", recipe, *overrides]] if recipe else [])]
        listed = _section(plugins.items)
        answers = ask([*items, *(listed if isinstance(listed, list) else [])])
        sections: dict[str, Callable[[], Any]] = {
            "mmsa": _mmsa,
            "python": lambda: {"version": platform.python_version(), "executable": sys.executable},
            "system": _system,
            "libraries": _libraries,
            "device": lambda: next(found for (what, *_), found in answers if what == "device"),
            "plugins": lambda: plugins.states([each for each in answers if each[0][0] == "component"]),
            "recipe": lambda: _recipe(answers),
            "data": _data,
            "wandb": _wandb,
            "disk": _disk,
            "settings": lambda: _settings(strict),
        }
        return {name: hidden(_section(find)) for name, find in sections.items()}
    finally:
        if strict is not None:
            os.environ["MMSA_PLUGINS_STRICT"] = strict


def _section(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except Exception as error:  # the rest is said all the same
        return {"problem": f"cannot be found out: {type(error).__name__}: {error}"}


def _mmsa() -> dict[str, Any]:
    from mmsa_core.run_folder import source

    commit, changed = source.commit()
    return {
        "version": _version(plugins.CORE),
        "package": str(source.PACKAGE),
        "commit": commit,
        "uncommitted_changes": changed,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _system() -> dict[str, Any]:
    found: dict[str, Any] = {"platform": platform.platform(), "cores": os.cpu_count()}
    if hasattr(os, "sched_getaffinity"):
        found["usable_cores"] = len(os.sched_getaffinity(0))
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        page = os.sysconf("SC_PAGE_SIZE")
        found["memory_bytes"] = page * os.sysconf("SC_PHYS_PAGES")
        found["free_memory_bytes"] = page * os.sysconf("SC_AVPHYS_PAGES")
    return found


def _libraries() -> dict[str, str | None]:
    """What core needs, its extras included, by core's own metadata; None is not installed."""
    needed = requires(plugins.CORE) or []
    asked = [text for text in needed if not re.search(rf"extra == .({'|'.join(OURS)})\b", text)]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in asked]
    return {name: _version(name) for name in dict.fromkeys(names) if name != plugins.CORE}


def _recipe(answers: Answers) -> dict[str, Any] | None:
    """The recipe that was asked about, and its data."""
    for (what, *given), found in answers:
        if what == "recipe":
            data = [_path(found["path"], "this recipe")] if found.get("path") else []
            return {"recipe": given, **{key: found[key] for key in found if key not in ("path", "end")}, "data": data}
    return None


def _data() -> list[dict[str, Any]]:
    """The data of the runs in the folder `runs`, and whether they are still there."""
    used: dict[str, Path] = {}
    for file in sorted(Path("runs").glob("**/recipe.yaml"))[:RUNS]:
        if path := _path_in(file):
            used.setdefault(path, file.parent)
    return [_path(path, str(run)) for path, run in used.items()]


def _path_in(recipe: Path) -> str | None:
    """The path of a recipe's data; None of embedded data, or where the recipe cannot be read."""
    from mmsa_core.recipes import recipe_yaml

    try:
        found, _ = recipe_yaml.read(recipe.read_text(encoding="utf-8"), str(recipe))
        return str(found["data"]["path"])
    except Exception:
        return None


def _path(path: str, used_by: str) -> dict[str, Any]:
    there = os.path.expanduser(path)
    kind = "file" if os.path.isfile(there) else "folder" if os.path.isdir(there) else "not there"
    size = os.path.getsize(there) if kind == "file" else None
    return {"path": path, "is": kind, "bytes": size, "readable": os.access(there, os.R_OK), "used_by": used_by}


def _wandb() -> dict[str, Any]:
    from mmsa_core.tracking import wandb_mode

    return {"mode": wandb_mode.mode("auto"), "key_in": wandb_mode.key(), "version": _version("wandb")}


def _disk() -> list[dict[str, Any]]:
    """Where runs are written to, and where `mmsa verify` trains."""
    runs = Path("runs").absolute() if Path("runs").is_dir() else Path.cwd()
    return [
        {"path": str(path), "free_bytes": shutil.disk_usage(path).free, "writable": os.access(path, os.W_OK)}
        for path in (runs, Path(tempfile.gettempdir()))
    ]


def _settings(strict: str | None) -> dict[str, str]:
    shown = {name: value for name, value in os.environ.items() if SETTINGS.fullmatch(name)}
    if strict is not None:
        shown["MMSA_PLUGINS_STRICT"] = strict
    return {name: HIDDEN if SECRET.search(name) else value for name, value in sorted(shown.items())}
