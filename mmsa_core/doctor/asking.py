"""Asking a process of its own (`probe`) about what may crash or hang when it is imported."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from queue import Empty, Queue
from typing import Any

PATIENCE = 60.0
"""Seconds that one item may take."""
Item = list[str]
"""`["device"]`, `["recipe", path, overrides ...]`, or `["component", kind, name]`."""


def ask(items: Sequence[Item], patience: float = PATIENCE) -> list[tuple[Item, dict[str, Any]]]:
    """What is found of each item; after one at which the process ends, or gets stuck, another process goes on."""
    waiting, answers = list(items), []
    while waiting:
        with _started(waiting) as process:
            begun, stuck = waiting[0], False
            for line in _lines(process, patience):
                if line is None:
                    stuck = True
                    break
                found = json.loads(line)
                if "end" in found:
                    answers.append((found["end"], found))
                    waiting.remove(found["end"])
                else:
                    begun = found["begin"]
            process.kill() if stuck else process.wait()
        if waiting:
            how = f"takes more than {patience:g} s" if stuck else f"ends the process ({_ending(process.wait())})"
            answers.append((begun, {"problem": f"its import {how}"}))
            waiting.remove(begun)
    return answers


def _started(items: Sequence[Item]) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("MMSA_PLUGINS_STRICT", None)  # what is broken is reported
    line = [sys.executable, "-m", "mmsa_core.doctor.probe", json.dumps(items)]
    return subprocess.Popen(
        line, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _lines(process: "subprocess.Popen[str]", patience: float) -> Iterator[str | None]:
    """What a process prints until it ends; None where it is silent for too long."""
    said: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put(line)
        said.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        yield from iter(lambda: said.get(timeout=patience), "")
    except Empty:
        yield None


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
