"""A process that imports what may crash or hang: torch, a recipe's parts, components.

Each item of the JSON list that it is given is printed as `{"begin": item}`, and then as `{"end": item, ...}` with what
was found.
"""

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def device() -> dict[str, Any]:
    """What torch computes on."""
    import torch

    cuda = torch.cuda.is_available()
    found: dict[str, Any] = {
        "cuda": cuda,
        "built_for_cuda": torch.version.cuda,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "devices": [],
    }
    for number in range(torch.cuda.device_count() if cuda else 0):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        found["devices"].append({"name": name, "free_bytes": free, "total_bytes": total})
    return found


def component(kind: str, name: str) -> dict[str, Any]:
    """Nothing, of a component that can be used."""
    from mmsa_core import registry

    tables: dict[str, registry.Registry[Any]] = {table.kind: table for table in (*registry.ALL, registry.importers)}
    tables[kind].described(name) if tables[kind] in registry.ALL else tables[kind].get(name)
    return {}


def recipe(given: str, *overrides: str) -> dict[str, Any]:
    """Where its data are, of a recipe that can be read."""
    from mmsa_core import assemble
    from mmsa_core.recipes import installed, recipe_file

    found = recipe_file.load(Path(given), overrides)
    assemble.contracts(found)
    path = getattr(found.data, "path", None)
    return {"reader": found.data.name, "path": path and str(path), "origin": installed.origin(Path(given))}


ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {"device": device, "component": component, "recipe": recipe}


def main(items: list[list[str]]) -> None:
    """Answer every item; what libraries print is not shown."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    try:
        from mmsa_core import registry

        registry.metadata()  # keeps what is malformed from the libraries that fail of it
    except Exception as error:
        print(error, file=sys.stderr)
    for item in items:
        print(json.dumps({"begin": item}), file=answers)
        what, *arguments = item
        try:
            found = ANSWERS[what](*arguments)
        except BaseException as error:  # a plugin can fail in any way
            found = {
                "problem": str(error) if type(error).__name__ == "UserError" else f"{type(error).__name__}: {error}"
            }
        print(json.dumps({**found, "end": item}), file=answers)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
