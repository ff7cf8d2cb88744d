"""The console that everything is printed on: names are shown as they are, and none of them steers the terminal."""

from typing import Any

from rich.console import Console
from rich.text import Text

from mmsa_core.plain import plain


class Screen(Console):
    """A console of rich without markup and emoji codes, which names of runs and conditions could hold."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Text of a table's cell or a line."""
        return super().render_str(plain(text), **settings)
