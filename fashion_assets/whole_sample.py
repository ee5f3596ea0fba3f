"""The whole drawn sample in one installation: three old systems as sources, wardrobe documents in its database, and what to try on them.

What belongs here: which parts a first migration has where nobody names a catalogue, whether the documents are to be backfilled. What does
not: drawing (`sources.sample`, `sources.drawn`), migrating and backfilling, which go as for anybody's catalogue.
"""

from collections.abc import Iterator

import psycopg

from fashion_assets.backfill.environments import DEVELOPMENT, settings_of
from fashion_assets.settings import Settings
from fashion_assets.sources.drawn import old_schemas
from fashion_assets.sources.sample import WHOLE
from fashion_assets.warehouse.sources import activate_source

WARDROBE_SCHEMA, WARDROBE_TABLE = "sample_wardrobe", "wardrobe"

DOCUMENTS = 300
"""Wardrobe documents of a sample."""

BACKFILL = {"wardrobe_backfill": {"environment": DEVELOPMENT, "table": f"{WARDROBE_SCHEMA}.{WARDROBE_TABLE}"}}
"""The config of the job `backfill_wardrobe` for them."""


def use(conn: psycopg.Connection, settings: Settings, *, documents: bool = True) -> None:
    """Put every part in use as a source; before that, with `documents`, have those drawn, so that a sample that is in use has them.
    Not where development is another database: that one is somebody's."""
    if documents and settings_of(DEVELOPMENT, settings) is settings:
        _draw_documents(settings)
    for name, location in WHOLE.items():
        activate_source(conn, name, "sample", location)


def _draw_documents(settings: Settings) -> None:
    from fashion_assets.sources.drawn import wardrobe

    said = f"wardrobe documents, {DOCUMENTS} of them, version {wardrobe.DRAWING_VERSION}"
    old_schemas.draw(
        settings,
        WARDROBE_SCHEMA,
        said,
        lambda conn: wardrobe.make_table(
            conn, wardrobe.documents(DOCUMENTS), WARDROBE_TABLE, WARDROBE_SCHEMA
        ),
    )


def is_to_be_backfilled(conn: psycopg.Connection, settings: Settings) -> bool:
    """Whether there are drawn documents that no run went through in the present version. Where somebody paused it, or took it back, it
    stays so."""
    table = f"{WARDROBE_SCHEMA}.{WARDROBE_TABLE}"
    if conn.execute("SELECT to_regclass(%s) IS NULL", (table,)).fetchone() == (True,):
        return False
    if settings_of(DEVELOPMENT, settings) is not settings:
        return False
    from fashion_assets.backfill import register  # here: most installations have no such documents
    from fashion_assets.catalog import wardrobe

    found = register.read(conn, f"{table}.doc")
    if found is None:
        return True
    if found.way != "run" or found.pause_asked:
        return False
    return found.state != "done" or found.version != wardrobe.version()


def backfilled(conn: psycopg.Connection) -> str:
    """What the last backfill of the drawn documents did, in a line."""
    from fashion_assets.backfill import register

    target = f"{WARDROBE_SCHEMA}.{WARDROBE_TABLE}.doc"
    found = register.read(conn, target)
    counts = {} if found is None else found.counts
    return (
        f"backfilled {counts.get('processed', 0):,} wardrobe documents of {WARDROBE_SCHEMA}.{WARDROBE_TABLE}: "
        f"{counts.get('updated', 0):,} written, {register.parked_count(conn, target):,} parked"
    )


def to_try() -> Iterator[str]:
    """Commands that show what was built, and what each does."""
    yield "fashion-assets search red summer dress --open    the pictures of what was found, in a page"
    yield "fashion-assets search jacket --filter colour=black,red --filter price=20..80    narrowed down"
    yield "fashion-assets sources list    where each part comes from, and what became of it"
    yield "fashion-assets backfill validate    whether the wardrobe's documents are as they should be"


__all__ = ["BACKFILL", "backfilled", "is_to_be_backfilled", "to_try", "use"]
