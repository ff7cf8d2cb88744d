"""SCD and its gradient once, in this process, at one batch size; prints seconds and how much memory that took.

python bench/scd_alone.py BATCH whole|blocks
"""

import json
import sys
import time

import torch
from measure import peak_mebibytes
from mmsa_corrkd import blocks
from mmsa_corrkd.scd import SampleContrastive

from mmsa_core import testing
from mmsa_core.tasks import Bins

DIM = 40


def main() -> None:
    batch, form = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    if form == "whole":
        blocks.PAIRS = batch * batch
    task = Bins(classes=7)
    full = testing.batch(3, batch, task=task)
    context = testing.context(full, task, DIM)
    term = SampleContrastive(SampleContrastive.Config(), context)
    student, taken = testing.leaves(testing.outputs(full, context, 1))
    teacher = testing.outputs(full, context, 2)
    before, began = peak_mebibytes(), time.perf_counter()
    torch.autograd.grad(term(student, teacher, full), taken, allow_unused=True)
    print(json.dumps({"seconds": time.perf_counter() - began, "mebibytes": peak_mebibytes() - before}))


if __name__ == "__main__":
    main()
