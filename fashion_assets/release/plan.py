"""What a run would do: which batches are stale (`batches.plan`), and whether a new release is due.

What belongs here: comparing what the batches hold with the releases there are. What does not: doing it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from fashion_assets.batches.files import BatchFiles
from fashion_assets.batches.plan import plan_batches
from fashion_assets.embedding.spaces import EmbeddingSpace, embedding_space
from fashion_assets.release import roots
from fashion_assets.settings import Settings
from fashion_assets.sources import Source
from fashion_assets.warehouse import releases
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import SERVING_VERSION

RELEASE_VERSION = f"3-{SERVING_VERSION}"
"""Raise its number when the serving schema's tables change: the same batches then make a new release."""


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
    of_batches = plan_batches(conn, settings, space, sources)
    version = content_version(sources, of_batches.versions, of_batches.held, space)
    live, existing = releases.live(conn), releases.with_content(conn, version)
    if existing is not None and live is not None and existing.number < live.number:
        existing = None
    return Plan(
        listings=sum(batch.listings for batch in of_batches.batches),
        batches=of_batches.batches,
        versions=of_batches.versions,
        stale=of_batches.stale,
        incomplete=of_batches.incomplete,
        lost=of_batches.lost,
        vectors_are_lost=of_batches.vectors_are_lost,
        missing=roots.missing(sources),
        content_version=version,
        space=space,
        live=live,
        existing=existing,
    )
