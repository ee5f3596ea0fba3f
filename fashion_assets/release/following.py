"""What a release lacks of what the register says of its sources.

What belongs here: finding it, some batches at a time. What does not: reading sources into the register (`scan`), writing what is lacking into
the release (`applying`), the order of a sync and its modes (`fashion_assets.sync`).

A release is behind where its batches are of another content than the register's. Of those batches the register's listings are compared with
the release's products and with quarantine, by content: what is neither is judged and written, what is no more or rejected now is taken out.
So it does not matter what was interrupted before: whoever comes next finds the same difference, or what is left of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString, NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from fashion_assets.catalog.formats.outlines import Picture
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
    found: dict[str, str]
    """The content version the release had each of them in, before it was compared; of those it had none of, nothing."""
    listings: pa.Table
    """What is to be judged (`REFERENCES_SCHEMA`)."""
    batch_of: dict[str, str]
    """The batch of each of them, by `listing_key`."""
    gone: list[str]
    """Ids of products that are to be taken out."""
    gone_keys: list[str]
    """Listings in quarantine that are no more."""
    pictures: dict[str, Picture]
    """By the SHA-256 of their bytes, the sizes of pictures that the release's products have: it was made with the rules in force."""


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
    conn: psycopg.Connection,
    release: Release,
    names: Sequence[tuple[str, str]],
    counts: Mapping[str, int] | None = None,
    keys: Sequence[str] | None = None,
) -> Iterator[Portion]:
    """What is to be done for these batches (`behind`), some at a time. Reads the register, the release and quarantine; and how many listings of
    each are to be judged, unless `counts` says it (`differing`). `keys`: the few listings, of one source, beside which the release is known to be
    in step with these batches; None: it may lack any."""
    if keys is not None:
        yield _portion(conn, release, names[0][0], [batch for _, batch in names], keys)
        return
    if counts is None:
        counts = dict(differing(conn, release, [batch for _, batch in names]))
    sources = dict.fromkeys(source for source, _ in names)
    for source in sources:
        own = [batch for of, batch in names if of == source]
        some: list[str] = []
        count = 0
        for batch in own:
            some.append(batch)
            count += counts[batch]
            if count >= AT_ONCE:
                yield _portion(conn, release, source, some)
                some, count = [], 0
        if some:
            yield _portion(conn, release, source, some)


_KNOWN = """
    FROM fashion_ops.listings l
    LEFT JOIN {products} p ON p.source = l.source AND p.external_id = l.external_id AND l.occurrence = 0
    LEFT JOIN fashion_ops.quarantine q ON q.source = l.source AND q.listing_key = l.listing_key
"""

_LACKING = (
    _KNOWN
    + """
    WHERE l.batch = ANY(%(batches)s) AND l.present
      AND p.content_hash IS DISTINCT FROM l.content_hash AND q.content_hash IS DISTINCT FROM l.content_hash
"""
)


def differing(conn: psycopg.Connection, release: Release, batches: Sequence[str]) -> list[tuple[str, int]]:
    """Each of these batches with how many of its listings are to be judged."""
    query = sql.SQL("SELECT l.batch, count(*) " + _LACKING + " GROUP BY l.batch").format(
        products=release.table(PRODUCTS.name)
    )
    found = dict(conn.execute(query, {"batches": list(batches)}).fetchall())
    return [(batch, found.get(batch, 0)) for batch in batches]


class Difference(NamedTuple):
    """How many listings of a source differ between the register and a release."""

    new: int
    """Neither a product nor in quarantine."""
    changed: int
    gone: int
    """No more in the source."""
    leaving: int
    """Products of those that are gone, or in quarantine as they are now."""


def counted(
    conn: psycopg.Connection, release: Release, batches: Sequence[tuple[str, str]]
) -> dict[str, Difference]:
    """How much of these batches (`behind`) differs, by source: those that differ."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT source, count(*) FILTER (WHERE lacking AND NOT known), count(*) FILTER (WHERE lacking AND known),
                   count(*) FILTER (WHERE known AND NOT present), count(*) FILTER (WHERE held AND (NOT present OR rejected))
            FROM (SELECT l.source, l.present, p.product_id IS NOT NULL AS held, p.product_id IS NOT NULL OR q.listing_key IS NOT NULL AS known,
                         coalesce(q.content_hash = l.content_hash, false) AS rejected,
                         l.present AND p.content_hash IS DISTINCT FROM l.content_hash AND q.content_hash IS DISTINCT FROM l.content_hash
                         AS lacking {known} WHERE l.batch = ANY(%(batches)s)) each
            GROUP BY source ORDER BY source
            """
        ).format(known=sql.SQL(_KNOWN).format(products=release.table(PRODUCTS.name))),
        {"batches": [batch for _, batch in batches]},
    ).fetchall()
    return {source: Difference(*counts) for source, *counts in rows if any(counts)}


