"""What goes wrong with finite numbers: terms that complain, losses that stand still, gradients that vanish."""

from collections.abc import Iterator, Mapping, Sequence

from mmsa_core.components import Distiller
from mmsa_core.training import nonfinite
from mmsa_core.training.terms import Terms

PATIENCE = 3
"""Epochs on end that something must be complained of before the user is warned."""


def complaints(
    stage: str, terms: Terms, means: Mapping[str, float], same: Sequence[str], counts: dict[str, int]
) -> Iterator[str]:
    """Warnings that are due behind an epoch, each once.

    `means` is what the epoch logged, `same` the names that had one value in all of its steps, and `counts`, which is
    brought up to date, for how many epochs on end each was complained of.
    """
    for label, term in terms.modules.items():
        assert isinstance(term, Distiller)
        own = {name.removeprefix(f"{label}/"): v for name, v in means.items() if name.startswith(f"{label}/")}
        message = term.diagnose(own)
        counts[label] = counts.get(label, 0) + 1 if message else 0
        if message and counts[label] == PATIENCE:
            yield f"distillers.{label}: {message}"
    silent = nonfinite.silent(means, same)
    for name in [name for name in counts if name not in terms.modules and name not in silent]:
        del counts[name]
    for name, message in silent.items():
        counts[name] = counts.get(name, 0) + 1
        if counts[name] == PATIENCE:
            yield f"{stage}: {message} in {PATIENCE} epochs on end"
