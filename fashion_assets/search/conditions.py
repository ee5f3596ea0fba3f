"""What the words of a question say that is not looked for, but narrows: prices, and what is not wanted.

What belongs here: making filters and words to avoid of it. What does not: finding it in the words (`priced`, `refused`), filters that are stated
apart (`filters`).
"""

from dataclasses import replace
from functools import partial

from fashion_assets.search import priced, refused
from fashion_assets.search.filters import Between
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Query
from fashion_assets.search.work import Compute, Work

_HAS_A_PRICE = Between("price", None, None)


def read(query: Query, facts: Facts, notes: list[str]) -> Work[Query]:
    """The question without what its words say of the price and of what is not wanted, which narrow it. Notes how they were read.

    A search by words alone keeps them where nothing else would be left to look for.
    """
    said = priced.parted(query.words)
    if said is not None and not facts.meeting([_HAS_A_PRICE]).any():
        notes.append(f"hardly any product has a price: {said.said!r} narrows nothing")
    elif said is not None and (said.words or query.mode != "text"):
        query = replace(query, words=said.words, filters=(*query.narrowed, said.range))
        notes.append(f"{said.said!r} is read as a price, whatever the currency")
    if not refused.says_so(query.words):
        return query
    unwanted = yield Compute(partial(refused.parted, query.words))
    if unwanted is None or not (unwanted.words or query.mode != "text"):
        return query
    notes.append(f"left out, as the words say: {unwanted.avoid.lower()}")
    return replace(
        query,
        words=unwanted.words,
        avoid=f"{query.avoid} {unwanted.avoid}",
        filters=(*query.narrowed, *unwanted.filters),
    )
