"""Criteria of one batch: what must hold before the next stage may use a stage's tables.

What belongs here: pure functions over Arrow tables. What does not: anything about a whole release (`candidate`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.catalog.attributes import READ
from fashion_assets.catalog.normalization import FIELDS
from fashion_assets.catalog.ontology.calibration import LEAST
from fashion_assets.catalog.vectors import BROUGHT_SCHEMA
from fashion_assets.criteria import stories
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable
from fashion_assets.embedding.embed import vector_matrix
from fashion_assets.embedding.spaces import EmbeddingSpace

REJECTION_RATE_IS_BEARABLE = "rejection_rate_is_bearable"
"""Name of the criterion: it is accepted by this name where so many bad listings are known of."""

MAX_UNIT_LENGTH_ERROR = 1e-3
"""How far a float32 vector's length may be from 1."""


@dataclass(frozen=True)
class RawBatch:
    """The references the register gave and the listings the source read for them."""

    references: pa.Table
    listings: pa.Table


class Judged(NamedTuple):
    """So many listings, and so many of them that were rejected."""

    listings: int
    rejected: int

    @property
    def rate(self) -> float:
        return self.rejected / self.listings if self.listings else 0.0

    def __str__(self) -> str:
        return f"{self.rejected:,} of {self.listings:,}"


NOTHING_JUDGED = Judged(0, 0)


@dataclass(frozen=True)
class ValidatedBatch:
    """A batch's listings and what became of them. Beside it, looked at only where its own rate is above the limit: what became
    of its source's other batches so far, and which of its listings (`listing_key`) were products when it last went through.
    """

    listings: pa.Table
    products: pa.Table
    rejections: pa.Table
    max_rejection_rate: float
    min_listings_for_a_rate: int = 20
    elsewhere: Judged = NOTHING_JUDGED
    products_before: pa.ChunkedArray = field(default_factory=lambda: pa.chunked_array([], pa.string()))

    @property
    def own(self) -> Judged:
        """What became of this batch."""
        return Judged(self.products.num_rows + self.rejections.num_rows, self.rejections.num_rows)

    @property
    def of_source(self) -> Judged:
        """What became of the source's batches so far, this one included."""
        return Judged(*(own + other for own, other in zip(self.own, self.elsewhere, strict=True)))

    @property
    def of_products(self) -> Judged:
        """What became of its listings that were products before."""
        before = self.products_before.combine_chunks()
        still, no_more = (
            pc.sum(pc.is_in(table["listing_key"], value_set=before)).as_py() or 0
            for table in (self.products, self.rejections)
        )
        return Judged(still + no_more, no_more)

    @property
    def is_above_the_limit(self) -> bool:
        """Whether by itself more is rejected than may be, of enough listings for a rate."""
        return self.own.listings >= self.min_listings_for_a_rate and self.own.rate > self.max_rejection_rate


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


@dataclass(frozen=True)
class EmbeddedBatch:
    """Products that can have a vector and, by `product_id`, those they have; `failures` says why a product has none and is in
    quarantine instead. Of several (`served` says which) one is searched. `brought`: the vectors that came and can be ones
    (`catalog.vectors.BROUGHT_SCHEMA`)."""

    products: pa.Table
    embeddings: pa.Table
    space: EmbeddingSpace
    failures: Mapping[str, str] = field(default_factory=dict)
    max_failure_rate: float = 1.0
    min_products_for_a_rate: int = 20
    brought: pa.Table = field(default_factory=BROUGHT_SCHEMA.empty_table)

    @property
    def made(self) -> pa.Table:
        """The vectors this model made."""
        own = pc.equal(self.embeddings["space"], self.space.name)
        ids = self.brought["product_id"].combine_chunks()
        return self.embeddings.filter(pc.and_not(own, pc.is_in(self.embeddings["product_id"], value_set=ids)))


@dataclass(frozen=True)
class RowsBatch:
    """A batch of a declared table's rows and what became of them."""

    raw: pa.Table
    rows: pa.Table
    rejections: pa.Table


