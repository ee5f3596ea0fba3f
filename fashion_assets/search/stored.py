"""Products of a release as they are stored, asked for by their ids.

What belongs here: reading them for whoever shows one. What does not: finding any by words, pictures or vectors (`answering`), what may
be asked of them over HTTP (`serving.api`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from psycopg import sql

from fashion_assets.catalog.attributes import ATTRIBUTES
from fashion_assets.search import statements
from fashion_assets.search.answering import Answering, is_uuid
from fashion_assets.search.filters import Filter, SearchError
from fashion_assets.search.path import Facts
from fashion_assets.search.query import HIT_COLUMNS, SHOWN, Hit
from fashion_assets.search.reading import Statement
from fashion_assets.search.work import Work

MOST = 1_000
"""Products that are asked for at once."""

DETAILS = (
    *(each.name for each in ATTRIBUTES if each.name not in SHOWN),
    *("brand_origin", "image_sha256", "image_width", "image_height", "normalized", "origins", "story"),
)
"""Columns told of a product beside those of a hit. Its record, and what else its source's mapping keeps, may hold what is nobody
else's."""


@dataclass(frozen=True)
class Product:
    """A product of a release."""

    hit: Hit
    """Its score is 1: it is what was asked for."""
    details: Mapping[str, Any] = field(hash=False)
    """`DETAILS`, by column."""


@dataclass(frozen=True)
class Products:
    """Products, in the order they were asked for, and the release they are of; those that are not there are left out."""

    release: str
    revision: int | None
    found: tuple[Product, ...]


def products(
    answering: Answering, ids: Sequence[str], filters: Sequence[Filter], release: str | None
) -> Work[Products]:
    """Products by their ids, or their ids in the source, of those that meet the filters.

    Raises `SearchError` for an id that several sources have, or too many ids.
    """
    if len(ids) > MOST:
        raise SearchError(f"{len(ids):,} products are asked for at once; {MOST:,} are the most")
    if any("\0" in each for each in ids):
        raise SearchError("there is no product whose id holds a NUL character")
    return (yield from answering.releases.on(release, lambda facts: _read(answering, facts, ids, filters)))


def _read(
    answering: Answering, facts: Facts, ids: Sequence[str], filters: Sequence[Filter]
) -> Work[Products]:
    by_id = [each for each in ids if is_uuid(each)]
    by_external_id = [each for each in ids if not is_uuid(each)]
    statement = Statement(
        _statement(facts.release, tuple(each.shape for each in filters), bool(by_external_id)),
        {"product_ids": by_id, "external_ids": by_external_id} | statements.filter_parameters(filters),
    )
    (rows,) = yield from answering.releases.read(facts, [statement])
    columns = 1 + len(HIT_COLUMNS)
    known: dict[str, list[Product]] = {}
    for row in rows:
        product = Product(Hit.of(row[:columns], 1.0), dict(zip(DETAILS, row[columns:], strict=True)))
        for key in (product.hit.product_id, product.hit.external_id):
            known.setdefault(key, []).append(product)
    found = []
    for each in ids:
        of_the_key = known.get(each.lower() if is_uuid(each) else each, [])
        if len(of_the_key) > 1:
            raise SearchError(f"several sources have a product {each[:80]!r}: give its product id")
        found += of_the_key
    return Products(facts.release, facts.revision, tuple(found))


_NAMED = sql.SQL(
    # The index on ids in sources begins with the source: each of the few there are is asked.
    "WITH RECURSIVE sources AS (SELECT min(source) AS name FROM {products} UNION ALL "
    "SELECT (SELECT min(source) FROM {products} WHERE source > sources.name) FROM sources WHERE sources.name IS NOT NULL), "
    "named AS MATERIALIZED (SELECT of_it.product_id FROM sources, LATERAL (SELECT product_id FROM {products} "
    "WHERE source = sources.name AND external_id = ANY(%(external_ids)s::text[])) AS of_it) "
)


@lru_cache(maxsize=64)
def _statement(schema: str, filters: tuple[tuple, ...], by_external_id: bool) -> bytes:
    products = statements.table(schema)
    wanted = sql.SQL("product_id = ANY(%(product_ids)s::uuid[])")
    if by_external_id:
        wanted = sql.SQL("product_id = ANY(ARRAY(SELECT product_id FROM named) || %(product_ids)s::uuid[])")
    return (
        sql.SQL("{} SELECT product_id::text, {} FROM {} WHERE {}")
        .format(
            _NAMED.format(products=products) if by_external_id else sql.SQL(""),
            sql.SQL(", ").join(map(sql.Identifier, (*HIT_COLUMNS, *DETAILS))),
            products,
            statements.where([wanted, *statements.conditions(filters)]),
        )
        .as_bytes(None)
    )
