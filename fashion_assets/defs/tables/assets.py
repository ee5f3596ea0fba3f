"""The tables sources declare beside their listings, batch by batch.

What belongs here: the Dagster face of `batches.rows`: inputs, outputs, what the UI is shown. The work is theirs.
"""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from fashion_assets.batches.rows import READING_ROWS, VALIDATING_ROWS, RowsWork, keep_what_is_held
from fashion_assets.defs.failures import telling
from fashion_assets.defs.metadata import reasons_table, sample_table
from fashion_assets.defs.partitions import TABLE_BATCHES
from fashion_assets.defs.resources import PARQUET_FILES, BatchTurn, ParquetResource, WarehouseResource
from fashion_assets.defs.sources import source_listings
from fashion_assets.defs.working import checked, checks_of

OWNERS = ["team:catalog"]
GROUP = "tables"


def _work_of(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, parquet: ParquetResource
) -> RowsWork:
    return RowsWork(context.partition_key, warehouse.settings, parquet.store, warehouse.connect)


@dg.asset(
    deps=[source_listings],
    partitions_def=TABLE_BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=checks_of(READING_ROWS, TABLE_BATCHES),
)
@telling
def raw_rows(
    context: dg.AssetExecutionContext,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """The batch's rows of a declared table (users, favourites, …) as the source has them, good or bad, each with its original
    record whole."""
    work = _work_of(context, warehouse, parquet)
    made = READING_ROWS.make(work, {})
    rows = made.tables["raw_rows"]
    context.set_data_version(context.asset_key, dg.DataVersion(made.figures["batch_version"]))
    yield dg.Output(
        rows,
        metadata={
            "dagster/row_count": rows.num_rows,
            "source": work.source.name,
            "table": work.declared.name,
            **made.figures,
            # Not what the rows say: it may be of people, whom the UI is not for.
            "columns": dg.MetadataValue.json(dict(work.declared.columns)),
        },
    )
    yield from checked(READING_ROWS, work, made.tables)


@dg.multi_asset(
    partitions_def=TABLE_BATCHES,
    group_name=GROUP,
    outs={
        "validated_rows": dg.AssetOut(
            io_manager_key=PARQUET_FILES,
            owners=OWNERS,
            kinds={"parquet"},
            description="Rows with a key, once, whose values are of their columns' types.",
        ),
        "quarantined_rows": dg.AssetOut(
            io_manager_key=PARQUET_FILES,
            owners=OWNERS,
            kinds={"parquet", "postgres"},
            description="Rows that are not sound, each with every reason and its whole record. Rows in = sound rows + "
            "quarantined, always. Rows that refer to what is not there are found when a release is loaded.",
        ),
    },
    check_specs=checks_of(VALIDATING_ROWS, TABLE_BATCHES),
)
@telling
def rows_validation(
    context: dg.AssetExecutionContext,
    raw_rows: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Judges each row by itself."""
    work = _work_of(context, warehouse, parquet)
    made = VALIDATING_ROWS.make(work, {"raw_rows": raw_rows})
    rows, rejections = (made.tables[file.name] for file in VALIDATING_ROWS.makes)
    yield dg.Output(rows, "validated_rows", metadata={"dagster/row_count": rows.num_rows, **made.figures})
    yield dg.Output(
        rejections,
        "quarantined_rows",
        metadata={
            "dagster/row_count": rejections.num_rows,
            **made.figures,
            "reasons": reasons_table(rejections),
            "sample": sample_table(rejections, ["listing_key", "reasons"]),
        },
    )
    # Written by now: an output is handled as it is yielded.
    keep_what_is_held(work)
    yield from checked(VALIDATING_ROWS, work, {"raw_rows": raw_rows, **made.tables})
