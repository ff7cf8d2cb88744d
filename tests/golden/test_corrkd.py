"""Golden CorrKD: our formulas against plain loops in float64; every recorded number is compared."""

import re

import pytest

pytest.importorskip("mmsa_corrkd", reason="needs the plugin mmsa-corrkd")
import torch
from mmsa_corrkd import cpd, rcd, scd
from mmsa_corrkd.critic import BilinearCritic

pytestmark = [pytest.mark.golden("corrkd"), pytest.mark.parametrize("dtype", [torch.float64, torch.float32])]

HEADER = {"source", "seed", "feature_dim", "values", "definitions", "tolerance"}
SCD = {
    "sum_as_written": lambda d, eta: scd.sample_contrastive(d, eta),
    "pos_sum": lambda d, eta: scd.matching(d),
    "neg_sum": scd.repulsion,
    "mean_over_ordered_pairs": lambda d, eta: scd.sample_contrastive(d, eta) / max(len(d) * (len(d) - 1), 1),
    "mean_over_samples": lambda d, eta: scd.sample_contrastive(d, eta) / len(d),
    "positive_counted_once_sum": lambda d, eta: d.diagonal().square().sum() + scd.repulsion(d, eta),
}
CPD = {
    "over_NK_absent_counts_zero": lambda s, t, present: cpd.category_prototype(s, t, len(present)),
    "over_N_present_classes": lambda s, t, present: cpd.category_prototype(s, t, int(present.sum())),
    "sum": lambda s, t, present: cpd.category_prototype(s, t, 1) * len(s),
}
PAIRS = {"permutation", "all_pairs", "off_diagonal"}


class Case:
    """One case's tensors in one dtype, its numbers, and a record of which of both were compared."""

    def __init__(self, golden_set, name, dtype):
        self.numbers, self.dtype = golden_set.json["values"][name], dtype
        start = f"{name}."
        self.tensors = {k.removeprefix(start): v for k, v in golden_set.tensors.items() if k.startswith(start)}
        self.seen = set()
        self.tolerance = tolerance(golden_set.json["tolerance"], dtype)

    def __getitem__(self, key):
        self.seen.add(key)
        value = self.tensors[key]
        return value.to(self.dtype) if value.is_floating_point() else value

    def same(self, actual, expected):
        expected = torch.as_tensor(expected, dtype=torch.float64)
        rtol, atol = self.tolerance
        assert actual.dtype == self.dtype
        torch.testing.assert_close(actual.double(), expected, rtol=rtol, atol=atol)

    def done(self, but=()):
        """Every tensor was compared, but those that another test compares."""
        left = {key for key in set(self.tensors) - self.seen if not key.startswith(but)}
        assert not left, f"not compared: {sorted(left)}"


def tolerance(text, dtype):
    """Relative and absolute: `float64 rtol 1e-9; float32 rtol 1e-4 atol 1e-6`."""
    part = re.search(rf"{str(dtype).removeprefix('torch.')} ([^;]*)", text)[1]
    found = {name: float(value) for name, value in re.findall(r"(rtol|atol) ([\d.e-]+)", part)}
    return found["rtol"], found.get("atol", 1e-15)


def cases(golden_set, bound_alone):
    """Names of the cases that hold a critic's bound alone, or of all others."""
    assert set(golden_set.json) == HEADER
    names = golden_set.json["values"]
    assert {key.split(".")[0] for key in golden_set.tensors} == set(names)
    return [name for name in names if name.startswith("jsd_") == bound_alone]


def check_bound(case, x, y, w, permutation, expected):
    """All terms of the bound of the critic x W y, for every choice of marginal pairs."""
    critic = BilinearCritic(1).to(case.dtype)
    critic.W.data = w
    scores, own = critic(x, y).detach(), torch.eye(len(x), dtype=case.dtype)
    pairs = {"permutation": own[permutation], "all_pairs": torch.ones_like(own), "off_diagonal": 1 - own}
    joint = torch.nn.functional.logsigmoid(scores.diagonal()).mean()
    numbers = {"joint_term": joint}
    for kind, weight in pairs.items():
        bound = rcd.jensen_shannon(scores, own.new_ones(len(x)), weight)
        numbers |= {f"mi_{kind}": bound, f"marginal_term_{kind}": joint - bound}
    recorded = {"joint_term", "marginal_term_permutation"} | {f"mi_{kind}" for kind in PAIRS}
    recorded |= {"marginal_term_off_diagonal"}
    if len(x) == 1:
        assert numbers["mi_off_diagonal"] == 0, "a batch of one has no other pair"
        recorded -= {"mi_off_diagonal", "marginal_term_off_diagonal"}
    assert set(expected) == recorded
    for key, value in expected.items():
        case.same(numbers[key], value)
    return scores


