"""How thoroughly a graph of vectors (HNSW) looks for the neighbours of what is put into it: once as it is built, and of each row that comes later.

What belongs here: the two measures, and setting either. What does not: building the graphs (`indexes`, `build`), when they are built anew (`upkeep`).

pgvector takes `ef_construction` candidates for a vector's neighbours, and reads that number from the index's own options as it builds the index and
as each row comes into it (`hnswbuild`, `hnswinsert`). Most of what a changed row costs a server is its place in the graph. So graphs are built with as many
candidates as there are by default, and then given fewer, until they are built anew: `benchmarks/ageing.py` shows what that costs of recall.

To change an option, a session that has loaded pgvector wants the index for itself, and waits for the transactions of whoever read by it; one that has not
waits for no reader (PostgreSQL asks the library which lock an option takes, if it knows it). So it is tried for moments in which nobody waits longer than
searches wait for a swap, and what could not be set is set by whoever looks next (`upkeep`).
"""

import random
import time
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.postgres.connections import waiting_at_most
from fashion_assets.warehouse import release_indexes
from fashion_assets.warehouse.releases import Release

LINKS = 16
"""Links of a vector in each layer of a graph, and twice as many in the lowest (`m`): B3's start value."""

BUILT_WITH = 64
"""Candidates for a vector's neighbours as a graph is built (`ef_construction`): B3's start value."""

LATER_WITH = 2 * LINKS
"""The same of a row that comes into it later. With fewer than all its links take pgvector builds no index: a dump of such a one could not be restored, and somebody's
`REINDEX` would fail."""

TRY_MS = 15
"""How long one try waits for who reads the index; searches that begin meanwhile wait behind it."""

MOMENT_SECONDS = 1.0
"""How long is tried where it may as well be done another time."""


def standing(conn: psycopg.Connection[Any], release: Release) -> dict[str, int]:
    """The graphs of a release: how many candidates each takes now, by name."""
    rows = conn.execute(
        """
        SELECT c.relname::text, coalesce(
            (SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'ef_construction'), %s)
        FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relnamespace = to_regnamespace(%s) AND a.amname = 'hnsw' AND i.indisvalid AND starts_with(c.relname, %s) ORDER BY 1
        """,
        (BUILT_WITH, release.release, release_indexes.VECTOR_INDEX),
    ).fetchall()
    return dict(rows)


def take(conn: psycopg.Connection[Any], release: Release, name: str, candidates: int, seconds: float) -> bool:
    """Have a graph take so many candidates from now on; whether it does. Tried for so many seconds. `conn` is in autocommit."""
    until = time.monotonic() + seconds
    while True:
        try:
            with conn.transaction(), waiting_at_most(conn, TRY_MS):
                conn.execute(
                    sql.SQL("ALTER INDEX {} SET (ef_construction = {})").format(
                        sql.Identifier(release.release, name), sql.Literal(candidates)
                    )
                )
            return True
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() >= until:
                return False
            time.sleep(random.uniform(0.01, 0.06))


def finish(conn: psycopg.Connection[Any], release: Release, seconds: float = MOMENT_SECONDS) -> list[str]:
    """Have each graph of a release, which is built, take as many candidates as for rows that come later. Returns the names of those that somebody kept
    from it. `conn` is in autocommit."""
    return [
        name
        for name, candidates in standing(conn, release).items()
        if candidates != LATER_WITH and not take(conn, release, name, LATER_WITH, seconds)
    ]
