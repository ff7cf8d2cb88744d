"""What metrics are called in headings."""

WORDS = {
    "f1": "F1",
    "auc": "AUC",
    "acc": "accuracy",
    "acc2": "Acc-2",
    "acc3": "Acc-3",
    "acc5": "Acc-5",
    "acc7": "Acc-7",
    "mae": "MAE",
    "corr": "Corr",
    "non0": "Non0",
    "has0": "Has0",
    "tuned": "at the validation threshold",
}
PLAIN = frozenset({"mae", "corr", "loss"})
"""Metrics that are no share; all others are printed in percent."""


def named(name: str) -> str:
    """A heading: `f1_non0_tuned` is "F1 Non0 at the validation threshold"; what is no metric's word stays."""
    return " ".join(WORDS.get(word, word) for word in name.split("_"))


def percent(name: str) -> bool:
    """Whether a metric is printed in percent."""
    return name not in PLAIN


def heading(name: str) -> str:
    """A heading with its unit."""
    return f"{named(name)}, %" if percent(name) else named(name)
