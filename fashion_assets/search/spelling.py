"""Misspelt and abbreviated words: the known one that is meant.

What belongs here: which known word is nearest to one that nobody knows. What does not: which words are known, and whether one is corrected
(`understanding`).
"""

import re
from collections.abc import Mapping
from functools import cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from fashion_assets.search.words import names

_VOWELS = re.compile("[aeiou]")
_TWICE = re.compile(r"(.)\1")


def nearest_word(word: str, counts: Mapping[str, int]) -> str | None:
    """The known word most like a misspelt one: of the vocabularies' names and of `counts` (products by word).

    At most one letter in words of up to six, two in longer ones, may be wrong, missing, too many or swapped with its
    neighbour (optimal string alignment); the first is right. Of equally near ones, one of the vocabularies wins, then the
    more frequent. None where nothing is near, and for words of three letters or fewer.
    """
    if len(word) <= 3 or any(letter.isdigit() for letter in word):
        return None
    allowed = 1 if len(word) <= 6 else 2
    candidates = [known for known in _named_words() | counts.keys() if known[0] == word[0]]
    near = process.extract(word, candidates, scorer=OSA.distance, score_cutoff=allowed, limit=None)
    ranked = sorted(
        near, key=lambda found: (found[1], found[0] not in names(), -counts.get(found[0], 0), found[0])
    )
    return ranked[0][0] if ranked else None


def abbreviated(word: str, counts: Mapping[str, int]) -> str | None:
    """The known word, as `nearest_word` knows them, that is written without its vowels: "hndbg" is a handbag, "jckts" a jacket. Of several, one of the
    vocabularies wins, then the more frequent, then the shorter."""
    if len(word) < 3 or not word.isalpha() or _VOWELS.search(word, 1):
        return None
    consonants = {_consonants(word), _consonants(word).removesuffix("s")}
    found = [
        known
        for known in _named_words() | counts.keys()
        if known[0] == word[0] and len(known) > len(word) and _consonants(known) in consonants
    ]
    return min(
        found,
        key=lambda known: (known not in names(), -counts.get(known, 0), len(known), known),
        default=None,
    )


def _consonants(word: str) -> str:
    """A word's first letter and the consonants behind it, each once where it stands twice."""
    return _TWICE.sub(r"\1", word[0] + _VOWELS.sub("", word[1:]))


@cache
def _named_words() -> frozenset[str]:
    return frozenset(name for name in names() if len(name) > 3)
