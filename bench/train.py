"""How fast CorrKD trains and predicts on a made corpus of MOSI's size.

python bench/train.py [--quick] [--threads N] [--epochs N] [--json FILE]

Figures are medians with minimum and maximum. What is compared runs alternately within this one process,
so ratios carry over to other machines and absolute times do not.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import torch
from loops import difference
from measure import Figure, Found, alternate, arguments, environment, peak_mebibytes
from parts import CPU, MOSI, QUICK, Parts, Size, parts, recipe
from rich.console import Console

from mmsa_core.components import Distiller
from mmsa_core.corpora.batching import batches
from mmsa_core.display import Display
from mmsa_core.missing import Draw, derive
from mmsa_core.training import experiment
from mmsa_core.training.runner import Trainer
from mmsa_core.types import Batch

TERMS = ("scd", "cpd", "rcd")
TOLERANCE = 1e-9
"""Largest relative difference allowed between a term and its loops, in float64."""
CACHE_TARGET, LOOPS_TARGET = 1.1, 4.0


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of the full run; by default the recipe's")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    size = QUICK if options.quick else MOSI
    if options.epochs is not None:
        size = replace(size, epochs=options.epochs)
    found: Found = {"quick": options.quick, "environment": environment(), "size": asdict(size)}
    show(found)
    # First, so that its peak memory is its own.
    found["full_run"] = full_run(size)
    made = parts(size)
    found["seed"] = made.seed
    found["loops_equal"] = loops_equal(made, size.loop_batches[0])
    found["cache"] = {str(batch): cache(made, size, batch) for batch in size.step_batches}
    found["loops"] = {str(batch): loops(made, size, batch) for batch in size.loop_batches}
    found["inference"] = {str(batch): inference(made, size, batch) for batch in size.inference_batches}
    found["peak_mebibytes"] = {"full_run": found["full_run"]["peak_mebibytes"], "bench": peak_mebibytes()}
    found["targets"] = targets(found)
    report(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


def full_run(size: Size) -> Found:
    """Teacher, student and evaluation as `mmsa train` does them, for one seed."""
    chosen = recipe(size)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        experiment.train(chosen, Path(folder) / "run", CPU, "bench/train.py", watch)
        seconds = time.perf_counter() - began
    return {
        "epochs": chosen.train.epochs,
        "batch_size": chosen.train.batch_size,
        "seconds": seconds,
        "teacher_seconds": watch.seconds["teacher"],
        "student_seconds": watch.seconds["student"],
        "peak_mebibytes": peak_mebibytes(),
    }


class Stopwatch(Display):
    """Shows progress on standard error and keeps how long each network took to train, validation included."""

    def __init__(self) -> None:
        super().__init__(Console(stderr=True))
        self.seconds: dict[str, float] = {}

    def begin(self, stage: str, epochs: int, steps: int) -> None:
        super().begin(stage, epochs, steps)
        self.seconds[stage] = -time.perf_counter()

    def end(self, stage: str) -> None:
        self.seconds[stage] += time.perf_counter()
        super().end(stage)


def loops_equal(made: Parts, batch: int) -> Found:
    """Assert that loops and vectorised terms give the same values and gradients on a batch of the corpus."""
    trainer, written_out = made.trainer(batch), made.terms(by_loops=TERMS)
    rows, epoch = next(stream(made, batch))
    assert trainer.masker is not None
    assert trainer.teacher is not None
    seen = trainer.masker(rows, Draw("train", made.seed, epoch))
    student = trainer.network(seen)
    teacher = trainer.teacher(rows, student)
    found = {}
    for label in TERMS:
        term, other = trainer.terms.modules[label], written_out[label]
        assert isinstance(term, Distiller)
        assert isinstance(other, Distiller)
        found[label] = difference(term, other, student, teacher, seen)
        assert found[label] < TOLERANCE, f"{label}: loops differ by {found[label]:.1e} from the vectorised term"
    return found


def stream(made: Parts, batch: int) -> Iterator[tuple[Batch, int]]:
    """Full batches of the training split with their epoch, shuffled anew in each, without end."""
    train, epoch = made.data.splits["train"], 0
    while True:
        epoch += 1
        source = torch.Generator().manual_seed(derive(made.seed, "bench", epoch))
        order = torch.randperm(len(train), generator=source)[: len(train) // batch * batch]
        for rows in batches(train, made.recipe.task, batch, order):
            yield rows, epoch


def stepper(made: Parts, trainer: Trainer, batch: int, block: int) -> Callable[[], None]:
    """Makes `block` updates at each call, picking the rows included."""
    source = stream(made, batch)

    def run() -> None:
        for _ in range(block):
            rows, epoch = next(source)
            trainer.step(rows, epoch, total_steps=1)

    return run


def rates(seconds: list[float], steps: int) -> Figure:
    return Figure.of([steps / each for each in seconds], "steps/s")


def ratios(slow: list[float], fast: list[float]) -> Found:
    """How many times as fast: of the medians, and round by round."""
    return {
        "ratio": Figure.of(slow, "s").median / Figure.of(fast, "s").median,
        "ratio_by_round": Figure.of([a / b for a, b in zip(slow, fast, strict=True)], "times"),
    }


def cache(made: Parts, size: Size, batch: int) -> Found:
    """Student steps with the teacher's outputs kept, and with the teacher run in each."""
    with_cache, without = made.trainer(batch, cache=True), made.trainer(batch, cache=False)
    variants = {
        "cached": stepper(made, with_cache, batch, size.block),
        "uncached": stepper(made, without, batch, size.block),
    }
    seconds = alternate(variants, size.step_rounds)
    pairs = zip(with_cache.network.parameters(), without.network.parameters(), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        raise SystemExit("the students with and without the teacher's cache differ")
    return {
        **{name: rates(each, size.block) for name, each in seconds.items()},
        **ratios(seconds["uncached"], seconds["cached"]),
        "students_identical": True,
    }


def loops(made: Parts, size: Size, batch: int) -> Found:
    """Student steps with vectorised terms, with one term by loops, and with all three."""
    named = {"vectorised": (), **{label: (label,) for label in TERMS}, "all": TERMS}
    variants = {
        name: stepper(made, made.trainer(batch, by_loops=by_loops), batch, block=1) for name, by_loops in named.items()
    }
    seconds = alternate(variants, size.loop_rounds)
    fast = seconds.pop("vectorised")
    return {
        "vectorised": rates(fast, 1),
        **{f"loops_{name}": {"rate": rates(slow, 1), **ratios(slow, fast)} for name, slow in seconds.items()},
    }


def inference(made: Parts, size: Size, batch: int) -> dict[str, Figure]:
    """Milliseconds per sample of the student with each subset of the modalities there."""
    network, names = made.network("student").eval(), list(made.data.channels)
    rows = next(batches(made.data.splits["test"], made.recipe.task, batch))
    subsets = [kept for n in range(1, len(names) + 1) for kept in combinations(names, n)]

    def predict(kept: tuple[str, ...]) -> Callable[[], None]:
        seen = rows.hide({m: rows.observed[m] for m in names if m not in kept})

        def run() -> None:
            with torch.no_grad():
                network(seen)

        return run

    seconds = alternate({"+".join(kept): predict(kept) for kept in subsets}, size.inference_rounds)
    return {
        name: Figure.of([1000 * each / len(rows) for each in found], "ms/sample") for name, found in seconds.items()
    }


def targets(found: Found) -> list[Found]:
    """The ratios that the project promises; --quick has other sizes and says nothing of them."""
    if found["quick"]:
        return []
    named = [(f"teacher cache, B = {batch}", CACHE_TARGET, each["ratio"]) for batch, each in found["cache"].items()]
    named.append(("loops, B = 64", LOOPS_TARGET, found["loops"]["64"]["loops_all"]["ratio"]))
    return [{"name": n, "target": least, "ratio": ratio, "met": ratio >= least} for n, least, ratio in named]


def show(found: Found) -> None:
    """What is about to be measured, on what."""
    about, size = found["environment"], found["size"]
    print(f"torch {about['torch']}, {about['threads']} threads of {about['cores']} cores, load {about['load']:.1f}")
    print(f"samples {size['samples']}, T = {size['frames']}, widths {size['channels']}", flush=True)


def report(found: Found) -> None:
    """The table."""
    run = found["full_run"]
    print(f"\nseed {found['seed']}; median (min .. max)")
    print(f"full CorrKD run, {run['epochs']} epochs each at B = {run['batch_size']}: {run['seconds']:.1f} s")
    print(f"  teacher {run['teacher_seconds']:.1f} s, student {run['student_seconds']:.1f} s")
    for batch, each in found["cache"].items():
        print(f"student steps, B = {batch}: with the teacher cache {each['ratio']:.2f} times as fast")
        for name, label in {"cached": "cached", "uncached": "uncached", "ratio_by_round": "by round"}.items():
            print(f"  {label:10} {each[name]}")
        print("  students identical to the last bit: yes")
    worst = max(found["loops_equal"].values())
    print(f"terms by double loops over samples (equal to {worst:.0e} in float64)")
    for batch, each in found["loops"].items():
        print(f"  B = {batch}\n    vectorised {each['vectorised']}")
        for label in (*TERMS, "all"):
            slow = each[f"loops_{label}"]
            print(f"    {label:10} {slow['rate']}, vectorised {slow['ratio']:.2f} times as fast")
    for batch, each in found["inference"].items():
        print(f"inference, batch {batch}, by the modalities that are there")
        for name, figure in each.items():
            print(f"  {name:20} {figure}")
    peak = found["peak_mebibytes"]
    print(f"peak memory: full run {peak['full_run']:.0f} MiB, whole bench (loops included) {peak['bench']:.0f} MiB")
    for each in found["targets"]:
        verdict = "met" if each["met"] else "MISSED"
        print(f"target {each['name']}: {each['ratio']:.2f}, at least {each['target']:g}: {verdict}")


if __name__ == "__main__":
    main()
