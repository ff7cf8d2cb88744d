"""What the runs of a report are called."""

from collections.abc import Sequence
from pathlib import Path

from mmsa_core.errors import UserError


def names(recipes: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """The recipes' names; where two runs share one, the end of each one's path that tells it from all others.

    Raises:
        UserError: where a run is given twice.
    """
    paths = [folder.expanduser().resolve() for folder in folders]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(f"{folders[place]}: is given twice; name each run once")
    return tuple(
        recipe if recipes.count(recipe) == 1 else _ending(place, paths) for place, recipe in enumerate(recipes)
    )


def _ending(place: int, paths: Sequence[Path]) -> str:
    own, others = paths[place].parts, [path.parts for number, path in enumerate(paths) if number != place]
    length = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
    return "/".join(own[-length:])
