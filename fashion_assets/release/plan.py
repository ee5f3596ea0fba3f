"""What there is to do: which batches are stale, and whether a new release is due.

What belongs here: comparing what the register wants with what the files and releases hold. What does not: doing it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
import pyarrow as pa

from fashion_assets.catalog.listing import LISTING_VERSION
from fashion_assets.catalog.normalization import NORMALIZATION_VERSION
from fashion_assets.catalog.validation import Rules
from fashion_assets.embedding.embed import TEXT_WEIGHT
from fashion_assets.embedding.spaces import EmbeddingSpace, embedding_space
from fashion_assets.release import roots
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse import quarantine, releases
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch, batches
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.sources import active_sources

RELEASE_VERSION = "2"
"""Raise it when the serving schema's tables change: the same batches then make a new release."""

FIRST_STAGE = "raw_listings"
LAST_STAGE = "product_embeddings"
ACCEPTED_STAGE = "validated_products"
REJECTED_STAGE = "quarantined_listings"
STAGES = (
    FIRST_STAGE,
    ACCEPTED_STAGE,
    REJECTED_STAGE,
    "normalized_attributes",
    "image_embeddings",
    "text_embeddings",
    LAST_STAGE,
)
"""The files of a batch. A run writes the first before anything else, so that a later attempt that stopped half-way is seen
even when the batch went back to what it was."""

LOADED_STAGES = (FIRST_STAGE, REJECTED_STAGE, "normalized_attributes", LAST_STAGE)
"""Those of them a release is made of, and the first: each must say that it was made of the wanted version."""

BATCH_VERSION = b"batch_version"
"""Key of the Parquet metadata that says which version of a batch a file was made of."""

WITHOUT_VECTOR = b"without_vector"
"""Key of the Parquet metadata of a batch's vectors that says, as a JSON object, which products have none and why
(`WithoutVector`). Such a batch is loaded, but is not left at that: the next run judges those listings anew."""


class WithoutVector(NamedTuple):
    """Why a product has no vector: what its listing is rejected for, and the same in words."""

    reason: str
    said: str


