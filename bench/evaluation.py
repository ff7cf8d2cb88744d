"""How fast all subsets and rates are evaluated, with encodings used again and without.

python bench/evaluation.py [--quick] [--threads N] [--rounds N] [--json FILE]

The protocol `grid` (7 subsets at 11 frame-drop rates) on 686 samples of MOSI's sizes. `naive` runs the whole network
for each condition, `reused` encodes a modality once for each distinct mask; both run alternately in this process, and
ratios are taken round by round. With 3 modalities and 11 rates, of which the last hides everything, 231 encodings
stand against 33: the bound of the ratio is 7 where encoders are everything.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from measure import Figure, Found, alternate, arguments, environment
from parts import MOSI, QUICK, Size, recipe
from rich.console import Console

from mmsa_core import assemble
from mmsa_core.corpora import data
from mmsa_core.evaluation import protocol_file
from mmsa_core.evaluation.scores import Answers, answers
from mmsa_core.model import Model
from mmsa_core.recipes.recipe_file import build

FUSIONS = ("concat", "gated", "low_rank", "tensor")
"""Those that join encoded modalities."""
TARGET = 6.0
TOLERANCE = 1e-6


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each side runs")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    size = QUICK if options.quick else MOSI
    found: Found = {"quick": options.quick, "environment": environment(), "size": asdict(size)}
    found["fusions"] = {name: measured(size, name, 1 if options.quick else options.rounds) for name in FUSIONS}
    found["targets"] = [] if options.quick else missed(found)
    report(found)
    if options.json is not None:
        Path(options.json).write_text(json.dumps(found, indent=1, default=asdict) + "\n", encoding="utf-8")


def measured(size: Size, fusion: str, rounds: int) -> Found:
    """Seconds of both sides, their ratio, and the largest difference of a logit."""
    network, prepared = made(size, fusion)
    split = prepared.splits["test"]
    grid = protocol_file.get("grid", tuple(network.encoders), split)
    kept: dict[str, dict[str, Answers]] = {}

    def side(name: str, reuse: bool) -> Callable[[], None]:
        def run() -> None:
            kept[name] = answers(network, split, grid.conditions, grid.source(0), 256, reuse)

        return run

    seconds = alternate({"naive": side("naive", False), "reused": side("reused", True)}, rounds)
    ratios = [naive / reused for naive, reused in zip(seconds["naive"], seconds["reused"], strict=True)]
    difference = max(
        (kept["naive"][name].logits - kept["reused"][name].logits).abs().max().item() for name in grid.conditions
    )
    assert difference <= TOLERANCE
    return {
        "conditions": len(grid.conditions),
        "samples": len(split),
        "seconds": {name: Figure.of(values, "s") for name, values in seconds.items()},
        "ratio": Figure.of(ratios, "times"),
        "largest_difference": difference,
    }


def made(size: Size, fusion: str) -> tuple[Model, data.Data]:
    """An untrained network of the shipped recipe with another fusion, and the data that it reads."""
    plain = recipe(size).model_dump(mode="json")
    chosen = build({**plain, "model": {**plain["model"], "fusion": {"name": fusion}}}, (), "bench")
    prepared = data.load(chosen)
    network = assemble.model(chosen.model, chosen.task, prepared.channels, prepared.lengths, 1111)
    network.fit_statistics(prepared.splits["train"])
    return network, prepared


def missed(found: Found) -> list[str]:
    """Targets that were not reached."""
    ratios = {name: each["ratio"].median for name, each in found["fusions"].items()}
    return [f"{name}: {ratio:.2f} times, wanted {TARGET}" for name, ratio in ratios.items() if ratio < TARGET]


def report(found: Found) -> None:
    """Print what was measured."""
    console = Console(highlight=False)
    console.print(f"environment: {found['environment']}")
    for name, each in found["fusions"].items():
        console.print(f"{name}: {each['conditions']} conditions, {each['samples']} samples")
        for side, figure in each["seconds"].items():
            console.print(f"  {side:8}{figure}")
        console.print(f"  ratio   {each['ratio']}; largest difference of a logit {each['largest_difference']:.1e}")
    for line in found["targets"]:
        console.print(f"missed: {line}")


if __name__ == "__main__":
    main()
