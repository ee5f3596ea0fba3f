"""Criteria of a batch's listings, or a declared table's rows: all were read, and each was kept or rejected with its reasons.

What belongs here: pure functions over Arrow tables, up to the verdict on each listing. What does not: their canonical values
(`canonical`), their vectors (`vectors`), anything about a whole release (`candidate`).
"""

# pyarrow.compute makes its functions when it is imported, out of pyright's sight.
# pyright: reportAttributeAccessIssue=false

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fashion_assets.arrow import counted
from fashion_assets.criteria.verdict import Criterion, Finding, holds, not_applicable

REJECTION_RATE_IS_BEARABLE = "rejection_rate_is_bearable"
"""Name of the criterion: it is accepted by this name where so many bad listings are known of."""


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
class RowsBatch:
    """A batch of a declared table's rows and what became of them."""

    raw: pa.Table
    rows: pa.Table
    rejections: pa.Table


def not_among(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> list[str]:
    """Those expected that were not found."""
    return expected.filter(pc.invert(pc.is_in(expected, value_set=found.combine_chunks()))).to_pylist()


def _every_reference_is_read(batch: RawBatch) -> Finding:
    missing = not_among(batch.references["listing_key"], batch.listings["listing_key"])
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
    lost = not_among(given["listing_key"], pa.chunked_array([keys]))
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
    worst = counted(batch.rejections["reasons"])
    offenders = [f"{reason}: {count}" for reason, count in worst]
    if not batch.is_above_the_limit:
        return holds(True, round(batch.own.rate, 4), offenders)
    source, products = batch.of_source, batch.of_products
    bearable = max(source.rate, products.rate) <= batch.max_rejection_rate
    figures = (
        f"rejected are {batch.own} listings of this batch, {source} of its source's so far, and {products} of those in this "
        "batch that were products before"
    )
    if not bearable:
        told = [f"{reason} ({count:,}{_for_example(batch, reason)})" for reason, count in worst[:3]]
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


RUN_AGAIN = "Rows were lost or changed on the way. Run the batch again: fashion-assets run, or materialise its partition."

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
        RUN_AGAIN,
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
        RUN_AGAIN,
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
        RUN_AGAIN,
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
        RUN_AGAIN,
    ),
]