def batch_version(batch: Batch, settings: Settings, space: EmbeddingSpace, source: Source) -> str:
    """What a batch's files must have been made of: its content and how its source reads it, the rules in force for that
    source, and the model."""
    parts = (
        batch.content_version,
        LISTING_VERSION,
        source.version,
        Rules.from_settings(settings, source.profile).version,
        NORMALIZATION_VERSION,
        space.name,
        str(TEXT_WEIGHT),
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def without_vector(embeddings: pa.Table) -> dict[str, WithoutVector]:
    """The products of a batch's vectors whose picture could not be embedded, by `product_id`, and why."""
    said = json.loads((embeddings.schema.metadata or {}).get(WITHOUT_VECTOR, b"{}"))
    return {product: WithoutVector(*why) for product, why in said.items()}


def why_without_vector(lacking: Mapping[str, WithoutVector]) -> dict[str, str]:
    """Why products have no vector, by `product_id`, as a person is told it."""
    return {product: why.said for product, why in lacking.items()}


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
    whole = set.intersection(*(store.batches(stage) for stage in STAGES))
    return {name: _files(store, name) if name in whole else BatchFiles() for name in names}


def _files(store: ParquetStore, batch: str) -> BatchFiles:
    footers = {stage: store.footer(stage, batch) for stage in LOADED_STAGES}
    versions = {
        None if footer is None else footer.metadata.get(BATCH_VERSION.decode()) for footer in footers.values()
    }
    rejected, last = footers[REJECTED_STAGE], footers[LAST_STAGE]
    if len(versions) > 1 or rejected is None or last is None:
        return BatchFiles()
    lacking = last.metadata.get(WITHOUT_VECTOR.decode(), "")
    return BatchFiles(versions.pop(), lacking, rejected.rows + len(json.loads(lacking or "{}")))


def judged(store: ParquetStore, names: Iterable[str]) -> tuple[int, int]:
    """How many listings of these batches were judged so far, and how many of them rejected. Reads no rows."""
    listings = rejected = 0
    whole = store.batches(REJECTED_STAGE) & store.batches(ACCEPTED_STAGE)
    for name in names:
        if name not in whole:
            continue
        footers = store.footer(ACCEPTED_STAGE, name), store.footer(REJECTED_STAGE, name)
        if footers[0] is not None and footers[1] is not None:
            listings += footers[0].rows + footers[1].rows
            rejected += footers[1].rows
    return listings, rejected


def active_batches(conn: psycopg.Connection) -> list[Batch]:
    """The batches of every active source, in order."""
    return [batch for source in active_sources(conn) for batch in batches(conn, source.name)]


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    listings: int
    batches: list[Batch]
    versions: Mapping[str, str]
    """What each batch's files must have been made of, by its name (`batch_version`)."""
    stale: list[Batch]
    """Batches a run has something to do for."""
    incomplete: frozenset[str]
    """Names of those of them that are through but for products whose picture could not be embedded."""
    lost: list[Batch]
    """Those of them whose files are whole while the database lacks what goes with them; `recovery` writes it again."""
    vectors_are_lost: bool
    """Whether the embedding store is empty though batches were embedded."""
    missing: dict[str, str]
    """Active sources that are not where they are said to be, and where that is."""
    content_version: str
    space: EmbeddingSpace
    live: Release | None
    existing: Release | None
    """A complete release of exactly this content that may stand for it, if there is one. A retired one may, if it was gone
    back from: then it stays retired. Where the content itself went back to what it was before, it may not."""

    @property
    def finished(self) -> list[Batch]:
        """Batches that are through, or but for pictures that could not be embedded: a release is made of them."""
        stale = {batch.name for batch in self.stale} - self.incomplete
        return [batch for batch in self.batches if batch.name not in stale]

    @property
    def version_of_finished(self) -> str:
        """What a release of the finished batches is made of."""
        finished = self.finished
        if len(finished) == len(self.batches):
            return self.content_version
        names = "\n".join([self.content_version, *(batch.name for batch in finished)])
        return hashlib.blake2b(names.encode(), digest_size=16).hexdigest()

    @property
    def release_is_due(self) -> bool:
        """Whether a new candidate must be built: something is stale, or nothing holds this content yet."""
        return bool(self.stale) or self.existing is None


def content_version(
    sources: Sequence[Source],
    versions: Mapping[str, str],
    files: Mapping[str, BatchFiles],
    space: EmbeddingSpace,
) -> str:
    """What a release is made of: its sources, where they are and their people; and its batches, by name, in these versions.
    Once a product that had no vector has one, it is another."""
    digest = hashlib.blake2b(f"{RELEASE_VERSION}\0{space.name}\n".encode(), digest_size=16)
    for source in sources:
        of_source = (source.name, source.kind, source.root, source.people_version())
        digest.update("\0".join(of_source).encode("utf-8", "surrogateescape") + b"\n")
    for name, version in versions.items():
        digest.update(f"{name}\0{version}{files[name].without_vector}\n".encode())
    return digest.hexdigest()


def plan(conn: psycopg.Connection, settings: Settings, space: EmbeddingSpace | None = None) -> Plan:
    """Compare register, files, database and releases; of the batches' files only footers are read, and those of people are
    hashed. `space`: the model's, where it is not the settings'."""
    space = space or embedding_space(settings.model, settings.model_revision)
    sources = roots.active(conn, settings)
    current = active_batches(conn)
    by_name = {source.name: source for source in sources}
    versions = {batch.name: batch_version(batch, settings, space, by_name[batch.source]) for batch in current}
    files = batch_files(ParquetStore(settings.assets_url), versions)
    whole = [batch for batch in current if files[batch.name].version == versions[batch.name]]
    held = quarantine.counts(conn)
    lost = [batch for batch in whole if files[batch.name].quarantined != held.get(batch.name, 0)]
    through = {batch.name for batch in whole} - {batch.name for batch in lost}
    incomplete = frozenset(name for name in through if files[name].without_vector)
    version = content_version(sources, versions, files, space)
    live, existing = releases.live(conn), releases.with_content(conn, version)
    if existing is not None and live is not None and existing.number < live.number:
        existing = None
    return Plan(
        listings=sum(batch.listings for batch in current),
        batches=current,
        versions=versions,
        stale=[batch for batch in current if batch.name not in through or batch.name in incomplete],
        incomplete=incomplete,
        lost=lost,
        vectors_are_lost=bool(whole) and not EmbeddingStore(conn).has_any(space.name),
        missing=roots.missing(sources),
        content_version=version,
        space=space,
        live=live,
        existing=existing,
    )
