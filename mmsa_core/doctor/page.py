"""The facts as text, to paste into a bug report."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

WIDTH, LABEL = 80, 11
LONGEST = 230
"""Characters of one problem; JSON has all of it."""
MOST = 4
"""Paths of data that are named."""


def text(facts: Mapping[str, Any]) -> str:
    """A line or some for each section."""
    lines = [f"{'mmsa doctor':<{WIDTH - 20}}{datetime.now(UTC):%Y-%m-%d %H:%M UTC}"]
    for name, write in SECTIONS.items():
        found = facts.get(name)
        if found is None or (found == {} and name == "settings"):
            continue
        try:
            broken = isinstance(found, Mapping) and "problem" in found and name != "recipe"
            said = [_short(found["problem"])] if broken else [*write(found)]
        except Exception as error:  # what it would say was not found out
            said = [f"{type(error).__name__}: {error}"]
        for number, each in enumerate(said):
            label = name if not number else ""
            lines += textwrap.wrap(each, WIDTH, initial_indent=f"{label:<{LABEL}}", subsequent_indent=" " * (LABEL + 2))
    return "\n".join(lines)


def _short(problem: str) -> str:
    return textwrap.shorten(problem, LONGEST, placeholder=" ...")


def _mmsa(found: Any) -> Iterator[str]:
    commit = f", commit {found['commit'][:10]}" if found["commit"] else ""
    yield f"{found['version'] or 'not installed'} in {found['package']}{commit}" + (
        " and changes" if found["uncommitted_changes"] else ""
    )


def _python(found: Any) -> Iterator[str]:
    yield f"{found['version']}, {found['executable']}"


def _system(found: Any) -> Iterator[str]:
    yield (
        f"{found['platform']}; {found.get('usable_cores', found['cores'])} of {found['cores']} cores"
        + (
            f", {_size(found['free_memory_bytes'])} of {_size(found['memory_bytes'])} memory free"
            * ("memory_bytes" in found)
        )
    )


def _libraries(found: Any) -> Iterator[str]:
    yield ", ".join(f"{name} {number or 'not installed'}" for name, number in found.items())


def _device(found: Any) -> Iterator[str]:
    for each in found["devices"]:
        free = f"{_size(each['free_bytes'])} of {_size(each['total_bytes'])} free"
        yield f"cuda: {each['name']}, {free}; CUDA {found['built_for_cuda']}"
    if not found["devices"]:
        built = found["built_for_cuda"]
        yield f"cpu ({found['cpu']}), " + (
            f"torch is built for CUDA {built} and finds no device" if built else "torch is built without CUDA"
        )
    yield f"torch takes {found['torch_threads']} threads; `threads` of a recipe fixes them"


def _plugins(found: Any) -> Iterator[str]:
    wide = max(len(_owner(each)) for each in found)
    for each in found:
        brought = (
            f"{_number(each['components'], 'component')}, {_number(each['recipes'], 'recipe')}"
            if "components" in each
            else ""
        )
        yield f"{_owner(each):<{wide}}  {each['state']}{': ' * bool(brought)}{brought}"
        yield from (f"  {_short(problem)}" for problem in each["problems"])


def _number(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"


def _owner(each: Mapping[str, Any]) -> str:
    return f"{each['name']} {each['version'] or ''}".strip()


def _recipe(found: Any) -> Iterator[str]:
    given, *overrides = found["recipe"]
    yield f"{given}{''.join(f' --set {each}' for each in overrides)}: {_short(found.get('problem') or 'can be read')}"
    yield from _paths(found["data"])


def _data(found: Any) -> Iterator[str]:
    if not found:
        yield "no run in runs/ has data of its own"
    yield from _paths(found)


def _paths(found: Any) -> Iterator[str]:
    for each in found[:MOST]:
        size = f", {_size(each['bytes'])}" if each["bytes"] is not None else ""
        unreadable = "" if each["readable"] or each["is"] == "not there" else ", CANNOT BE READ"
        yield f"{each['path']}: {each['is'].replace('not', 'NOT')}{size}{unreadable} ({each['used_by']})"
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more"


def _wandb(found: Any) -> Iterator[str]:
    yield (
        f"{found['mode']} (an API key is in {found['key_in']})" if found["key_in"] else f"{found['mode']} (no API key)"
    )


def _disk(found: Any) -> Iterator[str]:
    yield "; ".join(
        f"{each['path']}: {_size(each['free_bytes'])} free{'' if each['writable'] else ', NOT WRITABLE'}"
        for each in found
    )


def _settings(found: Any) -> Iterator[str]:
    yield ", ".join(f"{name}={value}" for name, value in found.items())


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


SECTIONS: dict[str, Callable[[Any], Iterator[str]]] = {
    "mmsa": _mmsa,
    "python": _python,
    "system": _system,
    "libraries": _libraries,
    "device": _device,
    "plugins": _plugins,
    "recipe": _recipe,
    "data": _data,
    "wandb": _wandb,
    "disk": _disk,
    "settings": _settings,
}
