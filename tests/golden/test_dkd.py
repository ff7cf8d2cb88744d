"""DKD against the numbers of its published code, and the confident rows where that code gives inf."""

import re

import pytest
import torch

from mmsa_core.distillers.dkd import nontarget_part, target_part
from mmsa_core.distillers.kd import kd

pytestmark = pytest.mark.golden("dkd")


def tolerances(text):
    """`float32 rtol 1e-5 atol 1e-6; .f64 keys rtol 1e-9`."""
    single, double = text.split(";")

    def number(name, part):
        found = re.search(rf"{name} (\S+)", part)
        return float(found[1]) if found else 0.0

    return {
        torch.float32: {"rtol": number("rtol", single), "atol": number("atol", single)},
        torch.float64: {"rtol": number("rtol", double), "atol": number("atol", double)},
    }


def cases(golden_set):
    """Inputs, hyperparameters and stored tensors of every case in both precisions."""
    for case in golden_set.json["cases"]:
        classes, fields = case.split(".", 1)
        alpha, beta, temperature = map(float, re.fullmatch(r"a(.+)_b(.+)_t(.+)", fields).groups())
        for dtype, suffix in ((torch.float32, ""), (torch.float64, ".f64")):
            z_s, z_t = (golden_set.tensors[f"{classes}.{who}"].to(dtype) for who in ("student", "teacher"))
            target = golden_set.tensors[f"{classes}.target"]
            yield f"{case}{suffix}", (z_s, z_t, target, temperature), (alpha, beta)


def test_losses_and_parts(golden_set):
    tolerance = tolerances(golden_set.json["tolerance"])
    checked = set()
    for case, inputs, (alpha, beta) in cases(golden_set):
        target, nontarget = target_part(*inputs).mean(), nontarget_part(*inputs).mean()
        found = {"loss": alpha * target + beta * nontarget, "target_part": target, "nontarget_part": nontarget}
        for name, value in found.items():
            wanted = golden_set.tensors[f"{case}.{name}"]
            torch.testing.assert_close(value, wanted.to(value.dtype), **tolerance[value.dtype], msg=f"{case}.{name}")
            checked.add(f"{case}.{name}")
    assert checked == {n for n in golden_set.tensors if n.endswith(("loss", "target_part", "nontarget_part"))}


def test_gradients(golden_set):
    tolerance = tolerances(golden_set.json["tolerance"])[torch.float64]
    compared = 0
    for case, (z_s, *rest), (alpha, beta) in cases(golden_set):
        wanted = golden_set.tensors.get(f"{case}.grad_student")
        if wanted is None:
            continue
        z_s = z_s.requires_grad_()
        loss = alpha * target_part(z_s, *rest).mean() + beta * nontarget_part(z_s, *rest).mean()
        found = torch.autograd.grad(loss, z_s)[0]
        # A relative bound on single entries means nothing where the entries cancel: it is taken of the largest.
        close = {**tolerance, "atol": tolerance["rtol"] * wanted.abs().max().item()}
        torch.testing.assert_close(found, wanted, **close, msg=case)
        compared += 1
    assert compared == len(golden_set.json["cases"])


def test_plain_kd(golden_set):
    tolerance = tolerances(golden_set.json["tolerance"])
    for case, (z_s, z_t, target, temperature), _ in cases(golden_set):
        value = kd(z_s, z_t, temperature)
        wanted = golden_set.json["cases"][case.removesuffix(".f64")]["plain_kd"]
        torch.testing.assert_close(value, torch.tensor(wanted, dtype=value.dtype), **tolerance[value.dtype])
        rest = 1 - (z_t / temperature).softmax(dim=1).gather(1, target.unsqueeze(1))[:, 0]
        parts = (z_s, z_t, target, temperature)
        split = (target_part(*parts) + rest * nontarget_part(*parts)).mean()
        torch.testing.assert_close(split, value, **tolerance[value.dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_confident_rows_are_finite_and_exact(golden_set, dtype):
    tensors, tolerance = golden_set.tensors, tolerances(golden_set.json["tolerance"])[dtype]
    z_s = tensors["extreme.student"].to(dtype).requires_grad_()
    inputs = (z_s, tensors["extreme.teacher"].to(dtype), tensors["extreme.target"], 1.0)
    found = torch.stack([target_part(*inputs), nontarget_part(*inputs)], dim=1)
    wanted = torch.tensor(golden_set.json["extreme_per_row_target_nontarget_exact_by_log_sum_exp"], dtype=dtype)
    torch.testing.assert_close(found, wanted, **tolerance)
    assert torch.autograd.grad(found.sum(), z_s)[0].isfinite().all()
