"""Looking at the sources: every record into the register, new ones into batches.

What belongs here: the meeting of `sources` and `warehouse.noting`. What does not: judging what is read (`catalog`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import psycopg

from fashion_assets.batches.rows import ROWS_OF_A_BATCH, declared
from fashion_assets.failure import told
from fashion_assets.origins import shown
from fashion_assets.release import roots
from fashion_assets.release.recovery import recover_register
from fashion_assets.settings import Settings
from fashion_assets.sources import Source, SourceError, open_source
from fashion_assets.sources.mapped import LEFT_OUT
from fashion_assets.sources.picture_cache import PictureCache
from fashion_assets.sources.readers.keeping import kept
from fashion_assets.warehouse import declared as declarations
from fashion_assets.warehouse.noting import SyncReport, sync
from fashion_assets.warehouse.register import batch_and_source, references
from fashion_assets.warehouse.sources import (
    SourceRecord,
    activate_source,
    active_sources,
    deliveries,
    keep_found,
    set_active,
)


class Scanned(NamedTuple):
    """A look at a source: what was found, or why it cannot be read."""

    source: SourceRecord
    report: SyncReport | None
    unread: str = ""

    def __str__(self) -> str:
        return f"source {self.source.name} cannot be read, and stays as it was read last: {self.unread}"


def scan_active_sources(
    conn: psycopg.Connection,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
    needed: Collection[str] = (),
    only: str | None = None,
) -> list[Scanned]:
    """Scan every active source, or `only` one, into the register; one scan each, by name, empty where no source is active. What the register has
    lost of batches that have files is in it again before.

    A source that cannot be read holds no other up: the register keeps what was read of it last, so that none of its products
    leaves the next release. Raises its error (`sources.SourceError`) where it is one of the `needed`, or none can be read.
    """
    recover_register(conn, settings)
    with kept():
        return _scanned(conn, settings, progress, needed, only)


def _scanned(
    conn: psycopg.Connection,
    settings: Settings,
    progress: Callable[[int, int], None] | None,
    needed: Collection[str],
    only: str | None,
) -> list[Scanned]:
    scans, first = [], None
    for entry in active_sources(conn):
        if only not in (None, entry.name):
            continue
        source = roots.opened(entry, settings)
        try:
            with conn.transaction():
                report = sync(conn, source, settings.batch_size, progress)
                keep_found(conn, source.name, source.found)
                report = replace(
                    report,
                    tables=_scan_tables(conn, source),
                    left_out=source.left_out,
                    notes=tuple(source.notes),
                )
        except (SourceError, OSError) as error:
            if entry.name in needed:
                raise
            first = first or error
            scans.append(Scanned(entry, None, told(error, settings) or f"{type(error).__name__}: {error}"))
        else:
            scans.append(Scanned(entry, report))
    if first is not None and not any(scan.report for scan in scans):
        raise first
    return scans


def require_listings(scans: Iterable[Scanned], name: str) -> None:
    """Raises SourceError where a source holds nothing, and never did: there would be nothing to release."""
    for source, report, _ in scans:
        if source.name != name or report is None or report.listings or report.gone:
            continue
        if not any(table.listings for table in report.tables.values()):
            if out := report.left_out.get(LEFT_OUT):
                raise SourceError(
                    f"{shown(source.location)} holds no listings: the mapping's where leaves out all of its {out:,} records. Change it."
                )
            raise SourceError(
                f"{shown(source.location)} holds no listings: it names columns, and has no row below them. Export it anew; where it has rows, "
                "look at how it is read: fashion-assets sources inspect."
            )


def _scan_tables(conn: psycopg.Connection, source: Source) -> dict[str, SyncReport]:
    """Scan the tables the source declares beside its listings; one report each, by name."""
    tables = declared(source)
    declarations.keep(conn, source.name, [said for said, _ in tables])
    reports = {}
    for said, table in tables:
        reports[said.name] = sync(
            conn, table, ROWS_OF_A_BATCH, register_name=said.register_name, of=source.name
        )
    if clash := declarations.clash(conn):
        raise SourceError(clash)
    return reports


def fetch_pictures(
    sources: Iterable[Source],
    settings: Settings,
    progress: Callable[[str, int], None] = lambda source, done: None,
) -> list[str]:
    """Fetch the pictures that these sources state as URLs, and say what came of it, a line for each source that has any. `progress`
    is told whose, and how many URLs are done.

    Before a scan, and in no transaction: it may take hours, and what came before it was interrupted is there. Of a source that cannot
    be read nothing is fetched: the scan says so.
    """
    from fashion_assets.sources.fetching import Policy, fetch  # here: few runs fetch

    said = []
    for source in sources:
        try:
            urls = source.picture_urls()
            first = next(urls, None)
        except SourceError:
            continue
        if first is None:
            continue
        cache = PictureCache(settings.picture_cache)
        with closing(cache):
            done = fetch(
                source.name,
                chain([first], urls),
                cache,
                Policy.from_settings(settings, source.bucket),
                partial(progress, source.name),
            )
        said.append(f"{source.name}: {done}")
    return said


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
    return [source.picture_folders.path(uri) for uri in uris.to_pylist()]
