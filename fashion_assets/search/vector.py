"""Vector search over a release: the nearest products to a vector, with filters.

What belongs here: the one SQL query for it, its session settings and its plan. What does not: making vectors of words
and pictures (`embedding`), printing hits (`cli`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.warehouse.releases import SERVING_SCHEMA, Release

FILTERS = (
    "brand",
    "gender",
    "category",
    "sub_category",
    "article_type",
    "colour",
    "season",
    "usage",
    "year",
    "source",
    "external_id",
)
"""Columns a search can be narrowed by, compared without regard to case."""

EF_SEARCH = 100
"""Candidates HNSW keeps while it searches; recall@10 >= 0.98 on 44,000 vectors of 512 dimensions."""

MIN_PRODUCTS_FOR_INDEX = 5_000
"""Below it a scan of all vectors takes a few milliseconds and the planner may rightly prefer it."""


class FilterError(ValueError):
    """A filter that does not exist or cannot be read; the message lists those that do."""


@dataclass(frozen=True)
class Hit:
    """A product found; `score` is the cosine similarity to the query, -1 to 1."""

    product_id: str
    external_id: str
    source: str
    title: str
    score: float
    image_path: str


def index_is_worth_it(products: int) -> bool:
    """Whether so many products should be searched through the index."""
    return products >= MIN_PRODUCTS_FOR_INDEX


def distance(space: str, dimension: int) -> sql.Composed:
    """The expression the space's partial index is built on, from `%(vector)s`."""
    return sql.SQL("embedding::halfvec({}) <=> %(vector)s::halfvec({})").format(
        sql.Literal(dimension), sql.Literal(dimension)
    )


def parse_filters(pairs: Sequence[str]) -> dict[str, str]:
    """`["gender=women", "colour=red"]` as a mapping. Raises `FilterError` for unknown names or a missing `=`."""
    filters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise FilterError(f"filter {pair!r} is not NAME=VALUE")
        if name not in FILTERS:
            raise FilterError(f"there is no filter {name!r}; known filters: {', '.join(FILTERS)}")
        if "\0" in value:
            raise FilterError(f"filter {name!r} holds a NUL character, which no product has")
        filters[name] = value
    return filters


def _query(relation: sql.Composable, space: str, dimension: int, filters: Mapping[str, str]) -> sql.Composed:
    conditions = [sql.SQL("embedding_space = {}").format(sql.Literal(space))]
    conditions += [
        sql.SQL("lower({}::text) = lower({})").format(sql.Identifier(name), sql.Placeholder(f"filter_{name}"))
        for name in filters
    ]
    nearest = distance(space, dimension)
    return sql.SQL(
        "SELECT product_id::text, external_id, source, title, 1 - ({nearest}) AS score, image_path "
        "FROM {relation} WHERE {conditions} ORDER BY {nearest} LIMIT %(limit)s"
    ).format(nearest=nearest, relation=relation, conditions=sql.SQL(" AND ").join(conditions))


def nearest(
    conn: psycopg.Connection,
    vector: np.ndarray,
    space: str,
    *,
    limit: int = 10,
    filters: Mapping[str, str] | None = None,
    release: Release | None = None,
    exact: bool = False,
) -> list[Hit]:
    """The `limit` products nearest to a unit-length vector [d] of the space, best first.

    Filtered searches are exact over the filter: HNSW silently returns too few rows when the filter is selective.
    Looks at the live release unless another is given.
    """
    filters = filters or {}
    relation = release.table("products") if release else sql.Identifier(SERVING_SCHEMA, "products")
    parameters: dict = {
        "vector": HalfVector(vector),
        "limit": limit,
        **{f"filter_{name}": value for name, value in filters.items()},
    }
    with conn.transaction(), conn.cursor() as cursor:
        # Per transaction: a server-prepared statement or a pooled connection must not carry them elsewhere.
        cursor.execute(
            sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(max(EF_SEARCH, min(limit, 1000))))
        )
        cursor.execute("SET LOCAL hnsw.iterative_scan = 'strict_order'")
        if exact or filters:
            cursor.execute("SET LOCAL enable_indexscan = off")
        rows = cursor.execute(
            _query(relation, space, len(vector), filters), parameters, prepare=False
        ).fetchall()
    return [Hit(*row) for row in rows]


def explain_nearest(conn: psycopg.Connection, release: Release) -> dict[str, str]:
    """For each space of the release, the index (or node) the planner answers an unfiltered search from."""
    scans = {}
    for space, dimension in conn.execute(
        sql.SQL("SELECT embedding_space, max(vector_dims(embedding)) FROM {} GROUP BY 1 ORDER BY 1").format(
            release.table("products")
        )
    ).fetchall():
        query = sql.SQL("EXPLAIN (FORMAT JSON) ") + _query(release.table("products"), space, dimension, {})
        unit = np.full(dimension, dimension**-0.5, np.float32)
        row = conn.execute(query, {"vector": HalfVector(unit), "limit": 10}, prepare=False).fetchone()
        assert row is not None
        node = row[0][0]["Plan"]
        while "Plans" in node:
            node = node["Plans"][0]
        scans[space] = node.get("Index Name", node["Node Type"])
    return scans
