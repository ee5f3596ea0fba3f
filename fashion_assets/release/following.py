"""What a release lacks of what the register says of its sources.

What belongs here: finding it, some batches at a time. What does not: reading sources into the register (`scan`), writing what is lacking into
the release (`applying`), the order of a sync and its modes (`fashion_assets.sync`).

A release is behind where its batches are of another content than the register's. Of those batches the register's listings are compared with
the release's products and with quarantine, by content: what is neither is judged and written, what is no more or rejected now is taken out.
So it does not matter what was interrupted before: whoever comes next finds the same difference, or what is left of it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.warehouse.register import REFERENCES_SCHEMA
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import PRODUCTS

AT_ONCE = 500
"""Listings that are written at once, at least, where there are as many: whole batches, so that a batch is of one content."""


class Portion(NamedTuple):
    """Some batches of one source that a release is behind with."""

    source: str
    batches: dict[str, tuple[str, int]]
    """Content version and listings of each, as the register has them."""
    listings: pa.Table
    """What is to be judged (`REFERENCES_SCHEMA`)."""
    batch_of: dict[str, str]
    """The batch of each of them, by `listing_key`."""
    gone: list[str]
    """Ids of products that are to be taken out."""
    gone_keys: list[str]
    """Listings in quarantine that are no more."""


def behind(conn: psycopg.Connection, release: Release) -> list[tuple[str, str]]:
    """Batches of active sources of whose content a release has another, by source and number; with their source."""
    return conn.execute(
        """
        SELECT b.source, b.batch FROM fashion_ops.batches b JOIN fashion_ops.sources s ON s.name = b.source AND s.active
        LEFT JOIN fashion_ops.release_batches r ON r.release = %s AND r.batch = b.batch
        WHERE r.content_version IS DISTINCT FROM b.content_version ORDER BY b.source, b.number
        """,
        (release.release,),
    ).fetchall()


def portions(
    conn: psycopg.Connection, release: Release, names: Sequence[tuple[str, str]]
) -> Iterator[Portion]:
    """What is to be done for these batches (`behind`), some at a time. Reads the register, the release and quarantine."""
    sources = dict.fromkeys(source for source, _ in names)
    for source in sources:
        own = [batch for of, batch in names if of == source]
        some: list[str] = []
        count = 0
        for batch, listings in differing(conn, release, own):
            some.append(batch)
            count += listings
            if count >= AT_ONCE:
                yield _portion(conn, release, source, some)
                some, count = [], 0
        if some:
            yield _portion(conn, release, source, some)


_LACKING = """
    FROM fashion_ops.listings l
    LEFT JOIN {products} p ON p.source = l.source AND p.external_id = l.external_id AND l.occurrence = 0
    LEFT JOIN fashion_ops.quarantine q ON q.source = l.source AND q.listing_key = l.listing_key
    WHERE l.batch = ANY(%(batches)s) AND l.present
      AND p.content_hash IS DISTINCT FROM l.content_hash AND q.content_hash IS DISTINCT FROM l.content_hash
"""


def differing(conn: psycopg.Connection, release: Release, batches: Sequence[str]) -> list[tuple[str, int]]:
    """Each of these batches with how many of its listings are to be judged."""
    query = sql.SQL("SELECT l.batch, count(*) " + _LACKING + " GROUP BY l.batch").format(
        products=release.table(PRODUCTS.name)
    )
    found = dict(conn.execute(query, {"batches": list(batches)}).fetchall())
    return [(batch, found.get(batch, 0)) for batch in batches]


def _portion(conn: psycopg.Connection, release: Release, source: str, batches: list[str]) -> Portion:
    products = release.table(PRODUCTS.name)
    values = {"batches": batches, "source": source}
    rows = conn.execute(
        sql.SQL(
            "SELECT l.external_id, l.locator, l.signature, l.listing_key, l.occurrence, l.batch "
            + _LACKING
            + ' ORDER BY l.listing_key COLLATE "C"'
        ).format(products=products),
        values,
    ).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in range(6)]
    gone = conn.execute(
        sql.SQL(
            """
            SELECT p.product_id::text FROM fashion_ops.listings l
            JOIN {products} p ON p.source = l.source AND p.external_id = l.external_id
            WHERE l.batch = ANY(%(batches)s) AND l.occurrence = 0 AND (NOT l.present OR EXISTS (
                SELECT FROM fashion_ops.quarantine q
                WHERE q.source = l.source AND q.listing_key = l.listing_key AND q.content_hash = l.content_hash))
            """
        ).format(products=products),
        values,
    ).fetchall()
    keys = conn.execute(
        """
        SELECT q.listing_key FROM fashion_ops.quarantine q LEFT JOIN fashion_ops.listings l
            ON l.source = q.source AND l.listing_key = q.listing_key AND l.present
        WHERE q.batch = ANY(%(batches)s) AND q.source = %(source)s AND l.listing_key IS NULL
        """,
        values,
    ).fetchall()
    versions = conn.execute(
        "SELECT batch, content_version, listings FROM fashion_ops.batches WHERE batch = ANY(%(batches)s)",
        values,
    ).fetchall()
    return Portion(
        source,
        {batch: (version, listings) for batch, version, listings in versions},
        pa.table([list(column) for column in columns[:5]], schema=REFERENCES_SCHEMA),
        dict(zip(columns[3], columns[5], strict=True)),
        [product for (product,) in gone],
        [key for (key,) in keys],
    )
