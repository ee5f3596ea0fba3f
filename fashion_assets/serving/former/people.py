"""People of the live release and what they like, as former APIs ask for them.

What belongs here: reading who has how many favourites, of what prices, and which products most people have. What does not: what is called how in an
answer (the former API's file), keeping what somebody likes (`liking`), finding what they may like (`search`).
"""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple

from fashion_assets.serving.former import stored
from fashion_assets.serving.former.stored import ServedEngine

HISTORY = 8
"""Favourites told of a person."""

_POPULAR: LiteralString = (
    "SELECT product_id::text FROM {favourites} f JOIN {products} p USING (product_id) "
    "WHERE %(source)s::text IS NULL OR p.source = %(source)s "
    "GROUP BY product_id ORDER BY count(*) DESC, product_id LIMIT %(rows)s"
)

_PEOPLE: LiteralString = """
SELECT u.user_id, u.style, count(f.product_id), min(p.price)::float8, max(p.price)::float8, avg(p.price)::float8,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY p.price)::float8, percentile_cont(0.75) WITHIN GROUP (ORDER BY p.price)::float8,
       (array_agg(p.external_id ORDER BY p.product_id) FILTER (WHERE p.product_id IS NOT NULL))[:%(history)s],
       (array_agg(p.product_id::text ORDER BY p.product_id) FILTER (WHERE p.product_id IS NOT NULL))[:%(history)s]
FROM {users} u LEFT JOIN {favourites} f ON f.user_id = u.user_id AND f.source = u.source LEFT JOIN {products} p USING (product_id)
WHERE u.user_id IS NOT NULL AND NOT coalesce(u.made, false) AND (%(user)s::text IS NULL OR u.user_id = %(user)s)
  AND (%(source)s::text IS NULL OR u.source = %(source)s)
GROUP BY u.user_id, u.source, u.style
HAVING %(user)s::text IS NOT NULL OR u.style IS NOT NULL OR count(f.product_id) > 0
ORDER BY count(f.product_id) DESC, u.user_id LIMIT %(rows)s
"""


class Person(NamedTuple):
    """Somebody with favourites, or with a style of their own."""

    user_id: str
    style: Mapping[str, Sequence[str]] | None
    """What they say they like, by column."""
    favourites: int
    least: float | None
    """Price of the cheapest favourite, and so on."""
    greatest: float | None
    mean: float | None
    p25: float | None
    p75: float | None
    external_ids: Sequence[str] | None
    """Of favourites, `HISTORY` at the most."""
    product_ids: Sequence[str] | None
    """Of the same."""


async def people(engine: ServedEngine, user: str | None, source: str | None, rows: int) -> list[Person]:
    """People of whom something is known, those with most favourites first, or one of them."""
    asked = {"user": user, "source": source, "rows": rows, "history": HISTORY}
    return [Person(*row) for row in await stored.rows_of(engine, _PEOPLE, asked)]


async def popular(engine: ServedEngine, source: str | None, rows: int) -> list[str]:
    """Ids of the products that most people have among their favourites."""
    asked = {"source": source, "rows": rows}
    return [product for (product,) in await stored.rows_of(engine, _POPULAR, asked)]
