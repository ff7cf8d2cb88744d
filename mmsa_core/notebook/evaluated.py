"""What comes of evaluating a run under a protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmsa_core.errors import UserError
from mmsa_core.notebook.table import Table
from mmsa_core.registry import suggestions


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Metrics of every condition and average of a protocol; `summary` is what `mmsa evaluate --json` writes."""

    run: str
    summary: Mapping[str, Any]

    @property
    def table(self) -> Table:
        """One row for each condition (and average) and metric."""
        protocol = self.summary["protocol"]
        rows = [
            [protocol, condition, metric, value["mean"], value["std"]]
            for condition, values in (self.summary["conditions"] | self.summary["averages"]).items()
            for metric, value in values.items()
        ]
        return Table.of(["protocol", "condition", "metric", "mean", "std"], rows)

    def metric(self, name: str) -> dict[str, float | None]:
        """One metric in every condition and average: the mean over seeds, None where it is undefined.

        Raises:
            UserError: for a name that no condition has.
        """
        every = self.summary["conditions"] | self.summary["averages"]
        known = list(next(iter(every.values())))
        if name not in known:
            raise UserError(f"unknown metric '{name}'.{suggestions(name, known)} Known: {', '.join(known)}")
        return {condition: values[name]["mean"] for condition, values in every.items()}

    def __repr__(self) -> str:
        of, seeds = self.summary, ", ".join(map(str, self.summary["seeds"]))
        return (
            f"<Evaluation of {self.run}: protocol {of['protocol']}, {of['split']} split ({of['samples']} samples), "
            f"seeds {seeds}; {', '.join(of['conditions'])}; averages {', '.join(of['averages']) or 'none'}>"
        )
