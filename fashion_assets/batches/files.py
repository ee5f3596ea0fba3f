"""The files of a batch: which there are, what is in them, and what their footers say.

What belongs here: each file's name, shape and criteria, once; the metadata it is marked with; reading footers. What does not:
making the files (`listings`, `properties`, `vectors`), and which of them are good for anything now (`plan`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from fashion_assets.catalog.listing import (
    LISTING_SCHEMA,
    NORMALIZED_SCHEMA,
    PRODUCT_SCHEMA,
    PROPERTIES_SCHEMA,
    REJECTION_SCHEMA,
)
from fashion_assets.criteria import canonical, listings, vectors
from fashion_assets.criteria.verdict import Criterion
from fashion_assets.embedding.joining import PRODUCT_VECTORS
from fashion_assets.errors import FashionAssetsError
from fashion_assets.sources.source import TABLE_ROW_SCHEMA
from fashion_assets.warehouse.batch_files import Held
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


RAW_LISTINGS = File("raw_listings", LISTING_SCHEMA, listings.RAW)
VALIDATED_PRODUCTS = File("validated_products", PRODUCT_SCHEMA, listings.VALIDATED)
QUARANTINED_LISTINGS = File("quarantined_listings", REJECTION_SCHEMA, listings.QUARANTINED, is_loaded=True)
NORMALIZED_ATTRIBUTES = File("normalized_attributes", NORMALIZED_SCHEMA, canonical.NORMALIZED, is_loaded=True)
IMAGE_EMBEDDINGS = File("image_embeddings", CONTENT_VECTORS, vectors.IMAGE_EMBEDDINGS)
TEXT_EMBEDDINGS = File("text_embeddings", CONTENT_VECTORS, vectors.TEXT_EMBEDDINGS)
PROPERTIES = File("properties", PROPERTIES_SCHEMA, canonical.PROPERTIES, is_loaded=True)
PRODUCT_EMBEDDINGS = File("product_embeddings", PRODUCT_VECTORS, vectors.PRODUCT_EMBEDDINGS, is_loaded=True)

RAW_ROWS = File("raw_rows", TABLE_ROW_SCHEMA, listings.RAW_ROWS)
VALIDATED_ROWS = File("validated_rows", TABLE_ROW_SCHEMA, listings.VALIDATED_ROWS, is_loaded=True)
QUARANTINED_ROWS = File("quarantined_rows", REJECTION_SCHEMA, listings.QUARANTINED_ROWS, is_loaded=True)


class Files(NamedTuple):
    """The files of one kind of batch."""

    files: tuple[File, ...]
    """In the order they are written. A run writes the first before anything else, so that a later attempt that stopped half-way
    is seen even when the batch went back to what it was."""
    passed: File
    rejected: File
    vectors: File | None = None
    """The file that says which rows that passed are in quarantine since they have no vector."""

    @property
    def first(self) -> File:
        return self.files[0]

    @property
    def marked(self) -> tuple[File, ...]:
        """Those that must say they were made of the wanted version: what a release is made of, and the first."""
        return (self.first, *(file for file in self.files[1:] if file.is_loaded))


OF_LISTINGS = Files(
    (
        RAW_LISTINGS,
        VALIDATED_PRODUCTS,
        QUARANTINED_LISTINGS,
        NORMALIZED_ATTRIBUTES,
        IMAGE_EMBEDDINGS,
        PROPERTIES,
        TEXT_EMBEDDINGS,
        PRODUCT_EMBEDDINGS,
    ),
    passed=NORMALIZED_ATTRIBUTES,
    rejected=QUARANTINED_LISTINGS,
    vectors=PRODUCT_EMBEDDINGS,
)
"""The files of a batch of listings."""

OF_ROWS = Files((RAW_ROWS, VALIDATED_ROWS, QUARANTINED_ROWS), VALIDATED_ROWS, QUARANTINED_ROWS)
"""The files of a batch of a declared table's rows."""


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


def look_of(looks: Sequence[str | None]) -> str:
    """How all files of a batch look from outside (`ParquetStore.looks`, in their order); empty where one is missing."""
    if not all(looks):
        return ""
    return hashlib.blake2b("\0".join(map(str, looks)).encode(), digest_size=16).hexdigest()


def looks_of(store: ParquetStore, files: Files) -> dict[str, str]:
    """How the files of each batch look that has all of them, by its name. One listing for each file, whatever the batches."""
    looks = [store.looks(file.name) for file in files.files]
    whole = set(looks[0]).intersection(*looks[1:])
    return {name: look_of([each[name] for each in looks]) for name in whole}


def held_by(store: ParquetStore, files: Files, batch: str) -> Held:
    """What the footers of a batch's files say, and how the files look. Reads no rows."""
    # Looked at first: what is written meanwhile looks otherwise than what was read, so that it is read again.
    look = look_of([store.look(file.name, batch) for file in files.files])
    return said_by(store, files, batch, look) if look else Held()


def said_by(store: ParquetStore, files: Files, batch: str, look: str) -> Held:
    """What the footers of a batch's files say that look so. Reads no rows."""
    footers = {file.name: store.footer(file.name, batch) for file in (*files.marked, files.passed)}
    versions = {
        None if footer is None else footer.metadata.get(BATCH_VERSION.decode()) for footer in footers.values()
    }
    passed, rejected = footers[files.passed.name], footers[files.rejected.name]
    last = passed if files.vectors is None else footers[files.vectors.name]
    if len(versions) > 1 or passed is None or rejected is None or last is None:
        return Held(look)
    lacking = last.metadata.get(WITHOUT_VECTOR.decode(), "")
    quarantined = rejected.rows + len(json.loads(lacking or "{}"))
    return Held(look, versions.pop(), passed.rows, quarantined, lacking)


class Damaged(FashionAssetsError):
    """A batch's file is not what it was said to be; the next run makes the batch again."""

    shared = False


def read_whole(store: ParquetStore, file: File, batch: str, version: str) -> pa.Table:
    """A batch's file that was said to be whole, and of this version. Raises `Damaged`; then the file is gone, or its batch is
    seen to be stale."""
    try:
        table = store.read(file.name, batch)
    except FileNotFoundError as error:
        raise Damaged(f"{_file(file, batch)} is gone. {_AGAIN}") from error
    except (OSError, pa.ArrowInvalid) as error:
        # Arrow's own errors of what cannot be decompressed; what a disk or a network refuses has a number, or a class of its own.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        store.delete(file.name, batch)
        raise Damaged(
            f"{_file(file, batch)} was damaged ({' '.join(str(error).split())[:200]}), and was taken away. {_AGAIN}"
        ) from error
    if (table.schema.metadata or {}).get(BATCH_VERSION) != version.encode():
        raise Damaged(f"{_file(file, batch)} was of another day than the database. {_AGAIN}")
    return table


_AGAIN = "Nothing is lost: run again (fashion-assets run), which makes the batch anew."


def _file(file: File, batch: str) -> str:
    return f"The file {file.name} of batch {batch}"


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
