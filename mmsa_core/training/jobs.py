"""Seeds in processes of their own, several at once: the same numbers as one after the other.

What they print is shown line by line with the seed in front. A seed that fails stops no other that has begun, and
all of them end when this process does; until they have, the lock of the folder is held.
"""

import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmsa_core import limits, registry
from mmsa_core.display import Display
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.recipes.recipe import Recipe
from mmsa_core.run_folder import by_hand
from mmsa_core.training import component_log, resume, seed_run
from mmsa_core.training.deterministic import algorithms
from mmsa_core.training.seed_run import Setting
from mmsa_core.training.stopping import EXIT_CODE, Stop

PERIOD = 0.2
"""Seconds between looks at whether this process was asked to end."""
PATIENCE = 5
"""Seconds that a process gets to end before it is killed."""


def number(asked: int | None, recipe: Recipe, device: torch.device, seeds: Sequence[int]) -> int:
    """How many processes to train seeds in: as asked, or what the cores allow; one on CUDA; at most one for a seed."""
    if asked is None:
        asked = 1 if device.type == "cuda" else cores() // (recipe.threads or torch.get_num_threads())
    return max(1, min(asked, len(seeds)))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Failure(NamedTuple):
    """Why a seed failed."""

    message: str
    where: str = ""
    """The traceback in its process."""


class Elsewhere(Exception):
    """What was raised in other processes, to be shown as the cause of what is raised in this one."""


def run(setting: Setting, seeds: Sequence[int], at_once: int, locked: Connection | None = None) -> None:
    """Train seeds, so many at once; after a failure those that have begun are finished.

    Each process keeps `locked` open.

    Raises:
        UserError: with what each failed seed says.
    """
    waiting, running, failures = list(seeds), dict[int, Job](), dict[int, Failure]()
    told_to_end, stopping = False, False
    try:
        while running or (waiting and not failures):
            while waiting and len(running) < at_once and not failures:
                seed = waiting.pop(0)
                setting.display.seed(seed, setting.recipe.seeds)
                running[seed] = Job(setting, seed, locked)
            connection.wait([source for job in running.values() for source in job.sources], timeout=PERIOD)
            for seed, job in list(running.items()):
                ended = not job.process.is_alive()  # asked before reading: then nothing more can come
                for line in job.lines(ended):
                    setting.display.of_seed(seed, line)
                if ended:
                    del running[seed]
                    if failure := job.close():
                        failures[seed] = failure
                    told_to_end = told_to_end or job.interrupted
            if (told_to_end or setting.stop()) and not stopping:
                stopping, waiting = True, []
                for job in running.values():
                    job.process.terminate()  # it saves its state first
    finally:
        for job in running.values():
            job.process.terminate()
        for job in running.values():
            job.stop()
    if failures:
        told = [f"seed {seed}, in its process:\n{each.where}" for seed, each in failures.items() if each.where]
        raise failed(failures, setting) from (Elsewhere("\n".join(told)) if told else None)
    if stopping:
        raise Interrupted


def failed(failures: Mapping[int, Failure], setting: Setting) -> UserError:
    """What to say when seeds failed: why, and what is kept of the others."""
    if len(setting.recipe.seeds) == 1:
        return UserError("\n".join(each.message for each in failures.values()))
    lines = [f"seed {seed}: {each.message}" for seed, each in failures.items()]
    kept = [f"seed-{seed}" for seed in setting.recipe.seeds if resume.is_finished(setting.folder(seed))]
    if kept:
        again = shlex.quote(str(setting.out))
        lines.append(f"{', '.join(kept)} finished and kept in {setting.out}; mmsa resume {again} goes on")
    return UserError("\n".join(lines))


class Job:
    """The process of one seed."""

    def __init__(self, setting: Setting, seed: int, locked: Connection | None) -> None:
        context = get_context("spawn")
        self._output, output = context.Pipe(duplex=False)
        self._message, message = context.Pipe(duplex=False)
        recipe = setting.recipe.model_dump(mode="json")
        about = (str(setting.device), setting.out, setting.command, setting.origin, by_hand.used(setting.recipe))
        given = (recipe, seed, *about, output, message, locked)
        self.process = context.Process(target=work, args=given, daemon=True, name=f"seed {seed}")
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

    def lines(self, ended: bool) -> list[str]:
        """The whole lines that were printed since the last call; of a process that has ended all that is left."""
        self._hear()  # a long message waits to be read, and its process with it
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
            hint = "its lines above say more; where memory ran out take fewer --jobs"
            said = Failure(f"its process ended with {how}; {hint}")
        for end in (self._output, self._message):
            end.close()
        return said

    def _hear(self) -> None:
        """Take what it says of its failure, if it has said it."""
        with suppress(EOFError, OSError):  # it said nothing, or was killed within it
            if self._message.poll():
                self._said = Failure(*self._message.recv())

    def stop(self) -> None:
        """See to it that a process which was told to end does."""
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()


def work(
    recipe: dict[str, Any],
    seed: int,
    device: str,
    out: Path,
    command: str,
    origin: Mapping[str, str] | None,
    registered: Mapping[str, Mapping[str, str]],
    output: Connection,
    message: Connection,
    locked: Connection | None,
) -> None:
    """What the process of a seed does: all that it prints goes into `output`, a user's mistake into `message`.

    `locked` stays open until the process ends, and with it the lock of the folder.
    """
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    display = Display()
    registry.metadata()  # says what is broken to the libraries that would fail of it
    try:
        with component_log.shown(display.warn), Stop().heard() as stop:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the first process, which tells the others
            by_hand.register(registered)
            found = Recipe.model_validate(recipe)
            with algorithms(found.deterministic):
                setting = seed_run.prepare(found, torch.device(device), out, command, display, None, stop, origin)
                stop.patient = True
                seed_run.run(setting, seed)
    except Interrupted:
        sys.exit(EXIT_CODE)
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        text = limits.explained(error) or str(error)
        if isinstance(error, RuntimeError) and text == str(error):
            raise  # a defect
        message.send((text, traceback.format_exc()))
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
