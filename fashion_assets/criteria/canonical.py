"""Criteria of a batch's canonical values, and of what was read of words and pictures: none lost, originals untouched, origins told.

What belongs here: pure functions over Arrow tables. What does not: how values are found (`catalog.normalization`, `catalog.ontology`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import functools
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.attributes import READ
from fashion_assets.catalog.normalization import FIELDS
from fashion_assets.catalog.ontology.calibration import LEAST
from fashion_assets.criteria import stories
from fashion_assets.criteria.listings import RUN_AGAIN, not_among
from fashion_assets.criteria.verdict import Criterion, Finding, holds


@dataclass(frozen=True)
class NormalizedBatch:
    """`stories`: whether the batch's source has one told of each product."""

    products: pa.Table
    normalized: pa.Table
    stories: bool = False


@dataclass(frozen=True)
class FilledBatch:
    """Canonical products, and what was read of their words and pictures (PROPERTIES_SCHEMA)."""

    products: pa.Table
    properties: pa.Table


def _every_product_is_normalized(batch: NormalizedBatch) -> Finding:
    missing = not_among(batch.products["product_id"], batch.normalized["product_id"])
    return holds(
        not missing and batch.products.num_rows == batch.normalized.num_rows,
        batch.normalized.num_rows,
        missing,
    )


def _originals_are_untouched(batch: NormalizedBatch) -> Finding:
    before = batch.products.select(["product_id", "record"]).sort_by("product_id")
    after = batch.normalized.select(["product_id", "record"]).sort_by("product_id")
    if before.num_rows != after.num_rows:
        return holds(False, abs(before.num_rows - after.num_rows), reason="rows were lost or added")
    changed = after.filter(pc.not_equal(before["record"].combine_chunks(), after["record"].combine_chunks()))
    return holds(changed.num_rows == 0, changed.num_rows, changed["product_id"].to_pylist())


def _values_are_canonical(batch: NormalizedBatch) -> Finding:
    offenders = []
    for column in FIELDS:
        values = batch.normalized[column].combine_chunks().unique().drop_null()
        offenders += [
            f"{column}={value}" for value in values.to_pylist() if value != value.strip().lower() or not value
        ]
    return holds(not offenders, len(offenders), offenders)


def _every_product_is_read(batch: FilledBatch) -> Finding:
    missing = not_among(batch.products["product_id"], batch.properties["product_id"])
    return holds(
        not missing and batch.products.num_rows == batch.properties.num_rows,
        batch.properties.num_rows,
        missing,
    )


def _stated_values_win(batch: FilledBatch) -> Finding:
    places = pc.index_in(
        batch.products["product_id"], value_set=batch.properties["product_id"].combine_chunks()
    )
    filled = batch.properties.take(places)
    offenders = [
        f"{name}: {product}"
        for name in READ
        if filled[name].null_count < filled.num_rows
        for product in batch.products["product_id"]
        .filter(pc.and_(pc.is_valid(batch.products[name]), pc.is_valid(filled[name])))
        .to_pylist()
    ]
    return holds(not offenders, len(offenders), offenders)


def _what_is_filled_says_where_from(batch: FilledBatch) -> Finding:
    told = batch.properties.filter(
        pc.or_kleene(
            pc.is_valid(batch.properties["origins"]),
            functools.reduce(pc.or_, (pc.is_valid(batch.properties[name]) for name in READ)),
        )
    )
    filled = {
        name: pc.is_valid(told[name]).to_pylist() for name in READ if told[name].null_count < told.num_rows
    }
    offenders, values = [], 0
    for row, (product, said) in enumerate(
        zip(told["product_id"].to_pylist(), told["origins"].to_pylist(), strict=True)
    ):
        origins = json.loads(said or "{}")
        values += len(origins)
        sound = all(
            each.get("origin") in ("stated", "text", "picture") and LEAST <= each.get("confidence", 0) <= 1
            for each in origins.values()
        )
        if not sound or {name for name, there in filled.items() if there[row]} != set(origins):
            offenders.append(product)
    return holds(not offenders, values, offenders)


NORMALIZED: list[Criterion[NormalizedBatch]] = [
    Criterion(
        "every_product_is_normalized",
        "E1",
        "No product is lost on the way to canonical values",
        "none missing",
        "normalized_attributes",
        _every_product_is_normalized,
        RUN_AGAIN,
    ),
    Criterion(
        "originals_are_untouched",
        "E1",
        "The original record is what it was",
        "all",
        "normalized_attributes",
        _originals_are_untouched,
        RUN_AGAIN,
    ),
    Criterion(
        "values_are_canonical",
        "E1",
        "Vocabulary columns hold trimmed lower-case values",
        "all",
        "normalized_attributes",
        _values_are_canonical,
        "A vocabulary has canonical values in capitals or with blanks around them; the offenders are these. Mend the "
        "vocabulary.",
    ),
    Criterion(
        "every_product_has_a_story",
        "D2",
        "Every product of a source that has stories told has one",
        "none missing",
        "normalized_attributes",
        stories.every_product_has_one,
        RUN_AGAIN,
    ),
    Criterion(
        "stories_say_what_records_say",
        "D2",
        "No story claims a number, brand, material, colour, kind or condition that its record lacks",
        "none",
        "normalized_attributes",
        stories.they_say_what_records_say,
        "A writer, or its phrases, say what a record does not; the offenders are these. Mend them: the stories are written again.",
    ),
]

PROPERTIES: list[Criterion[FilledBatch]] = [
    Criterion(
        "every_product_is_read",
        "B2",
        "What a product's record does not state was looked for in its words",
        "none missing",
        "properties",
        _every_product_is_read,
        RUN_AGAIN,
    ),
    Criterion(
        "stated_values_win",
        "B2",
        "No attribute that a record states was read from words or a picture",
        "none",
        "properties",
        _stated_values_win,
        RUN_AGAIN,
    ),
    Criterion(
        "what_is_filled_says_where_from",
        "B2",
        "Every value that was read has its origin and its confidence",
        "all",
        "properties",
        _what_is_filled_says_where_from,
        RUN_AGAIN,
    ),
]
