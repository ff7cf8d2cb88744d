"""Jobs in processes of this machine: each is a new interpreter, and none outlives the process that started it."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from mmsa_core import registry
from mmsa_core.execution import told
from mmsa_core.execution.executor import Failure
from mmsa_core.training.stopping import EXIT_CODE

PATIENCE = 5
"""Seconds that a process gets to end before it is killed."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Local:
    """The executor of this machine."""

    def __init__(self) -> None:
        self.capacity = cores()

    def start(
        self, function: Callable[..., None], arguments: tuple[Any, ...], name: str, locked: Connection | None
    ) -> "Job":
        return Job(function, arguments, name, locked)

    def wait(self, running: "Iterable[Job]", seconds: float) -> None:
        connection.wait([source for job in running for source in job.sources], timeout=seconds)

    def close(self) -> None:
        pass


class Job:
    """A process that does one thing."""

    def __init__(
        self, function: Callable[..., None], arguments: tuple[Any, ...], name: str, locked: Connection | None
    ) -> None:
        context = get_context("spawn")
        self._output, output = context.Pipe(duplex=False)
        self._message, message = context.Pipe(duplex=False)
        given = (function, arguments, output, message, locked)
        self.process = context.Process(target=work, args=given, daemon=True, name=name)
        with _unreached():
            self.process.start()
        output.close()
        message.close()
        os.set_blocking(self._output.fileno(), False)
        self._rest = b""
        self._said: Failure | None = None
        self.interrupted = False
        """Whether it has ended because it was told to."""
        self.sources: list[Connection | int] = [self._output, self.process.sentinel]

    def ended(self) -> bool:
        self._hear()  # a long message waits to be read, and its process with it
        return not self.process.is_alive()

    def lines(self, ended: bool) -> list[str]:
        """The whole lines that were printed since the last call; of a process that has ended all that is left."""
        self._hear()
        while True:
            try:
                read = os.read(self._output.fileno(), 1 << 16)
            except BlockingIOError:
                break
            self._rest += read
            if not read:  # the process has closed its output
                self.sources = [self.process.sentinel]
                break
        *whole, self._rest = [*self._rest.split(b"\n"), *([b""] if ended else [])]
        return [text for line in whole if (text := line.decode(errors="replace").rstrip())]

    def close(self) -> Failure | None:
        """Of a process that has ended: why it failed, or None."""
        self.process.join()
        self._hear()
        code, said = self.process.exitcode or 0, self._said
        self.interrupted = code in (EXIT_CODE, -signal.SIGTERM)
        if code and not said and not self.interrupted:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = "what it printed says more; where memory ran out take fewer --jobs"
            said = Failure(f"its process ended with {how}; {hint}", crashed=code < 0)
        for end in (self._output, self._message):
            end.close()
        return said

    def _hear(self) -> None:
        """Take what it says of its failure, if it has said it."""
        with suppress(EOFError, OSError):  # it said nothing, or was killed within it
            if self._message.poll():
                self._said = Failure(*self._message.recv())

    def terminate(self) -> None:
        self.process.terminate()

    def stop(self) -> None:
        """See to it that a process which was told to end does."""
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()


def work(
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    output: Connection,
    message: Connection,
    locked: Connection | None,
) -> None:
    """What the process does: all that it prints goes into `output`, a user's mistake into `message`.

    `locked` stays open until the process ends, and with it the lock of the folder.
    """
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    registry.metadata()  # says what is broken to the libraries that would fail of it
    ended = told.run(function, arguments)
    if ended.interrupted:
        sys.exit(EXIT_CODE)
    if ended.failure is not None:
        message.send((ended.failure.message, ended.failure.where))
        sys.exit(2)


@contextmanager
def _unreached() -> Iterator[None]:
    """Processes that are started in the block are never reached by Ctrl-C, not even before they can ignore it."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # or the first process starts it, and it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process at once when the one that started it is gone, however that ended."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
