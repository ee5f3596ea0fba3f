"""What the words of a question say that is not looked for, but narrows: prices, and what is not wanted; and whether there are words at all.

What belongs here: making filters and words to avoid of it. What does not: finding it in the words (`priced`, `refused`), filters that are stated
apart (`filters`).
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
    """The question without what its words say of the price and of what is not wanted, which narrow it. Notes how they were read.

    A search by words alone keeps them where nothing else would be left to look for.
    """
    if query.avoid:
        said = yield Compute(partial(spoken.replaced, query.avoid))
        query = replace(query, filters=(*query.narrowed, *refused.none_of([said.text])))
    words = pictographs.named(query.words)
    if query.words and not any(letter.isalnum() for letter in words):
        # What is found for signs alone is found by chance.
        notes.append(f"there is no word in {query.words[:80]!r}")
        if query.mode == "text":
            return query
        others = query.picture is not None or query.product is not None or query.vector is not None
        return replace(query, words="", filters=query.narrowed if others else (*query.narrowed, _NOTHING))
    if words != query.words:
        query = replace(query, words=words)
    price = priced.parted(query.words)
    if price is not None and not facts.meeting([_HAS_A_PRICE]).any():
        notes.append(f"hardly any product has a price: {price.said!r} narrows nothing")
    elif price is not None and (price.words or query.mode != "text"):
        query = replace(query, words=price.words, filters=(*query.narrowed, price.range))
        notes.append(f"{price.said!r} is read as a price, whatever the currency")
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
