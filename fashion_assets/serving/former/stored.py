"""Products and garments as former clients list them: by columns of theirs, in an order of theirs, page by number, with a total.

What belongs here: the statements of such lists, and reading them from the release that is live. What does not: searching (`search`), what
the rows are called in an answer (the former API's file).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.search.answering import Answering
from fashion_assets.search.engine import AsyncSearchEngine
from fashion_assets.search.filters import Filter
from fashion_assets.search.looks import Look
from fashion_assets.search.path import Facts
from fashion_assets.search.query import Query, Results
from fashion_assets.search.reading import Statement, array
from fashion_assets.search.statements import conditions, filter_parameters, table, where
from fashion_assets.search.work import Answer, Read, Work
from fashion_assets.warehouse.serving import GARMENTS

Row = Mapping[str, Any]

_SETTINGS = {"plan_cache_mode": "force_custom_plan"}
"""What a list's best plan is depends on the values."""

PRODUCT_COLUMNS = (
    *("product_id", "source", "external_id"),
    *(each.name for each in ATTRIBUTES),
    *("image_path", "facts", "origins"),
)
"""What is read of a product."""

GARMENT_COLUMNS = tuple(
    each.name
    for each in GARMENTS.columns
    if each.name not in ("embedding", "embedding_space", "search_vector")
)
"""What is read of a garment."""


