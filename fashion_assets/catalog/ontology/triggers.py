"""Which texts may say a property at all, by their words: most titles of a shop's own catalogue say nothing that its columns do not.

What belongs here: whether all words of some phrase are in a text. What does not: reading (`reading`), which takes some fifty times longer.
"""

import re
from collections.abc import Collection
from functools import cache

from fashion_assets.catalog.ontology.phrases import every_phrase
from fashion_assets.catalog.ontology.tokens import plain
from fashion_assets.catalog.ontology.vocabulary import FILES, Ontology

_WORD = re.compile(r"[a-z0-9]+")

_BY_RULE = frozenset({"size", "era"})
"""Properties that are told by numbers, too."""

_SIZES = frozenset(
    ["s", "m", "l", "small", "medium", "large", "size", "onesize", "unique", "unica", "einheitsgrosse"]
)
_LETTERS = re.compile(r"x+[sl]|os")
_OF_BRANDS = frozenset({"brand", "designer_tier"})


class Triggers:
    """The words by which some properties are told."""

    def __init__(self, properties: Collection[str]) -> None:
        known, _ = every_phrase()
        kinds = {FILES.get(name, name) for name in properties}
        if _OF_BRANDS & kinds:
            kinds.add("brand")
        if {"category", "gender"} & kinds:
            kinds |= {"category", "subcategory"}  # a dress is clothing, and a woman's
        self._colours: set[str] = set()
        if "color" not in properties and "colour" in kinds:
            kinds.remove("colour")
            self._colours = {phrase[0] for phrase in _phrases(known, {"colour"})}
        phrases = _phrases(known, kinds)
        # A word without its possessive s, as a text's words are cut here.
        self._words = {phrase[0].partition("'")[0] for phrase in phrases if len(phrase) == 1}
        self._further: dict[str, list[frozenset[str]]] = {}
        for phrase in phrases:
            if len(phrase) > 1:
                self._further.setdefault(phrase[0], []).append(frozenset(phrase[1:]))
        self._rules = bool(_BY_RULE & kinds)
        self._sizes = "size" in kinds

    def may_say(self, text: str) -> bool:
        """Whether the text has the words that one of the properties may be told by."""
        words = set(_WORD.findall(text.lower() if text.isascii() else plain(text)))
        if not self._words.isdisjoint(words):
            return True
        if len(self._colours & words) > 1:  # a second one
            return True
        if any(rest <= words for first in words & self._further.keys() for rest in self._further[first]):
            return True
        if self._rules and any(word[0].isdigit() or word[-1].isdigit() for word in words):
            return True
        return self._sizes and any(word in _SIZES or _LETTERS.fullmatch(word) for word in words)


def _phrases(known: Ontology, kinds: Collection[str]) -> list[tuple[str, ...]]:
    return [
        phrase
        for phrase, meanings in known.phrases.items()
        if any(meaning.kind in kinds for meaning in meanings)
    ]


@cache
def triggers(properties: frozenset[str]) -> Triggers:
    """Those of some properties, made once."""
    return Triggers(properties)
