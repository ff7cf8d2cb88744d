"""Jobs on a ray cluster. The workers need the same installation, and see the same files."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from mmsa_core import registry
from mmsa_core.errors import UserError
from mmsa_core.execution import told
from mmsa_core.execution.executor import Failure
from mmsa_core.execution.told import Ended
from mmsa_core.run_folder.lock import Handed

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

try:
    import ray
    import ray.exceptions
except ImportError as error:
    raise UserError(f"--on ray needs ray ({error}): pip install 'mmsa-core[sweep]'") from error

PATIENCE = 10
"""Seconds that a job gets to end before it is killed."""


class Ray:
    """The executor of a cluster; each job gets a core, and on CUDA a device."""

    def __init__(self, address: str | None, device: str) -> None:
        started: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING, **started)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"--address {address or 'local'}: no ray cluster can be reached or started ({reason})"
            ) from error
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.capacity = int(resources.get("CPU", 1))
        self._needs = {"num_cpus": 1, "num_gpus": 1 if device == "cuda" else 0}

    def start(
        self, function: Callable[..., None], arguments: tuple[Any, ...], name: str, locked: Handed | None
    ) -> "Job":
        """Begin a job; no lock of this machine can be handed to it."""
        work = ray.remote(_work).options(name=name, max_retries=0, **self._needs)
        return Job(work.remote(function, arguments))

    def wait(self, running: "Iterable[Job]", seconds: float) -> None:
        open_ones = [job.reference for job in running]
        if open_ones:
            ray.wait(open_ones, timeout=seconds)

    def close(self) -> None:
        ray.shutdown()


class Job:
    """A ray task."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference
        self.interrupted = False
        self._told = False

    def ended(self) -> bool:
        return bool(ray.wait([self.reference], timeout=0)[0])

    def close(self) -> Failure | None:
        try:
            ended: Ended = ray.get(self.reference)
        except ray.exceptions.TaskCancelledError:
            self.interrupted = True
            return None
        except ray.exceptions.RayTaskError as error:
            return Failure(" ".join(str(error.cause).split()), str(error))
        except ray.exceptions.RayError as error:  # its process or its machine is gone
            first = str(error).strip().splitlines()[0].rstrip(".")
            return Failure(f"its ray worker ended: {first}", crashed=True)
        self.interrupted = ended.interrupted
        return ended.failure

    def terminate(self) -> None:
        if not self._told:  # a second signal would end it before its state is saved
            self._told = True
            ray.cancel(self.reference)

    def stop(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self.ended() and time.monotonic() < until:
            ray.wait([self.reference], timeout=0.2)
        if not self.ended():
            ray.cancel(self.reference, force=True)


def _work(function: Callable[..., None], arguments: tuple[Any, ...]) -> Ended:
    """What a worker does."""
    registry.metadata()  # says what is broken to the libraries that would fail of it
    return told.run(function, arguments)