@dataclass(frozen=True)
class Listing:
    """Rows of one of a release's tables.

    `conditions` are SQL that must all hold, in which `{products}` is the release's table, with the `values` of their placeholders; `filters`
    are those of searches, of products alone.
    """

    name: LiteralString
    columns: tuple[str, ...]
    order: LiteralString
    conditions: tuple[LiteralString, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    filters: tuple[Filter, ...] = ()


class Page(NamedTuple):
    """One page of rows, and how many there are on all pages."""

    rows: list[Row]
    total: int


class ServedEngine:
    """An engine that asks the release which is served: a certain one, or whichever is live."""

    def __init__(
        self,
        engine: AsyncSearchEngine,
        release: str | None = None,
        noting: Callable[[Query, Results], None] | None = None,
    ):
        """`noting` is told of what somebody searched for, and what was found."""
        self._engine = engine
        self._release = release
        self._noting = noting

    async def read(self, work: Callable[[Answering, Facts], Work[Answer]]) -> Answer:
        """What a function reads of that release."""
        return await self._engine.ask(
            lambda answering: answering.releases.on(self._release, lambda facts: work(answering, facts))
        )

    async def search(self, query: Query, *, is_first: bool = True) -> Results:
        """See `AsyncSearchEngine.search`. `is_first`: whether it is not another page of what was asked before."""
        results = await self._engine.search(replace(query, release=self._release))
        # What is like a product, or what a list's filters leave, is asked for by a page, and not by anybody.
        if self._noting is not None and is_first and (query.words or query.picture is not None):
            self._noting(query, results)
        return results

    async def recommend(self, user_id: str, source: str | None, limit: int) -> Results:
        """See `AsyncSearchEngine.recommend`."""
        return await self._engine.recommend(user_id, source, limit, self._release)

    async def complete_look(self, product_id: str, limit: int) -> Look:
        """See `AsyncSearchEngine.complete_look`."""
        return await self._engine.complete_look(product_id, limit, release=self._release)


def products(
    order: LiteralString,
    *conditions: LiteralString,
    filters: tuple[Filter, ...] = (),
    **values: Any,
) -> Listing:
    """A list of products."""
    return Listing("products", PRODUCT_COLUMNS, f"{order}, product_id", conditions, values, filters)


def garments(order: LiteralString, *conditions: LiteralString, **values: Any) -> Listing:
    """A list of garments: the products as a second-hand shop's clients know them."""
    return Listing("garments", GARMENT_COLUMNS, f"{order}, id", conditions, values)


async def page(engine: ServedEngine, listing: Listing, limit: int, offset: int = 0) -> Page:
    """Rows of a list from `offset` on. Raises `ReleaseError` where nothing is live."""

    def work(answering: Answering, facts: Facts) -> Work[Page]:
        values = {**listing.values, **filter_parameters(listing.filters)}
        shapes = tuple(each.shape for each in listing.filters)
        counted, found = _statements(
            facts.release, listing.name, listing.columns, listing.order, listing.conditions, shapes
        )
        ((total,),), rows = yield from answering.releases.read(
            facts,
            [Statement(counted, values), Statement(found, {**values, "limit": limit, "offset": offset})],
            _SETTINGS,
        )
        return Page([dict(zip(listing.columns, row, strict=True)) for row in rows], total)

    return await engine.read(work)


async def by_ids(engine: ServedEngine, ids: Sequence[str], *, as_garments: bool = False) -> list[Row]:
    """The products, or garments, of these ids, in their order; those that are not there are left out."""
    if not ids:
        return []
    key = "id" if as_garments else "product_id"
    listing = (
        garments("id", "id = ANY(%(ids)s::uuid[])", ids=list(ids))
        if as_garments
        else products("product_id", "product_id = ANY(%(ids)s::uuid[])", ids=list(ids))
    )
    found = {str(row[key]): row for row in (await page(engine, listing, len(ids))).rows}
    return [found[each] for each in ids if each in found]


async def values_of(engine: ServedEngine, *columns: str, source: str | None = None) -> list[list[str]]:
    """The values that products have in each of the columns, in alphabetical order."""

    def work(answering: Answering, facts: Facts) -> Work[list[list[str]]]:
        rows = yield from answering.releases.read(
            facts, [Statement(_distinct(facts.release, each), {"source": source}) for each in columns], {}
        )
        return [[value for (value,) in each] for each in rows]

    return await engine.read(work)


async def rows_of(
    engine: ServedEngine, text: LiteralString, values: Mapping[str, Any], *, as_owner: bool = False
) -> list[tuple]:
    """Rows of a statement of a former API's own, in which `{products}`, `{garments}`, `{users}`, `{favourites}`, … are the release's
    tables. `as_owner` reads with the rights of the connection itself: tables that are closed to readers, of which the statement
    chooses what anybody may see."""

    def work(answering: Answering, facts: Facts) -> Work[list[tuple]]:
        statement = Statement(_on_tables(facts.release, text), values)
        if as_owner:
            (rows,) = yield Read([statement], _SETTINGS)
        else:
            (rows,) = yield from answering.releases.read(facts, [statement], _SETTINGS)
        return rows

    return await engine.read(work)


async def has(engine: ServedEngine, name: str) -> bool:
    """Whether the live release has such a table."""

    def work(answering: Answering, facts: Facts) -> Work[bool]:
        asked = {"name": f"{facts.release}.{name}"}
        (((there,),),) = yield from answering.releases.read(
            facts, [Statement(b"SELECT to_regclass(%(name)s::text) IS NOT NULL", asked)], {}
        )
        return there

    return await engine.read(work)


@lru_cache(maxsize=256)
def _statements(
    schema: str,
    name: str,
    columns: tuple[str, ...],
    order: LiteralString,
    conditions_: tuple[LiteralString, ...],
    shapes: tuple[tuple, ...],
) -> tuple[bytes, bytes]:
    """The texts of the statements that count a list, and that read a page of it."""
    own = [sql.SQL(each).format(products=table(schema)) for each in conditions_]
    holds = where([*own, *conditions(shapes)])
    found = table(schema, name)
    # Only what the page has is made of a view's columns: a view computes each from the product's facts.
    return (
        sql.SQL("SELECT count(*) FROM {} WHERE {}").format(found, holds).as_bytes(None),
        sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT %(limit)s OFFSET %(offset)s")
        .format(sql.SQL(", ").join(map(sql.Identifier, columns)), found, holds, sql.SQL(order))
        .as_bytes(None),
    )


@lru_cache(maxsize=64)
def _distinct(schema: str, column: str) -> bytes:
    """From each value to the next one, along the column's index: as many steps as there are values, however many products."""
    return (
        sql.SQL(
            "WITH RECURSIVE walk AS (SELECT min({column}) AS value FROM {products} UNION ALL "
            "SELECT (SELECT min({column}) FROM {products} WHERE {column} > walk.value) FROM walk WHERE walk.value IS NOT NULL) "
            "SELECT value FROM walk WHERE value IS NOT NULL AND (%(source)s::text IS NULL "
            "OR EXISTS (SELECT FROM {products} WHERE {column} = walk.value AND source = %(source)s)) ORDER BY 1"
        )
        .format(column=sql.Identifier(column), products=table(schema))
        .as_bytes(None)
    )


_TABLES = (
    *("products", "garments", "users", "favourites", "product_embeddings"),
    *("sketchbooks", "sketchbook_posts"),
)


@lru_cache(maxsize=64)
def _on_tables(schema: str, text: LiteralString) -> bytes:
    return sql.SQL(text).format(**{name: table(schema, name) for name in _TABLES}).as_bytes(None)


# Whole numbers for ids

_FIRST_MADE = 2**52
"""Numbers made of ids begin here, beyond any a database gave, and end before 2**53: what every client's numbers hold."""


def number_of(product_id: str, old_id: object) -> int:
    """The whole number a client knows a product by: the former system's, or one made of its id, the same in every release."""
    if isinstance(old_id, int) and 0 <= old_id < _FIRST_MADE:
        return old_id
    if isinstance(old_id, str) and old_id.isascii() and old_id.isdigit() and int(old_id) < _FIRST_MADE:
        return int(old_id)
    digits = UUID(product_id).hex
    # Without the digit that says of which version a UUID is, which all have.
    return _FIRST_MADE | int(digits[:12] + digits[13], 16)


BY_OLD_ID: LiteralString = (
    "SELECT product_id::text FROM {products} WHERE facts ->> 'old_id' = %(number)s::text "
    "AND (%(source)s::text IS NULL OR source = %(source)s) ORDER BY product_id::text"
)
"""By the index `products_old_id`. Without a limit, for which Postgres might walk all products in the order of their ids."""

_BY_MADE_ID: LiteralString = (
    "SELECT product_id::text FROM {products} WHERE product_id BETWEEN %(first)s::uuid AND %(last)s::uuid "
    "AND (%(source)s::text IS NULL OR source = %(source)s) ORDER BY product_id"
)


async def product_of(engine: ServedEngine, number: int, source: str | None = None) -> str | None:
    """The id of the product a client knows by this number; None where there is none."""
    if not 0 <= number < 2 * _FIRST_MADE:
        return None
    if number < _FIRST_MADE:
        rows = await rows_of(engine, BY_OLD_ID, {"number": str(number), "source": source})
        return rows[0][0] if rows else None
    begins = f"{number - _FIRST_MADE:013x}"[:12]
    bounds = {"first": str(UUID(begins + "0" * 20)), "last": str(UUID(begins + "f" * 20)), "source": source}
    rows = await rows_of(engine, _BY_MADE_ID, bounds)
    return next((found for (found,) in rows if number_of(found, None) == number), None)


async def vector_of(engine: ServedEngine, product_id: str) -> list[float] | None:
    """The vector a product is searched by, at unit length; None where it has none."""
    rows = await rows_of(
        engine, "SELECT embedding FROM {products} WHERE product_id = %(id)s::uuid", {"id": product_id}
    )
    return None if not rows or rows[0][0] is None else [float(each) for each in array(rows[0][0])]
