"""Batches of a source: how its listings fill them, and of what content each is.

What belongs here: how large batches are and which one new listings go into, as a scan is noted; a batch's content version. What does not: finding out
what is new (`noting`), reading the register (`register`).
"""

from typing import Any

import psycopg

from fashion_assets.warehouse.register import on_tables

MOST_BATCHES = 10_000
"""Batches of a source whose listings are scanned at once: more are a burden to Dagster, which has a partition for each, and to people who look for
one. Larger catalogues have larger batches."""


SPARE_BATCHES = 10
"""Batches that a source may have beside twice as many as its listings fill, before new listings go into the last one: a watch that finds some
each second would make one each second."""


def filled(connection: psycopg.Connection[Any], source: str, batch_size: int) -> dict[str, int]:
    """How new listings of a source fill batches: `batch_size`, the number of the `last` batch (0 where there is none), and how far it is `filled`,
    as far as a new one is begun or not at all."""
    row = connection.execute(
        on_tables(
            "SELECT count(*), coalesce(max(number), 0), coalesce(sum(listings), 0)::bigint, "
            "(SELECT count(*) FROM pg_temp.identified WHERE is_new) FROM {batches} WHERE source = %s"
        ),
        (source,),
    ).fetchone()
    assert row is not None
    known, last, listings, new = row
    size = max(batch_size, -(-(listings + new) // MOST_BATCHES))
    filled = size
    if new and known > SPARE_BATCHES + 2 * -(-(listings + new) // size):
        row = connection.execute(
            on_tables(
                "SELECT count(*) FROM {listings} WHERE batch = (SELECT batch FROM {batches} WHERE source = %s AND number = %s)"
            ),
            (source, last),
        ).fetchone()
        filled = min(size, row[0] if row else size)
    return {"batch_size": size, "last": last, "filled": filled}


def write_batches(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Have batches be of the content that their listings are."""
    # A batch's version is a hash over who is in it and what they are; the order is that of bytes, on any server.
    connection.execute(
        on_tables(
            """
            INSERT INTO {batches} (batch, source, number, listings, content_version)
            SELECT batch, source, substring(batch FROM length(source) + 2)::integer,
                   count(*) FILTER (WHERE present),
                   left(encode(sha256(convert_to(coalesce(string_agg(
                       listing_key || chr(31) || content_hash, chr(30) ORDER BY listing_key COLLATE "C"
                   ) FILTER (WHERE present), ''), 'UTF8')), 'hex'), 32)
            FROM {listings} WHERE batch = ANY(%(names)s) GROUP BY batch, source
            ON CONFLICT (batch) DO UPDATE
            SET listings = excluded.listings, content_version = excluded.content_version,
                updated_at = now()
            """
        ),
        {"names": names},
    )
