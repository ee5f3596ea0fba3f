"""What there is to do: which batches are stale, and whether a new release is due.

What belongs here: comparing what the register wants with what the files and releases hold. What does not: doing it.
"""

import hashlib
import json
from dataclasses import dataclass

import psycopg
import pyarrow as pa

from fashion_assets.catalog.normalization import NORMALIZATION_VERSION
from fashion_assets.catalog.validation import Rules
from fashion_assets.embedding.embed import TEXT_WEIGHT
from fashion_assets.embedding.spaces import EmbeddingSpace, embedding_space
from fashion_assets.settings import Settings
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch, active_sources, batches
from fashion_assets.warehouse.releases import Release

RELEASE_VERSION = "1"
"""Raise it when the serving schema's tables change: the same batches then make a new release."""

FIRST_STAGE = "raw_listings"
LAST_STAGE = "product_embeddings"
"""A batch is through when the files of both were made of the wanted version: a run writes the first before anything
else, so a later attempt that stopped half-way is seen even when the batch went back to what it was."""

BATCH_VERSION = b"batch_version"
"""Key of the Parquet metadata that says which version of a batch a file was made of."""

WITHOUT_VECTOR = b"without_vector"
"""Key of the Parquet metadata of a batch's vectors that says, as a JSON object, which products have none and why. Such a
batch is loaded, but is not left at that: the next run judges those listings anew."""


def batch_version(batch: Batch, settings: Settings, space: EmbeddingSpace) -> str:
    """What a batch's files must have been made of: its content, the rules in force, and the model."""
    parts = (
        batch.content_version,
        Rules.from_settings(settings).version,
        NORMALIZATION_VERSION,
        space.name,
        str(TEXT_WEIGHT),
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def without_vector(embeddings: pa.Table) -> dict[str, str]:
    """The products of a batch's vectors whose picture could not be embedded, by `product_id`, and why."""
    return json.loads((embeddings.schema.metadata or {}).get(WITHOUT_VECTOR, b"{}"))


def _said_without_vector(store: ParquetStore, batch: str) -> str:
    """Which products of the batch have no vector, as its file says it; empty where all have one. Reads no rows."""
    if not store.exists(LAST_STAGE, batch):
        return ""
    return store.read_metadata(LAST_STAGE, batch).get(WITHOUT_VECTOR.decode(), "")


def file_version(store: ParquetStore, asset: str, batch: str) -> str | None:
    """The batch version a stage's file was made of; None where there is no file."""
    if not store.exists(asset, batch):
        return None
    return store.read_metadata(asset, batch).get(BATCH_VERSION.decode())


def is_through(store: ParquetStore, batch: Batch, version: str) -> bool:
    """Whether every file of the batch was made of this version of it."""
    return all(file_version(store, stage, batch.name) == version for stage in (LAST_STAGE, FIRST_STAGE))


def active_batches(conn: psycopg.Connection) -> list[Batch]:
    """The batches of every active source, in order."""
    return [batch for source in active_sources(conn) for batch in batches(conn, source.name)]


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    listings: int
    batches: list[Batch]
    stale: list[Batch]
    """Batches a run has something to do for."""
    incomplete: frozenset[str]
    """Names of those of them that are through but for products whose picture could not be embedded."""
    content_version: str
    space: EmbeddingSpace
    live: Release | None
    existing: Release | None
    """A complete release of exactly this content, if there is one."""

    @property
    def release_is_due(self) -> bool:
        """Whether a new candidate must be built: something is stale, or nothing holds this content yet."""
        return bool(self.stale) or self.existing is None


def content_version(
    current: list[Batch], settings: Settings, space: EmbeddingSpace, store: ParquetStore
) -> str:
    """What a release of these batches is made of. Once a product that had no vector has one, it is another."""
    digest = hashlib.blake2b(f"{RELEASE_VERSION}\0{space.name}".encode(), digest_size=16)
    for batch in current:
        lacking = _said_without_vector(store, batch.name)
        digest.update(f"{batch.name}\0{batch_version(batch, settings, space)}{lacking}\n".encode())
    return digest.hexdigest()


def plan(conn: psycopg.Connection, settings: Settings) -> Plan:
    """Compare register, files and releases; of the files, only footers are read."""
    space = embedding_space(settings.model, settings.model_revision)
    current = active_batches(conn)
    store = ParquetStore(settings.assets_url)
    version = content_version(current, settings, space, store)
    through = {
        batch.name for batch in current if is_through(store, batch, batch_version(batch, settings, space))
    }
    incomplete = frozenset(name for name in through if _said_without_vector(store, name))
    return Plan(
        listings=sum(batch.listings for batch in current),
        batches=current,
        stale=[batch for batch in current if batch.name not in through or batch.name in incomplete],
        incomplete=incomplete,
        content_version=version,
        space=space,
        live=releases.live(conn),
        existing=releases.with_content(conn, version),
    )
