"""What a release's search can do: measured quickly before it goes live, and thoroughly when somebody asks.

What belongs here: the Dagster face of `benchmarks`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from fashion_assets.benchmarks.brief import measure_briefly
from fashion_assets.benchmarks.measurements import NotMeasured, measure, standing
from fashion_assets.benchmarks.results import Row
from fashion_assets.defs.failures import telling
from fashion_assets.defs.release.assets import candidate_of
from fashion_assets.defs.release.judgement import Judgement
from fashion_assets.defs.resources import WarehouseResource
from fashion_assets.postgres.connections import connect

GROUP = "benchmarks"
OWNERS = ["team:search"]


def rows_table(rows: Sequence[Row]) -> dg.TableMetadataValue:
    """A benchmark's rows; what one of them does not say is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: row.get(name) for name in names}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name=name) for name in names]),
    )


def figures(measured: Mapping[str, Sequence[Row]]) -> dict[str, float]:
    """The numbers the UI draws from release to release: the lowest recall, p95 with the fewest callers, queries a second
    with the most, errors, ratios, precision."""
    drawn: dict[str, float] = {}
    if rows := measured.get("recall"):
        drawn["lowest_recall"] = float(min(row["recall"] for row in rows))
    for row in sorted(measured.get("latency", ()), key=lambda row: row["concurrency"]):
        drawn.setdefault(f"{row['kind']}_p95_ms", float(row["p95_ms"]))
        drawn[f"{row['kind']}_qps"] = float(row["qps"])
        drawn[f"{row['kind']}_errors"] = drawn.get(f"{row['kind']}_errors", 0.0) + row["errors"]
    for name in ("layouts", "pgbench"):
        drawn |= {f"{row['kind']}_{name}_ratio": float(row["ratio"]) for row in measured.get(name, ())}
    for row in measured.get("relevance", ()):
        if row["kind"] == "overall":
            drawn[f"{row['leg']}_precision_at_10"] = float(row["precision_at_10"])
    for row in measured.get("captions", ()):
        drawn |= {f"caption_{name}": float(row[name]) for name in ("recall_at_1", "recall_at_10", "mrr")}
    return drawn


def _result(release: str, measured: Mapping[str, Sequence[Row]], **more: Any) -> dg.MaterializeResult:
    tables = {name: rows_table(rows) for name, rows in measured.items()}
    return dg.MaterializeResult(metadata={"release": release, **figures(measured), **tables, **more})


@dg.asset(deps=["product_embeddings_index"], group_name=GROUP, owners=OWNERS, kinds={"pgvector"})
@telling
def search_benchmarks(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, judgement: Judgement
) -> dg.MaterializeResult:
    """Latency of each kind of search, recall under every filter, the promised loads and the old layout beside the new, with
    products of the candidate's own, within a few seconds."""
    with connect(warehouse.settings, autocommit=True) as conn:
        release = candidate_of(conn, context)
        measured = measure_briefly(warehouse.settings, conn, release, judgement.measuring(release))
    return _result(release.release, measured)


def _measured(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, *names: str
) -> dg.MaterializeResult:
    with warehouse.connect() as conn:
        release = standing(conn)
    measured: dict[str, Sequence[Row]] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            measured |= measure(warehouse.settings, name, release, context.log.debug)
        except NotMeasured as reason:
            reasons[f"{name}_not_measured"] = str(reason)
    return _result(release.release, measured, **reasons)


@dg.asset(deps=["product_embeddings_index"], group_name=GROUP, owners=OWNERS, kinds={"pgvector"})
@telling
def recall_benchmark(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """recall@10 and latency under filters of every selectivity, unrelated and tied, of the newest release that stands."""
    return _measured(context, warehouse, "recall")


@dg.asset(deps=["product_embeddings_index"], group_name=GROUP, owners=OWNERS, kinds={"pgvector"})
@telling
def latency_benchmark(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Latency and throughput of each kind of search with few and many callers, and what pgbench reaches beside it."""
    return _measured(context, warehouse, "latency", "pgbench")


@dg.asset(deps=["product_embeddings_index"], group_name=GROUP, owners=OWNERS, kinds={"postgres"})
@telling
def layout_benchmark(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:
    """The old layout, built from the same products, against the new one."""
    return _measured(context, warehouse, "layouts")


@dg.asset(deps=["product_embeddings_index"], group_name=GROUP, owners=OWNERS, kinds={"pgvector"})
@telling
def relevance_benchmark(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Precision of what people type by each leg and the fusion, and pictures found by captions and category words."""
    return _measured(context, warehouse, "relevance")
