"""What the candidate's search can do, measured before it goes live.

What belongs here: the Dagster face of `benchmarks`.
"""

import dagster as dg

from fashion_assets.benchmarks.vector_search import measure_vector_search
from fashion_assets.defs.release.assets import candidate_of
from fashion_assets.defs.resources import WarehouseResource


@dg.asset(
    deps=["product_embeddings_index"], group_name="benchmarks", owners=["team:search"], kinds={"pgvector"}
)
def search_benchmarks(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Latency and recall of vector search on the candidate, with products of its own as queries."""
    with warehouse.connect() as conn:
        release = candidate_of(conn, context)
        measured = measure_vector_search(conn, release)
    return dg.MaterializeResult(
        metadata={
            "release": release.release,
            "queries": measured.queries,
            "recall_at_10": measured.recall_at_10,
            "p50_ms": measured.p50_ms,
            "p95_ms": measured.p95_ms,
            "exact_p50_ms": measured.exact_p50_ms,
        }
    )