def drawn(
    conn: psycopg.Connection, release: Release | None, batches: Sequence[str], at_most: int
) -> dict[str, pa.Table]:
    """Of the listings of these batches that are to be judged, or, without a release, of all that are present, at most so many, drawn by their
    keys' hashes; by source (`REFERENCES_SCHEMA`)."""
    lacking = (
        sql.SQL("FROM fashion_ops.listings l WHERE l.batch = ANY(%(batches)s) AND l.present")
        if release is None
        else sql.SQL(_LACKING).format(products=release.table(PRODUCTS.name))
    )
    rows = conn.execute(
        sql.SQL(
            "SELECT * FROM (SELECT l.source, l.external_id, l.locator, l.signature, l.listing_key, l.occurrence {} "
            "ORDER BY hashtextextended(l.listing_key, 0), l.source LIMIT %(most)s) drawn "
            'ORDER BY source, listing_key COLLATE "C"'
        ).format(lacking),
        {"batches": list(batches), "most": at_most},
    ).fetchall()
    by_source: dict[str, list[tuple]] = {}
    for source, *columns in rows:
        by_source.setdefault(source, []).append(tuple(columns))
    return {
        source: pa.table([list(column) for column in zip(*those, strict=True)], schema=REFERENCES_SCHEMA)
        for source, those in by_source.items()
    }


def _portion(
    conn: psycopg.Connection,
    release: Release,
    source: str,
    batches: list[str],
    keys: Sequence[str] | None = None,
) -> Portion:
    products = release.table(PRODUCTS.name)
    values = {"batches": batches, "source": source, "keys": list(keys or ())}

    def among(alias: LiteralString) -> LiteralString:
        """A further condition: that a listing is one of those that may differ."""
        if keys is None:
            return ""
        return f" AND {alias}.source = %(source)s AND {alias}.listing_key = ANY(%(keys)s)"

    # First: whoever writes to the release from here on makes it another.
    found = conn.execute(
        "SELECT batch, content_version FROM fashion_ops.release_batches WHERE release = %s AND batch = ANY(%s)",
        (release.release, batches),
    ).fetchall()
    rows = conn.execute(
        sql.SQL(
            "SELECT l.external_id, l.locator, l.signature, l.listing_key, l.occurrence, l.batch, "
            "p.image_sha256, p.image_width, p.image_height "
            + _LACKING
            + among("l")
            + ' ORDER BY l.listing_key COLLATE "C"'
        ).format(products=products),
        values,
    ).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in range(9)]
    gone = conn.execute(
        sql.SQL(
            """
            SELECT p.product_id::text FROM fashion_ops.listings l
            JOIN {products} p ON p.source = l.source AND p.external_id = l.external_id
            WHERE l.batch = ANY(%(batches)s) AND l.occurrence = 0 AND (NOT l.present OR EXISTS (
                SELECT FROM fashion_ops.quarantine q
                WHERE q.source = l.source AND q.listing_key = l.listing_key AND q.content_hash = l.content_hash))
            """
            + among("l")
        ).format(products=products),
        values,
    ).fetchall()
    gone_keys = conn.execute(
        sql.SQL(
            """
            SELECT q.listing_key FROM fashion_ops.quarantine q LEFT JOIN fashion_ops.listings l
                ON l.source = q.source AND l.listing_key = q.listing_key AND l.present
            WHERE q.batch = ANY(%(batches)s) AND q.source = %(source)s AND l.listing_key IS NULL
            """
            + among("q")
        ),
        values,
    ).fetchall()
    versions = conn.execute(
        "SELECT batch, content_version, listings FROM fashion_ops.batches WHERE batch = ANY(%(batches)s)",
        values,
    ).fetchall()
    return Portion(
        source,
        {batch: (version, listings) for batch, version, listings in versions},
        dict(found),
        pa.table([list(column) for column in columns[:5]], schema=REFERENCES_SCHEMA),
        dict(zip(columns[3], columns[5], strict=True)),
        [product for (product,) in gone],
        [key for (key,) in gone_keys],
        {
            sha256: Picture(width, height)
            for sha256, width, height in zip(*columns[6:], strict=True)
            if sha256
        },
    )
