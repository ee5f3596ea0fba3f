"""Plain vector search on one connection: the nearest products to a vector, and the plan that finds them.

What belongs here: what judges and measures a release's index without the engine's choices. What does not: searching as
a user does (`engine`).
"""

import numpy as np
import psycopg
from pgvector import HalfVector
from psycopg import sql

from fashion_assets.search.query import Hit
from fashion_assets.search.statements import EF_SEARCH, HIT_COLUMNS, VectorLeg, distance
from fashion_assets.warehouse.releases import SERVING_SCHEMA, Release

MIN_PRODUCTS_FOR_INDEX = 5_000
"""Below it a scan of all vectors takes a few milliseconds and the planner may rightly prefer it."""


def index_is_worth_it(products: int) -> bool:
    """Whether so many products should be searched through the index."""
    return products >= MIN_PRODUCTS_FOR_INDEX


def _query(relation: sql.Composable, space: str, dimension: int) -> sql.Composed:
    return sql.SQL(
        "SELECT product_id::text, 1 - ({nearest}) AS score, {columns} FROM {relation} "
        "WHERE embedding_space = {space} ORDER BY {nearest} LIMIT %(limit)s"
    ).format(
        nearest=distance(VectorLeg(space, dimension, "index"), "vector"),
        columns=sql.SQL(", ").join(map(sql.Identifier, HIT_COLUMNS)),
        relation=relation,
        space=sql.Literal(space),
    )


def nearest(
    conn: psycopg.Connection,
    vector: np.ndarray,
    space: str,
    *,
    limit: int = 10,
    release: Release | None = None,
    exact: bool = False,
) -> list[Hit]:
    """The `limit` products nearest to a unit-length vector [d] of the space, best first; `score` is the cosine
    similarity. Looks at the live release unless another is given."""
    relation = release.table("products") if release else sql.Identifier(SERVING_SCHEMA, "products")
    with conn.transaction(), conn.cursor() as cursor:
        # Per transaction: a server-prepared statement or a pooled connection must not carry them elsewhere.
        ef_search = max(EF_SEARCH, min(limit, 1000))
        cursor.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(ef_search)))
        cursor.execute("SET LOCAL hnsw.iterative_scan = 'strict_order'")
        if exact:
            cursor.execute("SET LOCAL enable_indexscan = off")
        rows = cursor.execute(
            _query(relation, space, len(vector)),
            {"vector": HalfVector(vector), "limit": limit},
            prepare=False,
        ).fetchall()
    return [
        Hit(product_id, score=score, **dict(zip(HIT_COLUMNS, columns, strict=True)))
        for product_id, score, *columns in rows
    ]


def explain_nearest(conn: psycopg.Connection, release: Release) -> dict[str, str]:
    """For each space of the release, the index (or node) the planner answers an unfiltered search from."""
    scans = {}
    for space, dimension in conn.execute(
        sql.SQL("SELECT embedding_space, max(vector_dims(embedding)) FROM {} GROUP BY 1 ORDER BY 1").format(
            release.table("products")
        )
    ).fetchall():
        query = sql.SQL("EXPLAIN (FORMAT JSON) ") + _query(release.table("products"), space, dimension)
        unit = np.full(dimension, dimension**-0.5, np.float32)
        row = conn.execute(query, {"vector": HalfVector(unit), "limit": 10}, prepare=False).fetchone()
        assert row is not None
        node = row[0][0]["Plan"]
        while "Plans" in node:
            node = node["Plans"][0]
        scans[space] = node.get("Index Name", node["Node Type"])
    return scans
