"""The criteria of one batch measured again, from the files its stages left.

What belongs here: finding a batch's files and giving each criterion what it judges. What does not: the criteria
(`criteria.batch`), and making or mending a batch.
"""

from collections.abc import Iterator, Sequence

import psycopg

from fashion_assets.criteria.batch import (
    IMAGE_EMBEDDINGS,
    NORMALIZED,
    PRODUCT_EMBEDDINGS,
    QUARANTINED,
    RAW,
    TEXT_EMBEDDINGS,
    VALIDATED,
    EmbeddedBatch,
    Judged,
    NormalizedBatch,
    RawBatch,
    ValidatedBatch,
)
from fashion_assets.criteria.verdict import Criterion, Subject, Verdict
from fashion_assets.embedding.embed import without_own_vector
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.errors import FashionAssetsError
from fashion_assets.release.plan import judged, why_without_vector, without_vector
from fashion_assets.settings import Settings
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import batch_and_source, batches, references

STAGES = (
    "raw_listings",
    "validated_products",
    "quarantined_listings",
    "normalized_attributes",
    "image_embeddings",
    "text_embeddings",
    "product_embeddings",
)
"""The stages with a file for each batch."""


class NotRun(FashionAssetsError):
    """A stage of a batch has left no file; the message says which."""

    shared = False


def recheck(
    conn: psycopg.Connection, settings: Settings, space: EmbeddingSpace, name: str
) -> Iterator[tuple[Criterion, Verdict]]:
    """Every criterion of a batch with the verdict on what its files hold now, whatever a person accepted when it ran.

    Raises `UnknownBatch` for a name no scan has given, `NotRun` where a stage never was through.
    """
    batch, entry = batch_and_source(conn, name)
    store = ParquetStore(settings.assets_url)
    lacking = [stage for stage in STAGES if store.footer(stage, batch.name) is None]
    if lacking:
        raise NotRun(
            f"batch {name} has no file of {', '.join(lacking)}: its run never got there. Launch migrate_batch for it first."
        )
    raw, products, rejections, normalized, images, texts, combined = (
        store.read(stage, batch.name) for stage in STAGES
    )
    own = without_own_vector(products)
    limits = settings.max_rejection_rate, settings.min_listings_for_a_rate
    others = [each.name for each in batches(conn, entry.name) if each.name != batch.name]
    validated = ValidatedBatch(raw, products, rejections, *limits, Judged(*judged(store, others)))
    yield from _judged(RAW, RawBatch(references(conn, batch.name), raw), settings)
    yield from _judged([*VALIDATED, *QUARANTINED], validated, settings)
    yield from _judged(NORMALIZED, NormalizedBatch(products, normalized), settings)
    for criteria, vectors in ((IMAGE_EMBEDDINGS, images), (TEXT_EMBEDDINGS, texts)):
        embedded = EmbeddedBatch(own, vectors, space, why_without_vector(without_vector(vectors)), *limits)
        yield from _judged(criteria, embedded, settings)
    embedded = EmbeddedBatch(products, combined, space, why_without_vector(without_vector(combined)))
    yield from _judged(PRODUCT_EMBEDDINGS, embedded, settings)


def _judged(
    criteria: Sequence[Criterion[Subject]], subject: Subject, settings: Settings
) -> Iterator[tuple[Criterion, Verdict]]:
    for criterion in criteria:
        yield criterion, criterion.judge(subject, settings)
