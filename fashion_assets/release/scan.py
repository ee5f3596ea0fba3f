"""Looking at the sources: every record into the register, new ones into batches.

What belongs here: the meeting of `sources` and `warehouse.register`. What does not: judging what is read (`catalog`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from fashion_assets.catalog.listing import picture_path
from fashion_assets.release import roots
from fashion_assets.release.recovery import recover_register
from fashion_assets.settings import Settings
from fashion_assets.sources import open_source
from fashion_assets.warehouse.register import SyncReport, batch_and_source, references, sync
from fashion_assets.warehouse.sources import (
    activate_source,
    active_sources,
    deliveries,
    keep_found,
    set_active,
)


def scan_active_sources(
    conn: psycopg.Connection, settings: Settings, progress: Callable[[int, int], None] | None = None
) -> list[SyncReport]:
    """Scan every active source into the register; one report each, empty where no source is active. What the register has
    lost of batches that have files is in it again before.

    Raises `sources.SourceError` when a source cannot be read.
    """
    recover_register(conn, settings)
    reports = []
    for source in roots.active(conn, settings):
        with conn.transaction():
            reports.append(sync(conn, source, settings.batch_size, progress))
            keep_found(conn, source.name, source.found)
    return reports


def use_source(
    conn: psycopg.Connection, name: str, kind: str, location: str, options: Mapping[str, Any] | None = None
) -> None:
    """Put a source in use, as somebody who names one and nothing else means it: beside those in use, but that nobody wants a
    shop's own products and drawn ones together. A sample takes the place of all others, and gives way to a catalogue. Who
    mixed them did so by name (`activate_source`), and keeps what was mixed. `options` as in `activate_source`."""
    others = [known for known in active_sources(conn) if known.name != name]
    drawn = all(known.kind == "sample" for known in others)
    for known in others:
        if drawn or kind == "sample":
            set_active(conn, known.name, False)
    activate_source(conn, name, kind, location, options)


class StaleSource(NamedTuple):
    """A source that has delivered nothing for longer than it should."""

    source: str
    location: str
    changed_at: datetime

    def __str__(self) -> str:
        return (
            f"source {self.source} has not changed since {self.changed_at:%Y-%m-%d %H:%M} ({self.location})"
        )


def stale_sources(
    conn: psycopg.Connection, settings: Settings, *, as_last_scanned: bool = False
) -> list[StaleSource]:
    """The sources in use in which nothing changed for `stale_after_days`, until now or until they were last scanned."""
    if not settings.stale_after_days:
        return []
    limit, now = timedelta(days=settings.stale_after_days), datetime.now(UTC)
    return [
        StaleSource(known.source, known.location, known.changed_at)
        for known in deliveries(conn)
        if (known.scanned_at if as_last_scanned else now) - known.changed_at >= limit
    ]


def pictures_of(conn: psycopg.Connection, settings: Settings, batch: str, most: int) -> list[str]:
    """Where the pictures of a batch's first listings are; whether they are sound nobody has asked yet."""
    _, entry = batch_and_source(conn, batch)
    source = open_source(entry.kind, entry.name, entry.location, settings, entry.options)
    uris = source.read(references(conn, batch).slice(0, most))["image_uri"].drop_null()
    return [picture_path(source.root, uri) for uri in uris.to_pylist()]
