"""Consoles of the command line, and what may stand in their markup.

What belongs here: the one way text comes to a terminal. What does not: what is said (`cli`, `migration`), and which
characters are not for terminals (`characters`).
"""

from typing import IO, Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.text import Text

from fashion_assets.characters import visible, visible_line

NARROWEST = 40
"""Columns in which tables still have letters; a terminal of fewer breaks their lines itself."""


class Terminal(Console):
    """A console that prints no character that does something, whoever put it into a text."""

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, **given: Any):
        # A title's `:heart:` is no picture.
        super().__init__(stderr=stderr, file=file, emoji=False, **given)
        if (
            self._width is not None and self._width < 1
        ):  # COLUMNS=0, from a terminal that has no size: nothing would fit
            self._width = None

    @property
    def size(self) -> ConsoleDimensions:
        width, height = super().size
        return ConsoleDimensions(max(width, NARROWEST), height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def render_str(self, text: str, **given: Any) -> Text:
        """Every text that is printed, alone or as a cell of a table, comes by here."""
        return super().render_str(visible(text), **given)


class Without:
    """A stream that leaves out what begins with any of some words, as a library writes them to the terminal unasked."""

    def __init__(self, stream: TextIO, *words: str):
        self._stream = stream
        self._words = words

    def write(self, text: str) -> int:
        """Written, or left out."""
        return len(text) if text.startswith(self._words) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def shown(text: object) -> str:
    """Anything as one line of markup: its brackets are brackets, its characters are seen."""
    return escape(visible_line(str(text)))
