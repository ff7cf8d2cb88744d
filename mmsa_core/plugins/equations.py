"""The equations of a component: what its docstrings, and those of the functions that it calls, say in mathematics."""

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

MATH = (".. math::", ":math:")


def of(component: type[Any]) -> Iterator[tuple[str, str]]:
    """Signature and docstring of each function with an equation, in the order of the files.

    Looked at are the component's methods and what they call in the modules where its classes are defined: a module
    may have several components.
    """
    for owner in component.__mro__:
        module = sys.modules.get(owner.__module__)
        if module is None or inspect.isabstract(owner) or owner.__module__.partition(".")[0] == "torch":
            continue
        here = {name: each for name, each in vars(module).items() if _own(each, owner.__module__)}
        methods = {
            f"{owner.__name__}.{name}": each for name, each in vars(owner).items() if isinstance(each, FunctionType)
        }
        called = _called([*methods.values()], here)
        found = {**{name: here[name] for name in called}, **methods}
        for name, function in sorted(found.items(), key=lambda item: item[1].__code__.co_firstlineno):
            text = inspect.getdoc(function) or ""
            if any(sign in text for sign in MATH):
                yield (
                    f"{name}({', '.join(each for each in inspect.signature(function).parameters if each != 'self')})",
                    text,
                )


def _own(value: Any, module: str) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == module


def _called(functions: list[FunctionType], here: dict[str, FunctionType]) -> set[str]:
    """The names of the module's functions that are reached from some functions."""
    reached: set[str] = set()
    while functions:
        names = {name for code in _codes(functions.pop().__code__) for name in code.co_names}
        new = {name for name in names if name in here} - reached
        reached |= new
        functions += [here[name] for name in new]
    return reached


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions within it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)
