"""The files of a batch: which there are, what is in them, and what their footers say.

What belongs here: each file's name, shape and criteria, once; the metadata it is marked with; reading footers. What does not:
making the files (`listings`, `vectors`), and which of them are good for anything now (`plan`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.listing import LISTING_SCHEMA, NORMALIZED_SCHEMA, PRODUCT_SCHEMA, REJECTION_SCHEMA
from fashion_assets.criteria import batch as criteria
from fashion_assets.criteria.verdict import Criterion
from fashion_assets.embedding.joining import PRODUCT_VECTORS
from fashion_assets.warehouse.parquet import ParquetStore

BATCH_VERSION = b"batch_version"
"""Key of the Parquet metadata that says which version of a batch a file was made of."""

WITHOUT_VECTOR = b"without_vector"
"""Key of the Parquet metadata of a batch's vectors that says, as a JSON object, which products have none and why
(`WithoutVector`). Such a batch is loaded, but is not left at that: the next run judges those listings anew."""

REFUSED = b"refused_vectors"
"""Key of the Parquet metadata of a batch's vectors that says, as a JSON array, how many that came were refused and why
(`catalog.vectors.refused_counts`)."""

CONTENT_VECTORS = pa.schema(
    [
        pa.field("product_id", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("space", pa.string()),
        pa.field("vector", pa.list_(pa.float32())),
    ]
)
"""The vectors of pictures and of titles, which are found again by their content."""


class File(NamedTuple):
    """One of the files of a batch, and the asset it is of."""

    name: str
    shape: pa.Schema
    criteria: Sequence[Criterion]
    """What must hold before another stage may use it."""
    is_loaded: bool = False
    """Whether a release is made of it."""


RAW_LISTINGS = File("raw_listings", LISTING_SCHEMA, criteria.RAW)
VALIDATED_PRODUCTS = File("validated_products", PRODUCT_SCHEMA, criteria.VALIDATED)
QUARANTINED_LISTINGS = File("quarantined_listings", REJECTION_SCHEMA, criteria.QUARANTINED, is_loaded=True)
NORMALIZED_ATTRIBUTES = File("normalized_attributes", NORMALIZED_SCHEMA, criteria.NORMALIZED, is_loaded=True)
IMAGE_EMBEDDINGS = File("image_embeddings", CONTENT_VECTORS, criteria.IMAGE_EMBEDDINGS)
TEXT_EMBEDDINGS = File("text_embeddings", CONTENT_VECTORS, criteria.TEXT_EMBEDDINGS)
PRODUCT_EMBEDDINGS = File("product_embeddings", PRODUCT_VECTORS, criteria.PRODUCT_EMBEDDINGS, is_loaded=True)

FILES = (
    RAW_LISTINGS,
    VALIDATED_PRODUCTS,
    QUARANTINED_LISTINGS,
    NORMALIZED_ATTRIBUTES,
    IMAGE_EMBEDDINGS,
    TEXT_EMBEDDINGS,
    PRODUCT_EMBEDDINGS,
)
"""The files of a batch, in the order they are written. A run writes the first before anything else, so that a later attempt
that stopped half-way is seen even when the batch went back to what it was."""

MARKED = (RAW_LISTINGS, *(file for file in FILES if file.is_loaded))
"""Those that must say they were made of the wanted version: what a release is made of, and the first."""


class WithoutVector(NamedTuple):
    """Why a product has no vector: what its listing is rejected for, and the same in words."""

    reason: str
    said: str


def without_vector(embeddings: pa.Table) -> dict[str, WithoutVector]:
    """The products of a batch's vectors whose picture could not be embedded, by `product_id`, and why."""
    said = json.loads((embeddings.schema.metadata or {}).get(WITHOUT_VECTOR, b"{}"))
    return {product: WithoutVector(*why) for product, why in said.items()}


def why_without_vector(lacking: Mapping[str, WithoutVector]) -> dict[str, str]:
    """Why products have no vector, by `product_id`, as a person is told it."""
    return {product: why.said for product, why in lacking.items()}


