"""Whether a component makes its tensors where the others are: it is run on the `meta` device, which has no numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

META = torch.device("meta")
UNDECIDED = "values decide what it does, so it is not run on the meta device"
CROSSING = ("to", "copy_", "type_as", "__getitem__", "__setitem__", "__get__", "__set__", "data_ptr")
"""What may take tensors of two devices."""


class OneDevice(TorchFunctionMode):
    """Refuses operations on tensors of two devices; some pass on `meta` that fail on an accelerator."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        found = {x.device.type for x in tensors((args, kwargs or {})) if x.ndim}  # a number may be anywhere
        if len(found) > 1 and name not in CROSSING:
            raise AssertionError(f"{name} is given tensors on {' and '.join(sorted(found))}")
        return func(*args, **(kwargs or {}))


def tensors(of: Any) -> Iterator[Tensor]:
    """The tensors in nested sequences and mappings."""
    if isinstance(of, Tensor):
        yield of
    elif isinstance(of, list | tuple | Mapping):
        for each in of.values() if isinstance(of, Mapping) else of:
            yield from tensors(each)


def on_meta(who: str, what: str, call: Callable[[], Any]) -> tuple[Any, str | None]:
    """What a call gives on `meta`, or why it cannot be known."""
    try:
        with OneDevice():
            return call(), None
    except AssertionError as error:
        raise AssertionError(
            f"{who}: {what} on another device than the CPU: {error}; make tensors from others (x.new_zeros, "
            "device=x.device), and keep what a module owns as parameter or buffer"
        ) from error
    except NotImplementedError:
        return None, UNDECIDED
    except (RuntimeError, TypeError) as error:
        if "meta" in str(error) and "not on the expected device" not in str(error):
            return None, UNDECIDED
        raise AssertionError(f"{who}: {what} on another device than the CPU: {error}") from error