def _missing(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> list[str]:
    return expected.filter(pc.invert(pc.is_in(expected, value_set=found.combine_chunks()))).to_pylist()


def _every_reference_is_read(batch: RawBatch) -> Finding:
    missing = _missing(batch.references["listing_key"], batch.listings["listing_key"])
    return holds(
        not missing and batch.references.num_rows == batch.listings.num_rows, batch.listings.num_rows, missing
    )


def _records_are_json(batch: RawBatch) -> Finding:
    offenders = []
    for key, record in zip(
        batch.listings["listing_key"].to_pylist(), batch.listings["record"].to_pylist(), strict=True
    ):
        try:
            whole = isinstance(json.loads(record), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            offenders.append(key)
    return holds(not offenders, len(offenders), offenders)


def _listings_are_accounted_for(batch: ValidatedBatch) -> Finding:
    return _accounted_for(batch.listings, batch.products, batch.rejections)


def _rows_are_accounted_for(batch: RowsBatch) -> Finding:
    return _accounted_for(batch.raw, batch.rows, batch.rejections)


def _accounted_for(given: pa.Table, kept: pa.Table, rejections: pa.Table) -> Finding:
    """Whether all that is given, by its `listing_key`, was either kept or rejected, and once."""
    keys = pa.concat_arrays(
        [*kept["listing_key"].chunks, *rejections["listing_key"].chunks, pa.array([], pa.string())]
    )
    lost = _missing(given["listing_key"], pa.chunked_array([keys]))
    balanced = given.num_rows == len(keys) == len(keys.unique())
    said = f"{given.num_rows} = {kept.num_rows} + {rejections.num_rows}"
    return holds(balanced and not lost, said, lost)


def _rejection_rate_is_bearable(batch: ValidatedBatch) -> Finding:
    """New bad lines beside many good ones are in quarantine, and no reason to release nothing. Where the source as a whole is
    bad, or products went bad, something is at fault that a person should see."""
    listings = batch.own.listings
    if listings < batch.min_listings_for_a_rate:
        return not_applicable(
            f"{listings} listings are too few for a rate (at least {batch.min_listings_for_a_rate})"
        )
    reasons = pc.value_counts(pc.list_flatten(batch.rejections["reasons"])).to_pylist()  # type: ignore[attr-defined]
    worst = sorted(reasons, key=lambda row: -row["counts"])
    offenders = [f"{row['values']}: {row['counts']}" for row in worst]
    if not batch.is_above_the_limit:
        return holds(True, round(batch.own.rate, 4), offenders)
    source, products = batch.of_source, batch.of_products
    bearable = max(source.rate, products.rate) <= batch.max_rejection_rate
    figures = (
        f"rejected are {batch.own} listings of this batch, {source} of its source's so far, and {products} of those in this "
        "batch that were products before"
    )
    if not bearable:
        told = [
            f"{row['values']} ({row['counts']:,}{_for_example(batch, row['values'])})" for row in worst[:3]
        ]
        figures += f"; above all for {', '.join(told)}"
    how = "" if bearable else "; where that is known and meant: fashion-assets run --accept-rejections"
    return holds(bearable, round(batch.own.rate, 4), offenders, figures + how)


def _for_example(batch: ValidatedBatch, reason: str) -> str:
    """The id of a listing that was rejected for this reason, in words."""
    ids = zip(
        batch.rejections["external_id"].to_pylist(), batch.rejections["reasons"].to_pylist(), strict=True
    )
    named = next((identity for identity, reasons in ids if identity and reason in reasons), None)
    return "" if named is None else f", for example {named}"


def _rejections_have_reasons(batch: ValidatedBatch) -> Finding:
    return _reasons_given(batch.rejections)


def _rejected_rows_have_reasons(batch: RowsBatch) -> Finding:
    return _reasons_given(batch.rejections)


def _reasons_given(rejections: pa.Table) -> Finding:
    silent = rejections.filter(pc.equal(pc.list_value_length(rejections["reasons"]), 0))
    return holds(silent.num_rows == 0, silent.num_rows, silent["listing_key"].to_pylist())


def _every_product_is_normalized(batch: NormalizedBatch) -> Finding:
    missing = _missing(batch.products["product_id"], batch.normalized["product_id"])
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
    missing = _missing(batch.products["product_id"], batch.properties["product_id"])
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


def _every_product_has_a_vector(batch: EmbeddedBatch) -> Finding:
    embeddings = batch.embeddings
    if "served" in embeddings.column_names:
        embeddings = embeddings.filter(embeddings["served"])
    missing = _missing(batch.products["product_id"], embeddings["product_id"])
    failed = len(batch.failures)
    # So many at once are a fault of the place the pictures lie in, not of single listings.
    bearable = (
        batch.products.num_rows < batch.min_products_for_a_rate
        or failed <= batch.max_failure_rate * batch.products.num_rows
    )
    return holds(
        bearable
        and set(missing) == set(batch.failures)
        and batch.products.num_rows == embeddings.num_rows + failed,
        embeddings.num_rows,
        [f"{key}: {batch.failures[key]}" if key in batch.failures else key for key in missing],
        f"{failed} of {batch.products.num_rows} products got no vector and are in quarantine; "
        f"{next(iter(batch.failures.values()))}"
        if batch.failures
        else "",
    )


def _vectors_fit_their_space(batch: EmbeddedBatch) -> Finding:
    own = batch.made
    if own.num_rows == 0:
        return not_applicable(
            "no vector of this batch was made by this model (all were preserved, or it is empty)"
        )
    lengths = pc.list_value_length(own["vector"])
    offenders = own["product_id"].filter(pc.not_equal(lengths, batch.space.dimension)).to_pylist()
    return holds(not offenders, pc.unique(lengths).to_pylist(), offenders)


def _vectors_are_of_unit_length(batch: EmbeddedBatch) -> Finding:
    if batch.embeddings.num_rows == 0:
        return not_applicable("the batch has no products")
    own = batch.made
    if own.num_rows == 0:
        return not_applicable("preserved vectors keep the length they came with")
    error = np.abs(np.linalg.norm(vector_matrix(own["vector"]), axis=1) - 1)
    # Not `error > limit`: a NaN must offend.
    offenders = own["product_id"].filter(pa.array(~(error <= MAX_UNIT_LENGTH_ERROR)))
    return holds(len(offenders) == 0, float(error.max()), offenders.to_pylist())


def _vectors_that_came_are_kept(batch: EmbeddedBatch) -> Finding:
    if not batch.brought.num_rows:
        return not_applicable("no vector came with a product of this batch")
    keys = [
        pc.binary_join_element_wise(*(table[name] for name in ("product_id", "space", "kind")), "\0")
        for table in (batch.brought, batch.embeddings)
    ]
    places = pc.index_in(keys[0], value_set=keys[1].combine_chunks())
    offenders = batch.brought["product_id"].filter(pc.is_null(places)).to_pylist()
    came = batch.brought.filter(pc.is_valid(places))
    kept = batch.embeddings.take(pc.drop_null(places))
    lengths = [np.asarray(pc.list_value_length(table["vector"])) for table in (came, kept)]
    changed = lengths[0] != lengths[1]
    same = pa.array(~changed)
    # As bits: NaN is no NaN's equal, and the two zeros are each other's.
    bits = [
        np.asarray(pc.list_flatten(table.filter(same)["vector"]), np.float32).view(np.uint32)
        for table in (came, kept)
    ]
    owners = np.repeat(np.flatnonzero(~changed), lengths[0][~changed])
    changed[owners[bits[0] != bits[1]]] = True
    offenders += came["product_id"].filter(pa.array(changed)).to_pylist()
    return holds(
        not offenders, f"{batch.brought.num_rows - len(offenders)} of {batch.brought.num_rows}", offenders
    )


_EMBED_AGAIN = (
    "The vectors of this batch were not made as its space has them. Run the batch again: fashion-assets run. If it fails "
    "again, the model named by FASHION_ASSETS_MODEL does not do what it says."
)


def _embedding_criteria(asset: str, covering: str) -> list[Criterion[EmbeddedBatch]]:
    return [
        Criterion(
            f"{asset}_cover_every_product",
            "B7",
            "Every product of the batch that can have a vector has one that is searched, or is in quarantine because its picture failed",
            covering,
            asset,
            _every_product_has_a_vector,
            "So many pictures at once are a fault of the place they lie in: see that it is there and can be read, then "
            "fashion-assets run. Products without a reason beside them were lost: run the batch again.",
        ),
        Criterion(
            f"{asset}_fit_their_space",
            "B1",
            "Vectors have the dimension of their space",
            "all",
            asset,
            _vectors_fit_their_space,
            _EMBED_AGAIN,
        ),
        Criterion(
            f"{asset}_are_of_unit_length",
            "B7",
            "Vectors are finite and of length 1",
            f"|length - 1| <= {MAX_UNIT_LENGTH_ERROR}",
            asset,
            _vectors_are_of_unit_length,
            _EMBED_AGAIN,
        ),
    ]


_RUN_AGAIN = "Rows were lost or changed on the way. Run the batch again: fashion-assets run, or materialise its partition."

RAW: list[Criterion[RawBatch]] = [
    Criterion(
        "every_reference_is_read",
        "A1",
        "Every listing the register assigned to the batch was read",
        "none missing",
        "raw_listings",
        _every_reference_is_read,
        "The source changed while it was read. Run again: fashion-assets run reads it anew.",
    ),
    Criterion(
        "records_are_whole_json",
        "A1",
        "The original record is kept whole, as a JSON object",
        "all",
        "raw_listings",
        _records_are_json,
        "The source's reader is at fault, not the listing: its records must be JSON objects.",
    ),
]
VALIDATED: list[Criterion[ValidatedBatch]] = [
    Criterion(
        "listings_are_products_or_quarantined",
        "A2",
        "Listings in = products + quarantined",
        "exactly",
        "validated_products",
        _listings_are_accounted_for,
        _RUN_AGAIN,
    ),
    Criterion(
        REJECTION_RATE_IS_BEARABLE,
        "A2",
        "The share of rejected listings is below the limit: in the batch, or else in its source so far and among those of the "
        "batch that were products before",
        "at most {max_rejection_rate:.0%}",
        "validated_products",
        _rejection_rate_is_bearable,
        "Look at the reasons: fashion-assets quarantine. So many at once are mostly one fault: pictures not where they were, "
        "a column renamed, another encoding. Mend the source and run again; or, where so many are known to be bad, let them "
        "be: fashion-assets run --accept-rejections, or accept_rejections in the config of validation.",
        acceptable=True,
    ),
]
QUARANTINED: list[Criterion[ValidatedBatch]] = [
    Criterion(
        "rejections_have_reasons",
        "A2",
        "Every quarantined listing says why",
        "all",
        "quarantined_listings",
        _rejections_have_reasons,
        _RUN_AGAIN,
    ),
]
NORMALIZED: list[Criterion[NormalizedBatch]] = [
    Criterion(
        "every_product_is_normalized",
        "E1",
        "No product is lost on the way to canonical values",
        "none missing",
        "normalized_attributes",
        _every_product_is_normalized,
        _RUN_AGAIN,
    ),
    Criterion(
        "originals_are_untouched",
        "E1",
        "The original record is what it was",
        "all",
        "normalized_attributes",
        _originals_are_untouched,
        _RUN_AGAIN,
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
        _RUN_AGAIN,
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
_FEW_FAILED = "none missing, and failed at most {max_rejection_rate:.0%}"
PROPERTIES: list[Criterion[FilledBatch]] = [
    Criterion(
        "every_product_is_read",
        "B2",
        "What a product's record does not state was looked for in its words",
        "none missing",
        "properties",
        _every_product_is_read,
        _RUN_AGAIN,
    ),
    Criterion(
        "stated_values_win",
        "B2",
        "No attribute that a record states was read from words or a picture",
        "none",
        "properties",
        _stated_values_win,
        _RUN_AGAIN,
    ),
    Criterion(
        "what_is_filled_says_where_from",
        "B2",
        "Every value that was read has its origin and its confidence",
        "all",
        "properties",
        _what_is_filled_says_where_from,
        _RUN_AGAIN,
    ),
]
IMAGE_EMBEDDINGS = _embedding_criteria("image_embeddings", _FEW_FAILED)
TEXT_EMBEDDINGS = _embedding_criteria("text_embeddings", _FEW_FAILED)
# Those that failed were judged with their pictures.
PRODUCT_EMBEDDINGS: list[Criterion[EmbeddedBatch]] = [
    *_embedding_criteria("product_embeddings", "none missing"),
    Criterion(
        "vectors_that_came_are_kept",
        "D3",
        "Vectors that came with products are what they were, bit for bit, but for those that can be none",
        "all",
        "product_embeddings",
        _vectors_that_came_are_kept,
        _RUN_AGAIN,
    ),
]

RAW_ROWS: list[Criterion[RawBatch]] = [
    Criterion(
        "every_row_is_read",
        "A1",
        "Every row the register assigned to the batch was read",
        "none missing",
        "raw_rows",
        _every_reference_is_read,
        "The source changed while it was read. Run again: fashion-assets run reads it anew.",
    ),
]
VALIDATED_ROWS: list[Criterion[RowsBatch]] = [
    Criterion(
        "rows_are_kept_or_quarantined",
        "A2",
        "Rows in = rows that are sound + quarantined",
        "exactly",
        "validated_rows",
        _rows_are_accounted_for,
        _RUN_AGAIN,
    ),
]
QUARANTINED_ROWS: list[Criterion[RowsBatch]] = [
    Criterion(
        "rejected_rows_have_reasons",
        "A2",
        "Every quarantined row says why",
        "all",
        "quarantined_rows",
        _rejected_rows_have_reasons,
        _RUN_AGAIN,
    ),
]

BATCH_CRITERIA: list[Criterion] = [
    *RAW,
    *VALIDATED,
    *QUARANTINED,
    *NORMALIZED,
    *PROPERTIES,
    *IMAGE_EMBEDDINGS,
    *TEXT_EMBEDDINGS,
    *PRODUCT_EMBEDDINGS,
    *RAW_ROWS,
    *VALIDATED_ROWS,
    *QUARANTINED_ROWS,
]