def with_failures(table: pa.Table, failures: Mapping[str, WithoutVector]) -> pa.Table:
    """The table, its file saying which products have no vector and why."""
    said = {WITHOUT_VECTOR: json.dumps(failures).encode()} if failures else {}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


def with_refused(table: pa.Table, counts: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The table, its file saying which vectors that came were refused."""
    said = {REFUSED: json.dumps(counts).encode()} if counts else {}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **said})


def refused(embeddings: pa.Table) -> list[dict[str, Any]]:
    """Which of the vectors that came with a batch's products were refused, and why."""
    return json.loads((embeddings.schema.metadata or {}).get(REFUSED, b"[]"))


def carry_version(made: pa.Table, origin: pa.Table) -> pa.Table:
    """Pass on which version of the batch a table was made of; the file keeps it."""
    return made.replace_schema_metadata({BATCH_VERSION: (origin.schema.metadata or {})[BATCH_VERSION]})


def previous(store: ParquetStore, file: File, batch: str) -> pa.Table:
    """What the file held before it is made again; no rows where there is nothing, nothing whole, or only of an older schema."""
    try:
        table = store.read(file.name, batch)
    except (FileNotFoundError, pa.ArrowInvalid):
        return file.shape.empty_table()
    return table if table.schema.equals(file.shape) else file.shape.empty_table()


def read_columns(store: ParquetStore, file: str, batch: str, columns: list[str]) -> pa.Table | None:
    """Some columns of a batch's file; None where there is no file, or no whole one."""
    try:
        return store.read(file, batch, columns)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def previous_column(store: ParquetStore, file: File, batch: str, column: str) -> pa.ChunkedArray:
    """One column of texts of what the file holds, whatever else it holds; empty where there is none."""
    table = read_columns(store, file.name, batch, [column])
    if table is None or column not in table.column_names:
        return pa.chunked_array([], pa.string())
    return table[column]


class BatchFiles(NamedTuple):
    """What the footers of a batch's files say."""

    version: str | None = None
    """The version of the batch they were made of; None where one is missing, damaged or of another version."""
    without_vector: str = ""
    """Which products have no vector and why, as the file says it; empty where all have one."""
    quarantined: int = 0
    """Listings that were rejected, or lack a vector: so many of the batch are in quarantine."""


def batch_files(store: ParquetStore, names: Iterable[str]) -> dict[str, BatchFiles]:
    """What there is of each batch, by name. Reads no rows."""
    whole = set.intersection(*(store.batches(file.name) for file in FILES))
    return {name: _said(store, name) if name in whole else BatchFiles() for name in names}


def _said(store: ParquetStore, batch: str) -> BatchFiles:
    footers = {file.name: store.footer(file.name, batch) for file in MARKED}
    versions = {
        None if footer is None else footer.metadata.get(BATCH_VERSION.decode()) for footer in footers.values()
    }
    rejected, last = footers[QUARANTINED_LISTINGS.name], footers[PRODUCT_EMBEDDINGS.name]
    if len(versions) > 1 or rejected is None or last is None:
        return BatchFiles()
    lacking = last.metadata.get(WITHOUT_VECTOR.decode(), "")
    return BatchFiles(versions.pop(), lacking, rejected.rows + len(json.loads(lacking or "{}")))


def judged(store: ParquetStore, names: Iterable[str]) -> tuple[int, int]:
    """How many listings of these batches were judged so far, and how many of them rejected. Reads no rows."""
    listings = rejected = 0
    accepted, refused = VALIDATED_PRODUCTS.name, QUARANTINED_LISTINGS.name
    whole = store.batches(refused) & store.batches(accepted)
    for name in names:
        if name not in whole:
            continue
        footers = store.footer(accepted, name), store.footer(refused, name)
        if footers[0] is not None and footers[1] is not None:
            listings += footers[0].rows + footers[1].rows
            rejected += footers[1].rows
    return listings, rejected
