"""What a run would do: which batches are stale (`batches.plan`), and whether a new release is due.

What belongs here: comparing what the batches hold with the releases there are. What does not: doing it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from fashion_assets.batches.files import OF_LISTINGS, OF_ROWS
from fashion_assets.batches.plan import BatchPlan, plan_batches
from fashion_assets.batches.rows import rows_version
from fashion_assets.batches.stage import Given
from fashion_assets.batches.stages import STAGES, batch_versions
from fashion_assets.embedding.spaces import EmbeddingSpace, embedding_space
from fashion_assets.release import roots
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse import batch_files, declared, quarantine, releases
from fashion_assets.warehouse.batch_files import Held
from fashion_assets.warehouse.declared import Declared
from fashion_assets.warehouse.embedding_store import EmbeddingStore
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch, batches
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import SERVING_VERSION

RELEASE_VERSION = f"6-{SERVING_VERSION}"
"""Raise its number when the serving schema's tables change: the same batches then make a new release."""


@dataclass(frozen=True)
class Plan:
    """What a run would do. Made once, and handed down to whoever does it."""

    sources: list[Source]
    """The active ones, by name; nothing of them is opened yet."""
    tables: list[Declared]
    """The tables they declare beside their listings."""
    of_listings: BatchPlan
    of_rows: BatchPlan
    """What there is to do for the batches of the tables' rows."""
    vectors_are_lost: bool
    """Whether the embedding store is empty though batches were embedded."""
    made_with: str
    """What else a release would be made with (`made_with`)."""
    missing: dict[str, str]
    """Active sources that are not where they are said to be, and where that is."""
    content_version: str
    space: EmbeddingSpace
    live: Release | None
    existing: Release | None
    """A complete release of exactly this content, if there is one, so that none need be built. A retired one counts where somebody
    went back from it: it stays retired. It does not count where the sources themselves went back to what they were."""

    @property
    def batches(self) -> list[Batch]:
        """The batches of listings."""
        return self.of_listings.batches

    @property
    def listings(self) -> int:
        return sum(batch.listings for batch in self.batches)

    @property
    def versions(self) -> Mapping[str, str]:
        """What each batch's files must have been made of, by its name."""
        return {**self.of_listings.versions, **self.of_rows.versions}

    @property
    def stale(self) -> list[Batch]:
        """Batches of listings a run has something to do for."""
        return self.of_listings.stale

    @property
    def incomplete(self) -> frozenset[str]:
        """Names of stale batches that are through all stages but for products whose picture could not be embedded."""
        return self.of_listings.incomplete

    @property
    def lost(self) -> list[Batch]:
        """Batches with whole files whose rejections the database lacks; `recovery` writes them again."""
        return [*self.of_listings.lost, *self.of_rows.lost]

    @property
    def unknown(self) -> Mapping[str, Held]:
        """What files hold that the database did not know, by batch; `recovery` writes it again."""
        return {**self.of_listings.unknown, **self.of_rows.unknown}

    @property
    def finished(self) -> list[Batch]:
        """Batches of listings that a release is made of: through all stages, but perhaps for pictures that could not be embedded."""
        return self.of_listings.finished

    @property
    def version_of_finished(self) -> str:
        """What a release of the finished batches is made of."""
        finished = [*self.of_listings.finished, *self.of_rows.finished]
        if len(finished) == len(self.of_listings.batches) + len(self.of_rows.batches):
            return self.content_version
        names = "\n".join([self.content_version, *(batch.name for batch in finished)])
        return hashlib.blake2b(names.encode(), digest_size=16).hexdigest()

    @property
    def release_is_due(self) -> bool:
        """Whether a new candidate must be built: something is stale, or nothing holds this content yet."""
        return bool(self.stale or self.of_rows.stale) or self.existing is None


def made_with(
    sources: Sequence[Source], tables: Sequence[Declared], settings: Settings, space: EmbeddingSpace
) -> str:
    """A hash of what a release is made with beside the content of its batches: its shape, the model, and of each source how it is read,
    where it is, and which tables it declares. Where it differs, every row may."""
    digest = hashlib.blake2b(f"{RELEASE_VERSION}\0{space.name}\n".encode(), digest_size=16)
    for source in sources:
        stages = [stage.version(Given(settings, space.name, source)) for stage in STAGES]
        of_source = (source.name, source.kind, *filter(None, source.picture_folders), *stages)
        digest.update("\0".join(of_source).encode("utf-8", "surrogateescape") + b"\n")
    for table in tables:
        digest.update(f"{table.register_name}\0{table.as_json}\n".encode())
    return digest.hexdigest()


def tables_version(of_rows: BatchPlan) -> str:
    """A hash of what a release's declared tables are made of: the names and versions of all batches of their rows."""
    said = "\n".join(f"{name}\0{version}" for name, version in of_rows.versions.items())
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def content_version(
    sources: Sequence[Source], tables: Sequence[Declared], plans: Sequence[BatchPlan], space: EmbeddingSpace
) -> str:
    """A hash of what a release is made of: its sources, where they are and the tables they declare, and the names and versions of all
    batches. It changes, too, once products that had no vector have one."""
    digest = hashlib.blake2b(f"{RELEASE_VERSION}\0{space.name}\n".encode(), digest_size=16)
    for source in sources:
        of_source = (source.name, source.kind, *filter(None, source.picture_folders))
        digest.update("\0".join(of_source).encode("utf-8", "surrogateescape") + b"\n")
    for table in tables:
        digest.update(f"{table.register_name}\0{table.as_json}\n".encode())
    for each in plans:
        for name, version in each.versions.items():
            digest.update(f"{name}\0{version}{each.held[name].without_vector}\n".encode())
    return digest.hexdigest()


def plan(conn: psycopg.Connection, settings: Settings, space: EmbeddingSpace | None = None) -> Plan:
    """Compare register, files, database and releases. Opens no source, and of the batches' files only those that changed since the
    database noted what they hold. `space`: the model's; default: that of the settings."""
    space = space or embedding_space(settings.model, settings.model_revision)
    store = ParquetStore(settings.assets_url)
    sources, tables = roots.active(conn, settings), declared.declared_tables(conn)
    by_name = {source.name: source for source in sources}
    listings = [batch for source in sources for batch in batches(conn, source.name)]
    of_rows = {
        batch: rows_version(batch, table, by_name[table.source].version)
        for table in tables
        for batch in batches(conn, table.register_name)
    }
    said = batch_files.known(conn), quarantine.counts(conn)
    plans = [
        plan_batches(store, OF_LISTINGS, batch_versions(listings, settings, space, by_name), *said),
        plan_batches(store, OF_ROWS, of_rows, *said),
    ]
    version = content_version(sources, tables, plans, space)
    live, existing = releases.live(conn), releases.with_content(conn, version)
    if existing is not None and live is not None and existing.number < live.number:
        existing = None
    has_vectors = any(plans[0].held[batch.name].version for batch in plans[0].batches)
    return Plan(
        sources=sources,
        tables=tables,
        of_listings=plans[0],
        of_rows=plans[1],
        vectors_are_lost=has_vectors and not EmbeddingStore(conn).has_any(space.name),
        made_with=made_with(sources, tables, settings, space),
        missing=roots.missing(sources),
        content_version=version,
        space=space,
        live=live,
        existing=existing,
    )
