"""What people draw instead of saying it: a dress, a red circle, a woman's boot.

What belongs here: putting the name a character has in Unicode in its place, as far as a catalogue has words for it. What does not: other words for
what a catalogue has (`spoken`).
"""

import unicodedata
from functools import lru_cache

from fashion_assets.search import spoken
from fashion_assets.search.words import read

_FIRST = 0x1F000
"""From here on characters are drawn in colours: older ones are called black for being filled."""

_OLDER = frozenset("\u231a\u2602\u2614\u26ab\u26aa")
"""Watch, umbrellas, a black and a white circle."""

_TOLD = ("gender", "colour")
"""Columns whose values say more of the thing that is drawn."""


def named(text: str) -> str:
    """A question with what is drawn in it as words; what names nothing that a catalogue has is left out."""
    if text.isascii() or not any(_is_drawn(letter) for letter in text):
        return text
    # Of how it is drawn: joiners, the sign that it is to be in colours, and of which colour skin is.
    said = (
        f" {_name(letter)} " if _is_drawn(letter) else "" if _is_of_drawing(letter) else letter
        for letter in text
    )
    return " ".join("".join(said).split())


def _is_drawn(letter: str) -> bool:
    return letter in _OLDER or (ord(letter) >= _FIRST and unicodedata.category(letter) == "So")


def _is_of_drawing(letter: str) -> bool:
    return letter in "\u200d\ufe0f" or "\U0001f3fb" <= letter <= "\U0001f3ff"


@lru_cache(maxsize=4_096)
def _name(letter: str) -> str:
    name = unicodedata.name(letter, "").lower()
    if " with " in name:
        return ""  # "beach with umbrella" is a beach
    terms = read(spoken.replaced(name).text)
    things = [term.said for term in terms if term.column in spoken.THINGS]
    return " ".join([*(term.said for term in terms if term.column in _TOLD), *things[-1:]])
