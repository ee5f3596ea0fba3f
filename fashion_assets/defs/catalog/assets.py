"""From a source's records to canonical products, batch by batch.

What belongs here: the Dagster face of `batches.listings`: inputs, outputs, what the UI is shown. The work is theirs.
"""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
from pydantic import Field

from fashion_assets.batches.stages import FILLING, NORMALIZATION, READING, VALIDATION
from fashion_assets.catalog.attributes import BRIEFLY
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION
from fashion_assets.catalog.pictures import Limits
from fashion_assets.criteria.listings import REJECTION_RATE_IS_BEARABLE
from fashion_assets.defs.failures import telling
from fashion_assets.defs.metadata import contact_sheet, counts_table, reasons_table, sample_table
from fashion_assets.defs.partitions import BATCHES
from fashion_assets.defs.resources import (
    PARQUET_FILES,
    BatchTurn,
    EncoderResource,
    ParquetResource,
    WarehouseResource,
)
from fashion_assets.defs.sources import source_listings
from fashion_assets.defs.working import checked, checks_of, work_of

OWNERS = ["team:catalog"]
GROUP = "catalog"


@dg.asset(
    deps=[source_listings],
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=checks_of(READING),
)
@telling
def raw_listings(
    context: dg.AssetExecutionContext,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """The batch's listings as the source has them, good or bad: each with its original record whole, the hash of its
    content, and what the reader could not read."""
    work = work_of(context, warehouse, encoder, parquet)
    made = READING.make(work, {})
    listings = made.tables["raw_listings"]
    # The same listings under the same rules are the same data, however often they are read.
    context.set_data_version(context.asset_key, dg.DataVersion(made.figures["batch_version"]))
    yield dg.Output(
        listings,
        metadata={
            "dagster/row_count": listings.num_rows,
            "source": work.entry.name,
            "location": work.entry.location,
            **made.figures,
            "sample": sample_table(listings, ["external_id", *BRIEFLY, "image"]),
        },
    )
    yield from checked(READING, work, made.tables)


class Validation(dg.Config):
    """What a person knows of a batch."""

    accept_rejections: bool = Field(
        default=False,
        description="Let the batch go through although many of its listings are rejected (rejection_rate_is_bearable).",
    )


@dg.multi_asset(
    partitions_def=BATCHES,
    group_name=GROUP,
    outs={
        "validated_products": dg.AssetOut(
            io_manager_key=PARQUET_FILES,
            owners=OWNERS,
            kinds={"parquet"},
            description="Listings that passed every rule; numbers are numbers, null-like words are nulls.",
        ),
        "quarantined_listings": dg.AssetOut(
            io_manager_key=PARQUET_FILES,
            owners=OWNERS,
            kinds={"parquet", "postgres"},
            description="Listings that did not pass, each with every reason and its whole record. Listings in = "
            "products + quarantined, always.",
        ),
    },
    check_specs=checks_of(VALIDATION),
)
@telling
def validation(
    context: dg.AssetExecutionContext,
    config: Validation,
    raw_listings: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Judges each listing; one whose content and rules did not change keeps its earlier judgement."""
    work = work_of(context, warehouse, encoder, parquet)
    made = VALIDATION.make(work, {"raw_listings": raw_listings})
    products, rejections = (made.tables[file.name] for file in VALIDATION.makes)
    shown = products["image_uri"].drop_null().slice(0, 8).to_pylist()
    pictures = [work.source.picture_folders.path(uri) for uri in shown]
    yield dg.Output(
        products,
        "validated_products",
        metadata={
            "dagster/row_count": products.num_rows,
            **made.figures,
            "stated_as_unknown": dg.MetadataValue.json(made.figures["stated_as_unknown"]),
            "sample": sample_table(
                products, ["external_id", "title", "price", "image_width", "image_height"]
            ),
            "pictures": contact_sheet(pictures, Limits.from_settings(work.settings)),
        },
    )
    yield dg.Output(
        rejections,
        "quarantined_listings",
        metadata={
            "dagster/row_count": rejections.num_rows,
            "rejection_rate": made.figures["rejection_rate"],
            "reasons": reasons_table(rejections),
            "sample": sample_table(rejections, ["external_id", "reasons", "record"]),
        },
    )
    accepted = [REJECTION_RATE_IS_BEARABLE] if config.accept_rejections else []
    yield from checked(VALIDATION, work, {"raw_listings": raw_listings, **made.tables}, accepted)


@dg.asset(
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=checks_of(NORMALIZATION),
)
@telling
def normalized_attributes(
    context: dg.AssetExecutionContext,
    validated_products: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Products with canonical lower-case values from the vocabularies, the brand read from the title where the source
    has none, and the `normalized` object; the original record is not touched."""
    work, taken = work_of(context, warehouse, encoder, parquet), {"validated_products": validated_products}
    made = NORMALIZATION.make(work, taken)
    normalized = made.tables["normalized_attributes"]
    yield dg.Output(
        normalized,
        metadata={
            "dagster/row_count": normalized.num_rows,
            **made.figures,
            "normalized_version": NORMALIZATION_VERSION,
            "sample": sample_table(normalized, BRIEFLY),
        },
    )
    yield from checked(NORMALIZATION, work, {**taken, **made.tables})


@dg.asset(
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=checks_of(FILLING),
)
@telling
def properties(
    context: dg.AssetExecutionContext,
    normalized_attributes: pa.Table,
    image_embeddings: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """What products' words say, and their pictures show, of attributes that their records do not state, with confidence and evidence."""
    work = work_of(context, warehouse, encoder, parquet)
    taken = {"normalized_attributes": normalized_attributes, "image_embeddings": image_embeddings}
    made = FILLING.make(work, taken)
    table = made.tables["properties"]
    yield dg.Output(
        table,
        metadata={
            "dagster/row_count": table.num_rows,
            "read_anew": made.figures["read_anew"],
            "filled": counts_table(
                sorted(made.figures["filled"].items(), key=lambda each: -each[1]), "attribute"
            ),
        },
    )
    yield from checked(FILLING, work, {**taken, **made.tables})
