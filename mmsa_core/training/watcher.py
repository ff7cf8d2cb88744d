"""Who hears of a training: the display and the trackers extend this."""

from mmsa_core.training.progress import Row


class Watcher:
    """Hears of every epoch; the display and the trackers are watchers."""

    def begin(self, stage: str, epochs: int, steps: int) -> None:
        """A network is about to be trained for `epochs` of `steps` mini-batches."""

    def step(self, stage: str) -> None:
        """A mini-batch was learned from."""

    def rows(self, stage: str, rows: list[Row]) -> None:
        """What was logged of each step of an epoch."""

    def epoch(self, stage: str, row: Row) -> None:
        """Means over the epoch's steps, and its validation."""

    def note(self, message: str) -> None:
        """Something worth knowing that is no warning."""

    def warn(self, message: str) -> None:
        """Something that the user should know."""

    def end(self, stage: str) -> None:
        """The network has been trained."""
