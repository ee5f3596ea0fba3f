"""Conditions in the words of a question: prices, and what is not wanted.

What belongs here: turning them into filters and words to avoid. What does not: finding them in the words (`priced`, `refused`), filters that are
stated apart (`filters`).
"""

from dataclasses import replace
from functools import partial

from fashion_assets.search import pictographs, priced, refused, spoken
from fashion_assets.search.filters import AnyOf, Between
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Query
from fashion_assets.search.work import Compute, Work

_HAS_A_PRICE = Between("price", None, None)
_NOTHING = AnyOf("source", ())


def read(query: Query, facts: Facts, notes: list[str]) -> Work[Query]:
    """The question without what its words say of the price and of what is not wanted, which narrow it instead. Notes say how they were read.

    A search by words, or by meaning alone, keeps them where nothing else would be left to look for.
    """
    if query.avoid:
        query = yield from _avoiding(query)
    words = pictographs.named(query.words)
    if query.words and not any(letter.isalnum() for letter in words):
        return _without_words(query, notes)
    if words != query.words:
        query = replace(query, words=words)
    query = _priced(query, facts, notes)
    return (yield from _refusing(query, notes))


def _avoiding(query: Query) -> Work[Query]:
    """Leave out the values that the words to avoid name."""
    said = yield Compute(partial(spoken.replaced, query.avoid))
    return replace(query, filters=(*query.narrowed, *refused.none_of([said.text])))


def _without_words(query: Query, notes: list[str]) -> Query:
    """A question of signs alone asks for nothing but what stands beside them: what is found for signs is found by chance."""
    notes.append(f"there is no word in {query.words[:80]!r}")
    if query.mode == "text":
        return query
    if _has_more_than_words(query):
        return replace(query, words="")
    return replace(query, words="", mode="hybrid", filters=(*query.narrowed, _NOTHING))


def _priced(query: Query, facts: Facts, notes: list[str]) -> Query:
    """Read a price as a range, where products have prices."""
    price = priced.parted(query.words)
    if price is None:
        return query
    if not facts.meeting([_HAS_A_PRICE]).any():
        notes.append(f"hardly any product has a price: {price.said!r} narrows nothing")
        return query
    if not _may_lose(query, price.words):
        return query
    notes.append(f"{price.said!r} is read as a price, whatever the currency")
    return replace(query, words=price.words, filters=(*query.narrowed, price.range))


def _refusing(query: Query, notes: list[str]) -> Work[Query]:
    """Leave out what the words say is not wanted."""
    if not refused.says_so(query.words):
        return query
    unwanted = yield Compute(partial(refused.parted, query.words))
    if unwanted is None or not _may_lose(query, unwanted.words):
        return query
    notes.append(f"left out, as the words say: {unwanted.avoid.lower()}")
    return replace(
        query,
        words=unwanted.words,
        avoid=f"{query.avoid} {unwanted.avoid}",
        filters=(*query.narrowed, *unwanted.filters),
    )


def _may_lose(query: Query, left: str) -> bool:
    """Whether words may be taken out of a question, given what is left of them: a search that asks by nothing else must keep some."""
    return bool(left) or query.mode == "hybrid" or (query.mode == "vector" and _has_more_than_words(query))


def _has_more_than_words(query: Query) -> bool:
    """Whether a question has a meaning without its words."""
    return query.picture is not None or query.product is not None or query.vector is not None
