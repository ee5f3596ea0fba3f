"""From a batch's references to canonical products: what the first stages make.

What belongs here: reading, judging and normalizing a batch, keeping of an earlier run what still holds. What does not: how
each is done for a listing (`sources`, `catalog`), and what the UI is shown of it (`defs.catalog`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.batches.files import (
    BATCH_VERSION,
    NORMALIZED_ATTRIBUTES,
    QUARANTINED_LISTINGS,
    RAW_LISTINGS,
    VALIDATED_PRODUCTS,
    carry_version,
    judged,
    previous,
    previous_column,
)
from fashion_assets.batches.stage import Given, Made, Opening, Tables, Work
from fashion_assets.catalog.formats.outlines import Picture
from fashion_assets.catalog.normalization import normalize, reuse_normalized
from fashion_assets.catalog.pictures import Limits
from fashion_assets.catalog.rules import Rules
from fashion_assets.catalog.stated import unknown_values
from fashion_assets.catalog.validation import Validated, reuse, validate
from fashion_assets.criteria.canonical import NormalizedBatch
from fashion_assets.criteria.listings import Judged, RawBatch, ValidatedBatch
from fashion_assets.warehouse.register import batches


def read(work: Work, version: str) -> Made:
    """The batch's listings as the source has them, marked with this version of the batch."""
    listings = pa.concat_tables(work.compute.rows(_read, work.references, work.opening))
    unreadable = pc.sum(pc.greater(pc.list_value_length(listings["defects"]), 0)).as_py() or 0
    return Made(
        {RAW_LISTINGS.name: listings.replace_schema_metadata({BATCH_VERSION: version.encode()})},
        {"batch_version": version, "unreadable": unreadable},
    )


def _read(references: pa.Table, opening: Opening) -> pa.Table:
    return opening.source.read(references)


def read_batch(work: Work, tables: Tables) -> RawBatch:
    """What the criteria of `read` judge."""
    return RawBatch(work.references, tables[RAW_LISTINGS.name])


def rules(given: Given) -> Rules:
    """What a source's listings are held to."""
    if given.source is None:
        return Rules.from_settings(given.settings)
    return Rules.from_settings(given.settings, given.source.profile, given.source.version)


def judge(work: Work, tables: Tables) -> Made:
    """Products and rejections of the batch; quarantine in the database is as they say."""
    listings = tables[RAW_LISTINGS.name]
    held_to = rules(Given(work.settings, "", work.source))
    kept = reuse(
        listings,
        previous(work.store, VALIDATED_PRODUCTS, work.name),
        previous(work.store, QUARANTINED_LISTINGS, work.name),
        held_to.version,
    )
    made = work.compute.rows(
        _validated, kept.to_validate, held_to, work.opening, work.compute.threads, work.sizes
    )
    products = pa.concat_tables([kept.products, *(each.products for each in made)])
    rejections = pa.concat_tables([kept.rejections, *(each.rejections for each in made)])
    work.reject(rejections)
    return Made(
        {
            VALIDATED_PRODUCTS.name: carry_version(products, listings),
            QUARANTINED_LISTINGS.name: carry_version(rejections, listings),
        },
        {
            "validated_anew": kept.to_validate.num_rows,
            "kept_from_before": kept.products.num_rows + kept.rejections.num_rows,
            "rejection_rate": rejections.num_rows / max(1, listings.num_rows),
            "rules": held_to.version,
            "without_picture": products["image_uri"].null_count,
            "stated_as_unknown": unknown_values(listings, work.source.profile),
        },
    )


def _validated(
    listings: pa.Table, held_to: Rules, opening: Opening, threads: int, sizes: Mapping[str, Picture]
) -> Validated:
    return validate(
        listings,
        held_to,
        pictures_in=opening.source.picture_folders,
        threads=threads,
        memory=Limits.from_settings(opening.settings).memory,
        sizes=sizes,
    )


def judged_batch(work: Work, tables: Tables) -> ValidatedBatch:
    """What the criteria of `judge` judge."""
    subject = ValidatedBatch(
        tables[RAW_LISTINGS.name],
        tables[VALIDATED_PRODUCTS.name],
        tables[QUARANTINED_LISTINGS.name],
        work.settings.max_rejection_rate,
        work.settings.min_listings_for_a_rate,
    )
    if not subject.is_above_the_limit:
        return subject
    with work.connect() as conn:
        others = [each.name for each in batches(conn, work.entry.name) if each.name != work.name]
    return replace(
        subject,
        elsewhere=Judged(*judged(work.store, others)),
        # Of the next stage, which a batch that stopped here never reached.
        products_before=previous_column(work.store, NORMALIZED_ATTRIBUTES, work.name, "listing_key"),
    )


def canonical(work: Work, tables: Tables) -> Made:
    """The batch's products in canonical values."""
    products = tables[VALIDATED_PRODUCTS.name]
    kept, remaining = reuse_normalized(products, previous(work.store, NORMALIZED_ATTRIBUTES, work.name))
    fresh = pa.concat_tables(work.compute.rows(_canonical, remaining, datetime.now(UTC)))
    normalized = pa.concat_tables([kept, fresh])
    if work.source.stories:
        from fashion_assets.catalog.stories.writing import (
            PlainWriter,
            with_stories,
        )  # here: few sources have any told

        normalized = with_stories(normalized, PlainWriter())
        if work.settings.story_endpoint is not None:
            from fashion_assets.batches.written import with_written  # here: few have a model write

            normalized = with_written(normalized, work.settings)
    normalized = carry_version(normalized, products)
    branded = normalized.num_rows - normalized["brand"].null_count
    return Made(
        {NORMALIZED_ATTRIBUTES.name: normalized},
        {"normalized_anew": fresh.num_rows, "brand_coverage": branded / max(1, normalized.num_rows)},
    )


def _canonical(products: pa.Table, at: datetime) -> pa.Table:
    return normalize(products, at=at)


def canonical_batch(work: Work, tables: Tables) -> NormalizedBatch:
    """What the criteria of `canonical` judge."""
    return NormalizedBatch(
        tables[VALIDATED_PRODUCTS.name], tables[NORMALIZED_ATTRIBUTES.name], work.source.stories
    )
