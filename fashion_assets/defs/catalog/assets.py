"""From a source's records to canonical products, batch by batch.

What belongs here: the Dagster face of `sources` and `catalog`: inputs, outputs, metadata, checks. The work is theirs.
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from fashion_assets.catalog.listing import (
    NORMALIZED_SCHEMA,
    PRODUCT_SCHEMA,
    REJECTION_SCHEMA,
    picture_path,
)
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION, normalize, reuse_normalized
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.validation import Rules, reuse, unknown_values, validate
from fashion_assets.criteria.batch import (
    NORMALIZED,
    QUARANTINED,
    RAW,
    REJECTION_RATE_IS_BEARABLE,
    VALIDATED,
    Judged,
    NormalizedBatch,
    RawBatch,
    ValidatedBatch,
)
from fashion_assets.defs.failures import telling
from fashion_assets.defs.metadata import contact_sheet, counts_table, sample_table
from fashion_assets.defs.partitions import BATCHES
from fashion_assets.defs.resources import (
    PARQUET_FILES,
    BatchTurn,
    EncoderResource,
    ParquetResource,
    WarehouseResource,
)
from fashion_assets.defs.sources import source_listings
from fashion_assets.defs.verdicts import check_result, check_specs
from fashion_assets.machine import usable_cores
from fashion_assets.release.plan import BATCH_VERSION, batch_version
from fashion_assets.release.plan import judged as judged_so_far
from fashion_assets.sources import open_source
from fashion_assets.warehouse.quarantine import replace_quarantine
from fashion_assets.warehouse.register import batch_and_source, batches, references

OWNERS = ["team:catalog"]
GROUP = "catalog"


def carry_version(made: pa.Table, origin: pa.Table) -> pa.Table:
    """Pass on which version of the batch a table was made of; the file keeps it."""
    return made.replace_schema_metadata({BATCH_VERSION: (origin.schema.metadata or {})[BATCH_VERSION]})


@dg.asset(
    deps=[source_listings],
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=check_specs(RAW, blocking=True, partitions_def=BATCHES),
)
@telling
def raw_listings(
    context: dg.AssetExecutionContext,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    encoder: EncoderResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """The batch's listings as the source has them, good or bad: each with its original record whole, the hash of its
    content, and what the reader could not read."""
    settings = warehouse.settings
    with warehouse.connect() as conn:
        batch, entry = batch_and_source(conn, context.partition_key)
        wanted = references(conn, batch.name)
    source = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
    listings = source.read(wanted)
    version = batch_version(batch, settings, encoder.space, source)
    # The same listings under the same rules are the same data, however often they are read.
    context.set_data_version(context.asset_key, dg.DataVersion(version))
    yield dg.Output(
        listings.replace_schema_metadata({BATCH_VERSION: version.encode()}),
        metadata={
            "dagster/row_count": listings.num_rows,
            "source": entry.name,
            "location": entry.location,
            "batch_version": version,
            "unreadable": pc.sum(pc.greater(pc.list_value_length(listings["defects"]), 0)).as_py() or 0,
            "sample": sample_table(listings, ["external_id", "title", "article_type", "colour", "image"]),
        },
    )
    for criterion in RAW:
        yield check_result(criterion.judge(RawBatch(wanted, listings), settings), criterion.asset)


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
    check_specs=check_specs([*VALIDATED, *QUARANTINED], blocking=True, partitions_def=BATCHES),
)
@telling
def validation(
    context: dg.AssetExecutionContext,
    config: Validation,
    raw_listings: pa.Table,
    batch_turn: BatchTurn,
    warehouse: WarehouseResource,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Judges each listing; one whose content and rules did not change keeps its earlier judgement."""
    settings = warehouse.settings
    batch = context.partition_key
    with warehouse.connect() as conn:
        _, entry = batch_and_source(conn, batch)
    source = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
    root, rules = source.root, Rules.from_settings(settings, source.profile)
    kept = reuse(
        raw_listings,
        parquet.previous("validated_products", batch, PRODUCT_SCHEMA),
        parquet.previous("quarantined_listings", batch, REJECTION_SCHEMA),
        rules.version,
    )
    limits = Limits.from_settings(settings)
    judged = validate(kept.to_validate, rules, root=root, threads=usable_cores(), memory=limits.memory)
    products = pa.concat_tables([kept.products, judged.products])
    rejections = pa.concat_tables([kept.rejections, judged.rejections])
    subject = ValidatedBatch(
        raw_listings, products, rejections, settings.max_rejection_rate, settings.min_listings_for_a_rate
    )
    if subject.is_above_the_limit:
        with warehouse.connect() as conn:
            others = [each.name for each in batches(conn, entry.name) if each.name != batch]
        subject = replace(
            subject,
            elsewhere=Judged(*judged_so_far(parquet.store, others)),
            # Of the next stage, which a batch that stopped here never reached.
            products_before=parquet.previous_column("normalized_attributes", batch, "listing_key"),
        )
    reasons = pc.value_counts(pc.list_flatten(rejections["reasons"])).to_pylist()
    rate = rejections.num_rows / max(1, raw_listings.num_rows)
    with warehouse.connect() as conn:
        replace_quarantine(conn, batch, rejections)
    yield dg.Output(
        carry_version(products, raw_listings),
        "validated_products",
        metadata={
            "dagster/row_count": products.num_rows,
            "validated_anew": kept.to_validate.num_rows,
            "kept_from_before": kept.products.num_rows + kept.rejections.num_rows,
            "rejection_rate": rate,
            "rules": rules.version,
            "without_picture": products["image_uri"].null_count,
            "stated_as_unknown": dg.MetadataValue.json(unknown_values(raw_listings, source.profile)),
            "sample": sample_table(
                products, ["external_id", "title", "price", "image_width", "image_height"]
            ),
            "pictures": contact_sheet(
                [
                    picture_path(root, uri)
                    for uri in products["image_uri"].drop_null().slice(0, 8).to_pylist()
                ],
                limits,
            ),
        },
    )
    yield dg.Output(
        carry_version(rejections, raw_listings),
        "quarantined_listings",
        metadata={
            "dagster/row_count": rejections.num_rows,
            "rejection_rate": rate,
            "reasons": counts_table(
                sorted(((row["values"], row["counts"]) for row in reasons), key=lambda row: -row[1]), "reason"
            ),
            "sample": sample_table(rejections, ["external_id", "reasons", "record"]),
        },
    )
    accepted = [REJECTION_RATE_IS_BEARABLE] if config.accept_rejections else []
    for criterion in [*VALIDATED, *QUARANTINED]:
        yield check_result(criterion.judge(subject, settings, accepted), criterion.asset)


