"""What the runs of a report are called."""

from collections.abc import Sequence
from pathlib import Path

from mmsa_core.errors import UserError


def names(folders: Sequence[Path]) -> tuple[str, ...]:
    """The last part of each path; more of it where two runs share that, or where it names a seed only.

    Raises:
        UserError: where a run is given twice.
    """
    paths = [folder.expanduser().resolve() for folder in folders]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(f"{folders[place]}: is given twice; name each run once")
    return tuple(_ending(place, paths) for place in range(len(paths)))


def _ending(place: int, paths: Sequence[Path]) -> str:
    own, others = paths[place].parts, [path.parts for number, path in enumerate(paths) if number != place]
    length = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
    if own[-1].startswith("seed-"):
        length = max(length, 2)
    return "/".join(own[-length:])
