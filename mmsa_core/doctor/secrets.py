"""What a text that is shown to strangers must not hold: keys, passwords, and the user's name in the home folder."""

import os
import re
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""In the names of variables whose values are hidden."""
SHORTEST = 6
"""A value of fewer signs is no secret, and would be found in many words."""
HIDDEN = "[hidden]"


def hidden(found: Any) -> Any:
    """The facts with such texts replaced, in whatever they are nested."""
    if isinstance(found, str):
        return _of_text(found)
    if isinstance(found, Mapping):
        return {hidden(key): hidden(value) for key, value in found.items()}
    return [hidden(each) for each in found] if isinstance(found, list | tuple) else found


def _of_text(text: str) -> str:
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    text = re.sub(r"(?<=://)[^/@\s]+@", f"{HIDDEN}@", text)  # user:password@host
    home = os.path.expanduser("~")
    for path in {home, os.path.realpath(home)} - {os.sep, "~"}:
        text = re.sub(rf"{re.escape(path)}(?![\w.-])", "~", text)
    return text
