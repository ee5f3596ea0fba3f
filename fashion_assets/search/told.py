"""What an answer tells of a question's words: which of them a hit has, and where; which no product has.

What belongs here: the shapes. What does not: finding either (`highlighting`, `lacking`), the answer (`query`).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Marks = tuple[tuple[int, int], ...]
"""Where matched words begin and end, in characters (code points) from 0, the end not included; in order, none over another."""


class Fragment(NamedTuple):
    """A part of a text."""

    text: str
    start: int
    """Where in the whole text it begins, in characters."""
    marks: Marks
    """Within the part."""


@dataclass(frozen=True)
class Highlights:
    """What of a question a hit has."""

    words: tuple[str, ...]
    """Words of the question that the product has, in whichever of its texts and values that are searched."""
    title: Marks = ()
    description: Fragment | None = None
    """None where none of the words stands in it."""


@dataclass(frozen=True)
class Near:
    """A value a release has."""

    value: str
    column: str | None
    """None: a word of titles."""
    products: int | None
    """How many products have it; None where it is a word."""


@dataclass(frozen=True)
class Lacking:
    """A word of the question that no product has."""

    word: str
    """As it was asked."""
    kind: str
    """The column whose value it is, where that is known, else `word`."""
    nearest: tuple[Near, ...] = ()
    by: Literal["colour", "vocabulary", "spelling"] | None = None
    """What they are near by: how colours look, what a vocabulary has under the same heading, how the word is spelt; None where nothing is near."""

    def __str__(self) -> str:
        near = ", ".join(
            each.value if each.products is None else f"{each.value} ({each.products:,})"
            for each in self.nearest
        )
        return f"no product has {self.word!r}" + (f"; nearest: {near}" if near else "")
