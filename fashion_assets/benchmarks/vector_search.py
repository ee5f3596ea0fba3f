"""Latency and recall of vector search on one release.

What belongs here: the measurement. What does not: thresholds (`criteria`).
"""

import time
from dataclasses import dataclass

import numpy as np
import psycopg
from psycopg import sql

from fashion_assets.search.vector import nearest
from fashion_assets.warehouse.releases import Release

QUERIES = 25
"""Enough for a median; the exact answers they are held against cost a scan of all vectors each."""

TIE = 1e-3
"""Recall counts a hit whose distance is within this of the exact tenth's: ties are not misses (as ann-benchmarks does).
Half-precision distances of unit vectors differ by about so much."""


@dataclass(frozen=True)
class VectorSearchFigures:
    """Latencies in milliseconds, as the caller sees them over one connection; recall@10 against the exact scan."""

    queries: int
    recall_at_10: float
    p50_ms: float
    p95_ms: float
    exact_p50_ms: float


def measure_vector_search(
    conn: psycopg.Connection, release: Release, queries: int = QUERIES
) -> VectorSearchFigures:
    """Search with the vectors of `queries` products, spread evenly over the ids, through the index and exactly."""
    rows = conn.execute(
        sql.SQL(
            "SELECT embedding_space, embedding::real[] FROM {} WHERE product_id IN "
            "(SELECT product_id FROM (SELECT product_id, row_number() OVER (ORDER BY product_id) AS position, "
            "count(*) OVER () AS total FROM {}) AS numbered WHERE position %% greatest(total / %s, 1) = 0 LIMIT %s)"
        ).format(release.table("product_embeddings"), release.table("products")),
        (queries, queries),
    ).fetchall()
    latencies, exact_latencies, found = [], [], []
    for space, values in rows:
        vector = np.asarray(values, np.float32)
        started = time.perf_counter()
        hits = nearest(conn, vector, space, release=release)
        latencies.append(time.perf_counter() - started)
        started = time.perf_counter()
        exact = nearest(conn, vector, space, release=release, exact=True)
        exact_latencies.append(time.perf_counter() - started)
        if exact:
            found.append(sum(hit.score >= exact[-1].score - TIE for hit in hits) / len(exact))
    if not rows:
        return VectorSearchFigures(0, 0.0, 0.0, 0.0, 0.0)
    p50, p95 = (float(np.percentile(latencies, share) * 1000) for share in (50, 95))
    return VectorSearchFigures(
        len(rows), float(np.mean(found)), p50, p95, float(np.percentile(exact_latencies, 50) * 1000)
    )
