"""Multimodal sentiment analysis when modalities go missing.

In a notebook: `mmsa_core.train`, `load_run`, `predict`, `compare`; the rest is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmsa_core import registry as registry
    from mmsa_core.components import Distiller as Distiller
    from mmsa_core.components import DistillerConfig as DistillerConfig
    from mmsa_core.datasets.arrays import from_arrays as from_arrays
    from mmsa_core.errors import Interrupted as Interrupted
    from mmsa_core.errors import UserError as UserError
    from mmsa_core.export.exported import load_exported as load_exported
    from mmsa_core.notebook.comparing import compare as compare
    from mmsa_core.notebook.recipe import recipe as recipe
    from mmsa_core.notebook.run import Run as Run
    from mmsa_core.notebook.run import load_run as load_run
    from mmsa_core.notebook.run import predict as predict
    from mmsa_core.notebook.training import train as train
    from mmsa_core.recipes.recipe import Recipe as Recipe

_WHERE = {
    "Distiller": ("mmsa_core.components", "Distiller"),
    "DistillerConfig": ("mmsa_core.components", "DistillerConfig"),
    "Interrupted": ("mmsa_core.errors", "Interrupted"),
    "Recipe": ("mmsa_core.recipes.recipe", "Recipe"),
    "Run": ("mmsa_core.notebook.run", "Run"),
    "UserError": ("mmsa_core.errors", "UserError"),
    "compare": ("mmsa_core.notebook.comparing", "compare"),
    "from_arrays": ("mmsa_core.datasets.arrays", "from_arrays"),
    "load_exported": ("mmsa_core.export.exported", "load_exported"),
    "load_run": ("mmsa_core.notebook.run", "load_run"),
    "predict": ("mmsa_core.notebook.run", "predict"),
    "recipe": ("mmsa_core.notebook.recipe", "recipe"),
    "registry": ("mmsa_core.registry", None),
    "train": ("mmsa_core.notebook.training", "train"),
}
"""The names that are here, and where each is made."""
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'mmsa_core' has no attribute '{name}'; it has {', '.join(_WHERE)}")
    module, attribute = _WHERE[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
