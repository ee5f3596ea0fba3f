"""Which batches a run has something to do for.

What belongs here: comparing what the register wants with what the files and the database hold. What does not: doing it
(`stages`, `release.recovery`), and whether a release is due (`release.plan`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from fashion_assets.batches.files import BatchFiles, batch_files
from fashion_assets.batches.stages import batch_version
from fashion_assets.embedding.spaces import EmbeddingSpace
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse import quarantine
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch, batches
from fashion_assets.warehouse.sources import active_sources


def active_batches(conn: psycopg.Connection) -> list[Batch]:
    """The batches of every active source, in order."""
    return [batch for source in active_sources(conn) for batch in batches(conn, source.name)]


@dataclass(frozen=True)
class BatchPlan:
    """What there is to do for the batches."""

    batches: list[Batch]
    versions: Mapping[str, str]
    """The version of each that is wanted, by name."""
    held: Mapping[str, BatchFiles]
    """What there is of each, by name."""
    stale: list[Batch]
    """Batches a run has something to do for."""
    incomplete: frozenset[str]
    """Names of those of them that are through but for products whose picture could not be embedded."""
    lost: list[Batch]
    """Those of them whose files are whole while the database lacks what goes with them; `recovery` writes it again."""
    vectors_are_lost: bool
    """Whether the embedding store is empty though batches were embedded."""


def plan_batches(
    conn: psycopg.Connection, settings: Settings, space: EmbeddingSpace, sources: Iterable[Source]
) -> BatchPlan:
    """Compare register, files and database for the batches of these sources; of the files only footers are read."""
    known = {source.name: source for source in sources}
    current = [batch for name in known for batch in batches(conn, name)]
    versions = {batch.name: batch_version(batch, settings, space, known[batch.source]) for batch in current}
    files = batch_files(ParquetStore(settings.assets_url), versions)
    whole = [batch for batch in current if files[batch.name].version == versions[batch.name]]
    in_quarantine = quarantine.counts(conn)
    lost = [batch for batch in whole if files[batch.name].quarantined != in_quarantine.get(batch.name, 0)]
    through = {batch.name for batch in whole} - {batch.name for batch in lost}
    incomplete = frozenset(name for name in through if files[name].without_vector)
    return BatchPlan(
        batches=current,
        versions=versions,
        held=files,
        stale=[batch for batch in current if batch.name not in through or batch.name in incomplete],
        incomplete=incomplete,
        lost=lost,
        vectors_are_lost=bool(whole) and not EmbeddingStore(conn).has_any(space.name),
    )
