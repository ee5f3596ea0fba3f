"""Looking at the sources: every record into the register, new ones into batches.

What belongs here: the meeting of `sources` and `warehouse.register`.
"""

from collections.abc import Callable

import psycopg

from fashion_assets.settings import Settings
from fashion_assets.sources import open_source
from fashion_assets.warehouse.register import SyncReport, active_sources, sync


def scan_active_sources(
    conn: psycopg.Connection, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> list[SyncReport]:
    """Scan every active source into the register; one report each, empty where no source is active.

    Raises `sources.SourceError` when a source cannot be read.
    """
    return [
        sync(
            conn, open_source(entry.kind, entry.name, entry.location, settings), settings.batch_size, progress
        )
        for entry in active_sources(conn)
    ]
