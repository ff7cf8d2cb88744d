"""Kills at random moments, and whether what a training ends with is what one that was left alone ends with."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from measure import Found
from traced import read

UNCOMPARED = ("provenance.json", "test_evaluations.jsonl")
"""What tells when and how a run came about."""
AIMED = ("write", "validation", "evaluation", "behind")
"""Moments too short for chance alone."""
KINDS = ("kill", "term", "term, then kill", "kill one seed's process")
STOPPED, FAILED = 75, 2
PATIENCE = 10
"""Seconds within which the processes of seeds must have ended, when the first one is gone."""


@dataclass
class Kill:
    """One kill: how, in which run, and what was under way."""

    run: int
    kind: str
    moment: str
    code: int


@dataclass
class Soak:
    """A training that is killed over and over."""

    arguments: Sequence[str]
    """Of `mmsa`, without `--out`."""
    folder: Path
    source: random.Random
    parallel: bool = False
    """Whether seeds are trained in processes of their own, of which one may be killed."""
    kills: list[Kill] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    def start(self, out: Path) -> subprocess.Popen[str]:
        """Begin the training, or go on with it."""
        (self.folder / "moment").unlink(missing_ok=True)
        line = [sys.executable, str(Path(__file__).with_name("traced.py")), str(self.folder / "moment")]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
        return subprocess.Popen(
            [*line, *self.arguments, "--out", str(out), "--resume"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def moment(self) -> str:
        """What the training is doing."""
        return read(self.folder / "moment")

    def whole(self, out: Path) -> tuple[float, float]:
        """Train without a kill; seconds until the first step, and from there to the end."""
        began = time.monotonic()
        process = self.start(out)
        while self.moment() == "start" and process.poll() is None:
            time.sleep(0.01)
        first = time.monotonic()
        said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"the training does not end by itself:\n{said}")
        return first - began, time.monotonic() - first

    def life(self, run: int, out: Path, start: float, rest: float) -> bool:
        """Go on with a training and kill it at a random moment; whether it had ended before that."""
        kind = KINDS[self.source.choices(range(4), (6, 3, 1, 4 * self.parallel))[0]]
        process = self.start(out)
        if self.source.random() < 0.12:
            time.sleep(self.source.uniform(0, start))
        else:
            while self.moment() == "start" and process.poll() is None:
                time.sleep(0.01)
            time.sleep(self.source.uniform(0, rest))
            if self.source.random() < 0.4:
                self._aim(self.source.choice(AIMED), process)
        moment, seeds = self.moment(), of_seeds(process)
        if process.poll() is None and kind == KINDS[3]:
            for one in seeds[:1]:
                os.kill(one, signal.SIGKILL)
        elif process.poll() is None:
            process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
            if kind == "term, then kill":
                time.sleep(self.source.uniform(0, 0.05))
                process.kill()
        said, _ = process.communicate()
        code = process.returncode
        self.defects += [f"run {run}, after {kind} at '{moment}': process {each} lives on" for each in left(seeds)]
        if code == 0:
            return True
        if code == FAILED and kind == KINDS[3] and "its process ended with signal SIGKILL" in said:
            self.kills.append(Kill(run, kind, moment, code))
            return False
        if code == -signal.SIGKILL or code in (STOPPED, -signal.SIGTERM):
            self.kills.append(Kill(run, kind, self.moment() if code == -signal.SIGKILL else moment, code))
            return False
        self.defects.append(f"run {run}, after {kind} at '{moment}': exit code {code}\n{said[-2000:]}")
        return True

    def _aim(self, part: str, process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + 3
        while part not in self.moment() and process.poll() is None and time.monotonic() < until:
            pass


def run(arguments: Sequence[str], number: int, seed: int, folder: Path, keep: bool = False) -> Found:
    """Kill trainings so many times and compare; what is found."""
    soak = Soak(arguments, folder, random.Random(seed), parallel="1" not in arguments[arguments.index("--jobs") :][:2])
    start, rest = soak.whole(folder / "whole")
    print(f"a run takes {start:.1f} s to its first step and {rest:.1f} s from there", flush=True)
    expected, survived, runs = content(folder / "whole"), 0, 0
    while len(soak.kills) < number and not soak.defects:
        runs, before = runs + 1, len(soak.kills)
        out = folder / f"run-{runs}"
        while len(soak.kills) < number and not soak.life(runs, out, start, rest / 4):
            pass
        if not soak.defects:
            soak.whole(out)
            found = [f"run {runs}: {each}" for each in differences(expected, content(out))]
            soak.defects += found
            survived += 0 if found else len(soak.kills) - before
            if not found and not keep:
                shutil.rmtree(out)
        print(f"run {runs}: {len(soak.kills) - before} kills, {len(soak.kills)} of {number} so far", flush=True)
    return {
        "arguments": list(arguments),
        "seed": seed,
        "seconds": {"start": round(start, 1), "rest": round(rest, 1)},
        "runs": runs,
        "kills": len(soak.kills),
        "survived": survived,
        "fell": dict(Counter(place(each.moment) for each in soak.kills).most_common()),
        "signals": dict(Counter(each.kind for each in soak.kills)),
        "defects": soak.defects,
        "each": [asdict(each) for each in soak.kills],
    }


def of_seeds(process: subprocess.Popen[str]) -> list[int]:
    """The processes that train the seeds of one that runs."""
    try:
        found = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        return [each for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]
    except FileNotFoundError:  # it has ended
        return []


def left(processes: Sequence[int]) -> list[int]:
    """Which of some processes do not end in time."""
    until = time.monotonic() + PATIENCE
    while found := [each for each in processes if _lives(each)]:
        if time.monotonic() > until:
            return found
        time.sleep(0.01)
    return []


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def place(moment: str) -> str:
    """A moment without its numbers."""
    words = [word for word in moment.replace(",", "").split() if not word.isdecimal()]
    return " ".join(word.rpartition("-")[0] + ".state" if word.endswith(".state") else word for word in words)


def content(folder: Path) -> dict[Path, bytes]:
    """All that an experiment ended with, hidden and temporary files too."""
    return dict(_files(folder))


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        aside = path.relative_to(folder).parts[0].startswith("unfinished-")
        if path.is_file() and path.name not in UNCOMPARED and not aside:
            yield path.relative_to(folder), path.read_bytes()


def differences(expected: dict[Path, bytes], found: dict[Path, bytes]) -> list[str]:
    """The files that are missing, new or other."""
    paths = sorted({*expected, *found})
    named = {True: "is missing", False: "differs"}
    return [
        f"{path} {'is new' if path not in expected else named[path not in found]}"
        for path in paths
        if expected.get(path) != found.get(path)
    ]
