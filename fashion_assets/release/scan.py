"""Looking at the sources: every record into the register, new ones into batches.

What belongs here: the meeting of `sources` and `warehouse.register`. What does not: judging what is read (`catalog`).
"""

from collections.abc import Callable

import psycopg

from fashion_assets.catalog.listing import picture_path
from fashion_assets.release import roots
from fashion_assets.release.recovery import recover_register
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source
from fashion_assets.warehouse.register import SyncReport, batch_and_source, references, sync


def scan_active_sources(
    conn: psycopg.Connection, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> list[SyncReport]:
    """Scan every active source into the register; one report each, empty where no source is active. What the register has
    lost of batches that have files is in it again before.

    Raises `sources.SourceError` when a source cannot be read.
    """
    recover_register(conn, settings)
    return [sync(conn, source, settings.batch_size, progress) for source in roots.active(conn, settings)]


def pictures_of(conn: psycopg.Connection, settings: Settings, batch: str, most: int) -> list[str]:
    """Where the pictures of a batch's first listings are; whether they are sound nobody has asked yet."""
    _, entry = batch_and_source(conn, batch)
    source = open_source(entry.kind, entry.name, entry.location, settings)
    uris = source.read(references(conn, batch).slice(0, most))["image_uri"].drop_null()
    return [picture_path(source.root, uri) for uri in uris.to_pylist()]