def test_scd_and_cpd(golden_set, dtype):
    for name in cases(golden_set, bound_alone=False):
        case = Case(golden_set, name, dtype)
        n, k, eta = (case.numbers[key] for key in ("N", "K", "eta"))
        assert set(case.numbers) == {"N", "K", "eta", "scd", "cpd", "rcd", "kind"}
        h_s, h_t = case["Hs"].requires_grad_(), case["Ht"]
        assert h_s.shape == (n, golden_set.json["feature_dim"])

        assert set(case.numbers["scd"]) == set(SCD)
        for key, value in case.numbers["scd"].items():
            case.same(SCD[key](scd.distances(h_s, h_t), eta), value)
        loss = scd.sample_contrastive(scd.distances(h_s, h_t), eta)
        case.same(torch.autograd.grad(loss, h_s)[0], case["scd.grad_Hs_of_sum"])

        member = cpd.membership(case["labels"].unsqueeze(1), k)
        assert torch.equal(member.any(dim=0), case["cpd.present"].bool())
        c_s, c_t = cpd.prototypes(h_s, member), cpd.prototypes(h_t, member)
        m_s, m_t = cpd.similarities(h_s, c_s), cpd.similarities(h_t, c_t)
        for key, value in {"proto_s": c_s, "proto_t": c_t, "Ms": m_s, "Mt": m_t}.items():
            case.same(value, case[f"cpd.{key}"])
        assert set(case.numbers["cpd"]) == set(CPD)
        for key, value in case.numbers["cpd"].items():
            case.same(CPD[key](m_s, m_t, member.any(dim=0)), value)
        case.done(but=("rcd.", "logits_"))


def test_rcd(golden_set, dtype):
    for name in cases(golden_set, bound_alone=False):
        case = Case(golden_set, name, dtype)
        logits_s, logits_t, labels = case["logits_s"], case["logits_t"], case["labels"]
        bounds = {f"jsd_{part}_teacher_W_student_roll1": part for part in ("binary", "nontarget")}
        assert set(bounds) < set(case.numbers["rcd"])
        for key, value in case.numbers["rcd"].items():
            if key in bounds:
                continue
            assert re.fullmatch(r"T[0-9.]+", key)
            assert set(value) == {"kl_binary", "kl_nontarget"}
            temperature = float(key.removeprefix("T"))
            log_s, log_t = rcd.split(logits_s / temperature, labels), rcd.split(logits_t / temperature, labels)
            for part, s, t in zip(("binary", "nontarget"), log_s, log_t, strict=True):
                case.same(s.exp(), case[f"rcd.{key}.{part}_s"])
                case.same(t.exp(), case[f"rcd.{key}.{part}_t"])
                case.same((t.exp() * (t - s)).sum(dim=1).mean(), value[f"kl_{part}"])
        roll = torch.arange(len(labels)).roll(1)
        for (key, part), s, t in zip(
            bounds.items(), rcd.split(logits_s, labels), rcd.split(logits_t, labels), strict=True
        ):
            check_bound(case, t.exp(), s.exp(), case[f"rcd.W_{part}"], roll, case.numbers["rcd"][key])
        if len(labels) > 1:
            assert torch.equal(rcd.negatives("next", len(labels), labels.device), torch.eye(len(labels)).bool()[roll])
        case.done(but=("scd.", "cpd.", "Hs", "Ht"))


def test_bound(golden_set, dtype):
    for name in cases(golden_set, bound_alone=True):
        case = Case(golden_set, name, dtype)
        scores = check_bound(case, case["X"], case["Y"], case["W"], case["perm"], case.numbers)
        n = torch.arange(len(scores))
        case.same(scores.diagonal(), case["T_joint"])
        case.same(scores[n, case["perm"]], case["T_perm"])
        case.done()