@dg.asset(
    partitions_def=BATCHES,
    io_manager_key=PARQUET_FILES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    check_specs=check_specs(NORMALIZED, blocking=True, partitions_def=BATCHES),
)
@telling
def normalized_attributes(
    context: dg.AssetExecutionContext,
    validated_products: pa.Table,
    batch_turn: BatchTurn,
    parquet: ParquetResource,
) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Products with canonical lower-case values from the vocabularies, the brand read from the title where the source
    has none, and the `normalized` object; the original record is not touched."""
    kept, remaining = reuse_normalized(
        validated_products,
        parquet.previous("normalized_attributes", context.partition_key, NORMALIZED_SCHEMA),
    )
    fresh = normalize(remaining, at=datetime.now(UTC))
    normalized = carry_version(pa.concat_tables([kept, fresh]), validated_products)
    branded = normalized.num_rows - normalized["brand"].null_count
    yield dg.Output(
        normalized,
        metadata={
            "dagster/row_count": normalized.num_rows,
            "normalized_anew": fresh.num_rows,
            "normalized_version": NORMALIZATION_VERSION,
            "brand_coverage": branded / max(1, normalized.num_rows),
            "sample": sample_table(
                normalized, ["title", "brand", "gender", "article_type", "colour", "season"]
            ),
        },
    )
    for criterion in NORMALIZED:
        yield check_result(criterion.judge(NormalizedBatch(validated_products, normalized)), criterion.asset)
