"""From pictures and titles to a vector for each product.

What belongs here: the Dagster face of `batches.vectors`. The work is theirs.
"""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from fashion_assets.batches.files import without_vector
from fashion_assets.batches.stage import Stage, Work
from fashion_assets.batches.stages import IMAGES, TEXTS, VECTORS, keep_what_is_held
from fashion_assets.defs.failures import telling
from fashion_assets.defs.partitions import BATCHES, GPU_POOL
from fashion_assets.defs.resources import (
    PARQUET_FILES,
    BatchTurn,
    EncoderResource,
    ParquetResource,
    WarehouseResource,
)
from fashion_assets.defs.working import checked, checks_of, work_of

OWNERS = ["team:search"]
GROUP = "embeddings"


def _embeddings(stage: Stage[Work], description: str) -> dg.AssetsDefinition:
    """The asset of one kind of vector: of the products that brought none, made where the store has none."""

    @dg.asset(
        name=stage.name,
        description=description,
        partitions_def=BATCHES,
        io_manager_key=PARQUET_FILES,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"parquet", "openvino"},
        pool=GPU_POOL,
        check_specs=checks_of(stage),
    )
    @telling
    def embeddings(
        context: dg.AssetExecutionContext,
        validated_products: pa.Table,
        batch_turn: BatchTurn,
        warehouse: WarehouseResource,
        encoder: EncoderResource,
        parquet: ParquetResource,
    ) -> Iterator[dg.Output | dg.AssetCheckResult]:
        work, taken = (
            work_of(context, warehouse, encoder, parquet),
            {"validated_products": validated_products},
        )
        made = stage.make(work, taken)
        table = made.tables[stage.name]
        yield dg.Output(
            table,
            metadata={
                "dagster/row_count": table.num_rows,
                **made.figures,
                "failed": len(without_vector(table)),
                "space": encoder.space.name,
                "dimension": encoder.space.dimension,
            },
        )
        yield from checked(stage, work, {**taken, **made.tables})

    return embeddings


image_embeddings = _embeddings(IMAGES, "The unit-length image vector of each product's picture.")

text_embeddings = _embeddings(
    TEXTS, "The unit-length text vector of each product's title, in the same space as the pictures."
)


@dg.asset(
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=checks_of(VECTORS),
)
@telling
def product_embeddings(
    context: dg.AssetExecutionContext,
    validated_products: pa.Table,
    image_embeddings: pa.Table,
    text_embeddings: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """One vector for each product: of its picture and title, or, where the record brought one, that very vector."""
    work = work_of(context, warehouse, encoder, parquet)
    taken = {
        "validated_products": validated_products,
        "image_embeddings": image_embeddings,
        "text_embeddings": text_embeddings,
    }
    made = VECTORS.make(work, taken)
    table = made.tables["product_embeddings"]
    yield dg.Output(
        table,
        metadata={
            "dagster/row_count": table.num_rows,
            **made.figures,
            "spaces": dg.MetadataValue.json(sorted(table["space"].unique().to_pylist())),
        },
    )
    # Written by now: an output is handled as it is yielded.
    keep_what_is_held(work)
    yield from checked(VECTORS, work, {**taken, **made.tables})
