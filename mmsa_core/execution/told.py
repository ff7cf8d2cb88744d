"""How a job ended, in a form that reaches whoever started it; a defect is no such end and is raised."""

import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from mmsa_core import limits
from mmsa_core.errors import Interrupted, UserError
from mmsa_core.execution.executor import Failure


class Ended(NamedTuple):
    """How a job ended; by default well."""

    failure: Failure | None = None
    interrupted: bool = False
    """Whether it was told to end."""


def run(function: Callable[..., None], arguments: tuple[Any, ...]) -> Ended:
    """Do a job.

    Raises:
        RuntimeError: of a defect.
    """
    try:
        function(*arguments)
    except Interrupted:
        return Ended(interrupted=True)
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        text = limits.explained(error) or str(error)
        if isinstance(error, RuntimeError) and text == str(error):
            raise
        return Ended(Failure(text, traceback.format_exc()))
    return Ended()
