"""Which values of products go with one that is asked for: the tables of what goes together, in the catalogue's words.

What belongs here: from a value in any spelling to the canonical values a search has to look for. What does not: the tables
(`catalog.compatibility`), reading and running filters (`search.filters`).

A catalogue puts words together that the tables tell apart (a wardrobe's boho is a catalogue's bohemian), and keeps words its
vocabularies do not have. So each of its values is judged by what the tables call it.
"""

from functools import lru_cache

from fashion_assets.catalog import compatibility, wardrobe
from fashion_assets.catalog.normalization import canonical, vocabulary
from fashion_assets.origins import nearest

TABLES = {
    "style": "style",
    "occasion": "occasion",
    "usage": "occasion",
    "mood": "mood",
    "season": "season",
}
"""What products state that a table says of what it goes with, and which table."""


@lru_cache(maxsize=4_096)
def suitable(attribute: str, requested: str) -> tuple[str, ...] | None:
    """Every canonical value of an attribute (one of `TABLES`) that suits who asks for one: first what the catalogue calls that one,
    then what goes with it, by the alphabet. None where no table has it.

    Args:
        requested: any spelling, of a wardrobe's words or the catalogue's.
    """
    field = TABLES[attribute]
    own = canonical(attribute, requested)[0]
    asked = next((word for each in (requested, own) if (word := _in_table(field, each)) is not None), None)
    if asked is None:
        return None
    taken = compatibility.accepted(field, asked)
    of_catalogue = {value for value in vocabulary(attribute).values() if _in_table(field, value) in taken}
    spelled = {each for word in taken for each in (word, word.replace(" ", "-"))}
    kept = {each for each in spelled if canonical(attribute, each) == (each, False)}
    first = (canonical(attribute, asked)[0], own)
    return tuple(dict.fromkeys(each for each in (*first, *sorted(of_catalogue | kept)) if each is not None))


def told_of(attribute: str, requested: str) -> str:
    """What a person should know who asked for a value no table has: the nearest that one has, and all of them."""
    known = sorted(compatibility.known(TABLES[attribute]))
    like = nearest(wardrobe.shaped(requested), known)
    hint = "" if like is None else f" (did you mean {like!r}?)"
    said = f"nothing says what goes with {attribute} {requested[:80]!r}"
    return f"{said}{hint}; known are {', '.join(known)}"


def _in_table(field: str, value: str | None) -> str | None:
    """What the table of a field calls a value; None where it has no word for it."""
    known = None if value is None else wardrobe.canonical(field, value)
    return known.value if known is not None and known.is_known and known.value else None
