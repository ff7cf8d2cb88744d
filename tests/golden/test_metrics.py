"""Golden metrics: what MMSA, DMD, LNLN, EMT-DLFR, IMDer and MulT return for the same predictions."""

import math
import re

import numpy as np
import pytest

from mmsa_core import metrics

pytestmark = pytest.mark.golden("metrics")

METRICS_TOP = ("MMSA", "DMD", "LNLN", "EMT-DLFR", "IMDer")
"""Sources whose metrics are MMSA's MetricsTop or a copy of it."""

MOSI = {
    "Has0_acc_2": "acc2_has0",
    "Has0_F1_score": "f1_has0",
    "Non0_acc_2": "acc2_non0",
    "Non0_F1_score": "f1_non0",
    "Acc_2": "acc2_non0",  # DMD and IMDer report Non0 only, under these names
    "F1_score": "f1_non0",
    "Mult_acc_5": "acc5",
    "Mult_acc_7": "acc7",
    "Acc_5": "acc5",
    "Acc_7": "acc7",
    "MAE": "mae",
    "Corr": "corr",
}
SIMS = {
    "Mult_acc_2": "acc2",
    "Mult_acc_3": "acc3",
    "Mult_acc_5": "acc5",
    "F1_score": "f1",
    "MAE": "mae",
    "Corr": "corr",
}
THREE_CLASSES = {
    "Has0_acc_2": "acc2_has0",
    "Has0_F1_score": "f1_has0",
    "Non0_acc_2": "acc2_non0_published",
    "Non0_F1_score": "f1_non0_published",
    "Acc_3": "acc",
    "F1_score_3": "f1",
}
MULT = {
    "MAE": "mae",
    "Correlation Coefficient": "corr",
    "mult_acc_7": "acc7",
    "mult_acc_5": "acc5",
    "F1 score": "f1",
    "Accuracy": "acc",
}
FORMS = {"exact", "rounded4"}


def test_every_value(golden_set):
    rtol = float(re.search(r"exact ([\d.e-]+)", golden_set.json["tolerance"])[1])
    entries = [
        (case, entry, value) for case, all_ in golden_set.json["values"].items() for entry, value in all_.items()
    ]
    assert entries
    wrong = []
    for case, entry, expected in entries:
        data = inputs(golden_set.tensors, case)
        wrong += [f"{case} {entry} {line}" for line in differences(entry, expected, data, rtol)]
    assert not wrong, "\n".join(wrong)


def inputs(tensors, case):
    found = {key.removeprefix(f"{case}."): value.numpy() for key, value in tensors.items()}
    return {name: value for name, value in found.items() if "." not in name}


def differences(entry, expected, data, rtol):
    """One line for each value that is not ours."""
    source, _, kind = entry.partition(".")
    if source in METRICS_TOP and (same := re.fullmatch(r"(MOSI|MOSEI|SIMS)_same_as_(MOSI|MOSEI|SIMS)", kind)):
        return [] if same_metrics(data, *same.groups()) is expected else [f"not {expected}"]
    ours = computed(source, kind, expected, data)
    if "raises" in expected:
        return undefined(ours)
    if not FORMS & set(expected):
        return compared(expected, ours, lambda a, b: close(a, b, rtol))
    assert set(expected) <= FORMS, f"{entry}: unknown form in {sorted(expected)}"
    lines = []
    for form, values in expected.items():
        equal = equal_rounded if form == "rounded4" else lambda a, b: close(a, b, rtol)
        lines += undefined(ours) if "raises" in values else compared(values, ours, equal)
    return lines


def computed(source, kind, expected, data):
    """Our values under the source's names."""
    if source == "MulT":
        of = {"with_zeros": mult, "without_zeros": mult_without_zeros, "per_emotion": emotions}[kind]
        return of(data, expected)
    assert source in METRICS_TOP, f"unknown source '{source}'"
    convention, _, rest = kind.partition("_")
    assert convention in {"MOSI", "MOSEI", "SIMS"}, f"unknown convention '{kind}'"
    assert rest in {"", "classification"}, f"unknown task '{kind}'"
    if rest:
        logits, label = data["logits"], data["labels"]
        found = metrics.classes(softmax(logits), label) | metrics.sentiment_classes(logits, label)
        return under(THREE_CLASSES, found)
    found = metrics.sentiment(data["preds"], data["labels"], convention.lower())
    return under(SIMS if convention == "SIMS" else MOSI, found)


def mult(data, expected, kept=None):
    """MulT: > 0 with zeros too, and an F1 that takes the prediction for the truth."""
    score, label = data["preds"], data["labels"]
    kept = np.full(label.shape, True) if kept is None else kept
    truth, predicted = label[kept] > 0, score[kept] > 0
    two = {"acc": metrics.accuracy(truth, predicted), "f1": metrics.weighted_f1(predicted, truth)}
    return under(MULT, metrics.sentiment(score, label) | two)


def mult_without_zeros(data, expected):
    found = mult(data, expected, kept=data["labels"] != 0)
    ours = metrics.sentiment(data["preds"], data["labels"])
    assert found["Accuracy"] == ours["acc2_non0"]
    return found


def emotions(data, expected):
    """MulT's IEMOCAP: the order of the emotions is that of the names in the json."""
    names = list(dict.fromkeys(name.split(".")[0] for name in expected))
    labels = data["labels"]
    assert len(names) == labels.shape[1]
    found = metrics.binary_labels(data["logits"].reshape(*labels.shape, 2), labels, names)
    kinds = {"F1 Score": "f1", "Accuracy": "acc"}
    return {f"{name}.{theirs}": found[f"{name}_{ours}"] for name in names for theirs, ours in kinds.items()}


def same_metrics(data, one, other):
    of = [metrics.sentiment(data["preds"], data["labels"], name.lower()) for name in (one, other)]
    return of[0] == of[1]


def undefined(ours):
    """Where the published function fails, ours has None: the metrics of Non0 if it has such."""
    without_zeros = {name: value for name, value in ours.items() if name in {"Non0_acc_2", "Non0_F1_score"}}
    two = {name: value for name, value in ours.items() if name in {"Acc_2", "F1_score", "F1 score", "Accuracy"}}
    return [f"{name}: fails there, {value} here" for name, value in (without_zeros or two).items() if value is not None]


def compared(expected, ours, equal):
    unknown = set(expected) - set(ours)
    assert not unknown, f"unknown metrics {sorted(unknown)}"
    pairs = [(name, value, ours[name]) for name, value in expected.items()]
    return [f"{name}: {value} there, {here} here" for name, value, here in pairs if not equal(value, here)]


def close(there, here, rtol):
    if none_there(there) or here is None:
        return none_there(there) and here is None
    return math.isclose(there, here, rel_tol=rtol, abs_tol=1e-12)


def equal_rounded(there, here):
    if none_there(there) or here is None:
        return none_there(there) and here is None
    return round(there, 4) == round(here, 4)  # LNLN and EMT-DLFR round in float32, so theirs is rounded again


def none_there(value):
    return value == "nan" or (isinstance(value, dict) and "raises" in value)


def under(names, found):
    return {theirs: found[ours] for theirs, ours in names.items()}


def softmax(logits):
    logits = logits.astype(np.float64)  # float32 would make ties
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)
