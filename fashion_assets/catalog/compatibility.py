"""Which styles, occasions, moods and seasons go together: who asks for business takes what is made for a conference.

What belongs here: the tables beside the words (`wardrobe_words/*.json`) and asking them. What does not: making values canonical
(`catalog.wardrobe`), outfits of several pieces.

`compatible` pairs hold both ways and stand in a file once; `accepts` holds one way, from what is asked for to what is taken. A pair is
one step: what goes with both of two values does not join them.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

from fashion_assets.catalog import wardrobe, wordlists

WITHOUT_VALUES = frozenset({"mood", "season"})
"""Fields of which a piece may say nothing and still suit: a mood nobody stated excludes none. A piece without a style or an occasion
is not found by one."""


def compatible(field: str, requested: str, values: Iterable[str]) -> bool:
    """Whether a piece with these values of a field suits who asks for one.

    Args:
        field: `style`, `occasion`, `mood` or `season`.
        requested: any spelling; empty asks for nothing, and everything suits.
        values: of the piece, any spelling.
    """
    wanted = wardrobe.normalize({field: requested}).values[field]
    if not wanted:
        return not requested.strip() or requested.strip().lower() in ("any", "*")
    has = wardrobe.normalize({field: list(values)}).values[field]
    if not has:
        return field in WITHOUT_VALUES
    return any(not accepted(field, each).isdisjoint(has) for each in wanted)


def suits(document: Mapping[str, Any], **requested: str) -> bool:
    """Whether a wardrobe document suits all that is asked for, as `style="business", season="winter"`. Reads what is stated as normalized
    at either place, else the originals."""
    return all(
        compatible(field, asked, wardrobe.values(document, field)) for field, asked in requested.items()
    )


def accepted(field: str, value: str) -> frozenset[str]:
    """The canonical values that suit who asks for a canonical value: itself, and what goes with it."""
    return _tables(field).get(value, frozenset()) | {value}


def known(field: str, folder: Traversable = wardrobe.WORDS) -> frozenset[str]:
    """The canonical values of a field."""
    return frozenset(wordlists.read(field, folder))


def check(folder: Traversable = wardrobe.WORDS) -> None:
    """Read the tables of every field. Raises `wordlists.VocabularyError` for the first that is not as it must be."""
    for field in wardrobe.FIELDS:
        _tables(field, folder)


@cache
def _tables(field: str, folder: Traversable = wardrobe.WORDS) -> dict[str, frozenset[str]]:
    """By canonical value, what goes with it. Raises `wordlists.VocabularyError` for a value no list of the file has, and for a pair
    that stands there twice: both ways and one way, it would hold neither as one list says nor as the other."""
    known, taken = wordlists.read(field, folder), dict[str, set[str]]()
    for key in ("compatible", "accepts"):
        for value, others in wordlists.lists(field, key, folder).items():
            for other in others:
                for word in (value, other):
                    if word not in known:
                        raise wordlists.VocabularyError(
                            f'{folder / f"{field}.json"}: {word!r} stands in "{key}" and is none of the "values".'
                        )
                if (
                    other == value
                    or other in taken.get(value, ())
                    or (key == "accepts" and value in taken.get(other, ()))
                ):
                    raise wordlists.VocabularyError(
                        f'{folder / f"{field}.json"}: {value!r} with {other!r} in "{key}" is said already; leave it in one place: '
                        '"compatible" where it holds both ways, "accepts" where only who asks for the first takes the other.'
                    )
                taken.setdefault(value, set()).add(other)
                if key == "compatible":
                    taken.setdefault(other, set()).add(value)
    return {value: frozenset(others) for value, others in taken.items()}
