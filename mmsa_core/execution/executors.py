"""The executors by name."""

from mmsa_core.execution.executor import Executor
from mmsa_core.execution.local import Local


def make(name: str, address: str | None = None, device: str = "cpu") -> Executor:
    """`local`, or `ray` on the cluster at an address (None: one that is started on this machine)."""
    if name == "local":
        return Local()
    from mmsa_core.execution.on_ray import Ray

    return Ray(address, device)
