"""Which listings are one article in several colours and sizes.

What belongs here: telling it by what a listing says of itself. What does not: finding listings, and products of different sources that are likely the
same thing (`proof.duplicates`).

Listings are variants of each other if they have one brand, are for the same people and of the same kind, and their titles differ in nothing but words
of colours and sizes: "Nike Women Air Dictate Black Sports Shoes" and "Nike Women Grey Air Dictate Sports Shoes". A title must name the article: of a
brand's "Men Striped Shirt" there may be a hundred, which are a hundred shirts.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from fashion_assets.catalog.brands import DESCRIBING
from fashion_assets.catalog.normalization import vocabulary

_WORD = re.compile(r"[^\W_]+(?:['\u2019.-][^\W_]+)*")
_SIZE = re.compile(r"xxs|xs|s|m|l|xl|[2-6]?x{1,3}l|\d+(?:\.\d+)?(?:ml|gm?|oz)")
_SIZE_OF = frozenset({"size", "uk", "us", "eu", "eur"})
"""Words before a number that is a size."""
_UNITS = frozenset({"ml", "g", "gm", "oz"})
_SHADES = frozenset(
    {"light", "dark", "deep", "pale", "bright", "and", "coloured", "colored", "colour", "color"}
)
"""Words beside those of colours."""
_LONGEST = 3
"""Words of the longest name of a colour that is looked for."""


@lru_cache(maxsize=16_384)
def variant_key(
    title: str | None, brand: str | None, gender: str | None, article_type: str | None
) -> tuple | None:
    """What listings share that are variants of each other; None for one whose title names no article."""
    if not title or not article_type:
        return None
    words = [match[0].lower() for match in _WORD.finditer(title)]
    own = [match[0].lower() for match in _WORD.finditer(brand or "")]
    if own and words[: len(own)] == own:
        words = words[len(own) :]
    left = tuple(_without_sizes(_without_colours(words)))
    if not any(_names_something(word, own) for word in left):
        return None
    return (brand or "").lower(), gender, article_type, left


def _without_colours(words: Sequence[str]) -> list[str]:
    colours, left, first = vocabulary("colour"), [], 0
    while first < len(words):
        for last in range(min(len(words), first + _LONGEST), first, -1):
            if " ".join(words[first:last]) in colours:
                first = last
                break
        else:
            if words[first] not in _SHADES:
                left.append(words[first])
            first += 1
    return left


def _without_sizes(words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        of_a_number = word in _SIZE_OF and after.replace(".", "").isdigit()
        number = word.replace(".", "").isdigit() and (before in _SIZE_OF or after in _UNITS)
        unit = word in _UNITS and before.replace(".", "").isdigit()
        if not (_SIZE.fullmatch(word) or of_a_number or number or unit):
            yield word


def _names_something(word: str, brand: Sequence[str]) -> bool:
    return len(word) > 1 and word not in brand and word not in _of_kinds() and word not in DESCRIBING


@cache
def _of_kinds() -> frozenset[str]:
    """Words of kinds of things and of whom they are for."""
    return frozenset(
        word
        for column in ("article_type", "sub_category", "category", "gender", "usage", "season")
        for name in vocabulary(column)
        for word in _WORD.findall(name)
    )
