"""How an installation is doing, as figures read from its database: what is live, how old, what is missing, how it is searched.

What belongs here: the statements, and the figures they give. What does not: how requests go (`metrics`), the names Prometheus knows figures
by (`metrics`), judging a release (`criteria`).

Each figure is bounded in what it costs: counts are of the registers, and what would take every product is read of a sample. Ids are hashes,
so that the first of them are products drawn at random.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from fashion_assets.warehouse import releases

SAMPLE = 1_000
"""Products of which confidence and vectors are read."""

UNIT = 0.01
"""How far from 1 the length of a half-precision unit vector may be."""


class Figure(NamedTuple):
    """One value: its name, without our prefix, its labels, and the number."""

    name: str
    labels: dict[str, str]
    value: float


_RELEASE = """
SELECT extract(epoch FROM promoted_at)::float8, products, listings, quarantined, build_seconds, revision
FROM fashion_ops.releases WHERE release = %(release)s
"""

_QUARANTINE = "SELECT reason, count(*) FROM fashion_ops.quarantine, unnest(reasons) AS reason GROUP BY reason ORDER BY reason"

_SOURCES = "SELECT name, extract(epoch FROM scanned_at)::float8 FROM fashion_ops.sources WHERE active AND scanned_at IS NOT NULL"

_SYNCS = """
SELECT extract(epoch FROM max(at))::float8, (SELECT seconds FROM fashion_ops.syncs ORDER BY sync DESC LIMIT 1)
FROM fashion_ops.syncs WHERE release = %(release)s
"""

_WITHOUT_VECTOR = "SELECT coalesce(sum(without_vector), 0)::bigint FROM fashion_ops.release_batches WHERE release = %(release)s"

_INDEXES = """
SELECT indexrelname::text, pg_relation_size(indexrelid), idx_scan FROM pg_stat_user_indexes WHERE schemaname = %(release)s
ORDER BY indexrelname
"""

_CONFIDENCE: LiteralString = """
SELECT origin.key, avg((origin.value ->> 'confidence')::float8)
FROM (SELECT origins FROM {products} ORDER BY product_id LIMIT {sample}) AS part,
     jsonb_each(part.origins) AS origin
WHERE jsonb_typeof(origin.value -> 'confidence') = 'number' GROUP BY 1 ORDER BY 1
"""

_VECTORS: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE abs(l2_norm(embedding) - 1) <= {unit} AND embedding_space = ANY (%(spaces)s))
FROM (SELECT embedding, embedding_space FROM {products} WHERE embedding IS NOT NULL ORDER BY product_id LIMIT {sample}) AS part
"""

_SPACES = "SELECT ARRAY(SELECT space FROM fashion_ops.release_spaces WHERE release = %(release)s)"

_RUNS = """
SELECT status, count(*) FROM dagster.runs WHERE update_timestamp > now() AT TIME ZONE 'UTC' - interval '1 day' GROUP BY status
"""

_SEARCHES = """
SELECT coalesce(sum(searches), 0)::bigint, coalesce(sum(without_hits), 0)::bigint
FROM fashion_ops.searches WHERE day = (now() AT TIME ZONE 'UTC')::date AND release = %(release)s
"""


def read(conn: psycopg.Connection[Any]) -> Iterator[Figure]:
    """The figures of an installation; without a live release, that there is none, and what is known without one."""
    live = releases.live(conn)
    yield Figure("release_live", {}, float(live is not None))
    for reason, count in conn.execute(_QUARANTINE):
        yield Figure("quarantine", {"reason": reason}, count)
    for name, at in conn.execute(_SOURCES):
        yield Figure("source_scanned_timestamp_seconds", {"source": name}, at)
    if conn.execute("SELECT to_regclass('dagster.runs') IS NOT NULL").fetchone() == (True,):
        known = dict(conn.execute(_RUNS).fetchall())
        for status in ("SUCCESS", "FAILURE", "STARTED", "CANCELED"):
            yield Figure("dagster_runs_day", {"status": status.lower()}, known.get(status, 0))
    if live is not None:
        yield from _of_release(conn, live.release)


def _of_release(conn: psycopg.Connection[Any], release: str) -> Iterator[Figure]:
    asked = {"release": release}
    row = conn.execute(_RELEASE, asked).fetchone()
    assert row is not None
    promoted, products, listings, quarantined, seconds, revision = row
    yield Figure("release_info", {"release": release}, 1)
    for name, value in (
        ("release_promoted_timestamp_seconds", promoted),
        ("release_products", products),
        ("release_listings", listings),
        ("release_quarantined", quarantined),
        ("release_build_seconds", seconds),
        ("release_revision", revision),
    ):
        if value is not None:
            yield Figure(name, {}, value)
    ((without,),) = conn.execute(_WITHOUT_VECTOR, asked).fetchall()
    yield Figure("release_products_without_vector", {}, without)
    changed = conn.execute("SELECT to_regclass(%s)", (f"{release}.revision",)).fetchone()
    if changed is not None and changed[0] is not None:
        at = conn.execute(
            sql.SQL("SELECT extract(epoch FROM changed_at)::float8 FROM {}").format(
                sql.Identifier(release, "revision")
            )
        ).fetchone()
        if at is not None:
            yield Figure("release_changed_timestamp_seconds", {}, at[0])
    ((synced, took),) = conn.execute(_SYNCS, asked).fetchall()
    if synced is not None:
        yield Figure("sync_timestamp_seconds", {}, synced)
        yield Figure("sync_seconds", {}, took)
    for name, size, scans in conn.execute(_INDEXES, asked):
        yield Figure("index_bytes", {"index": name}, size)
        yield Figure("index_scans", {"index": name}, scans)
    ((found, without_hits),) = conn.execute(_SEARCHES, asked).fetchall()
    yield Figure("searches_today", {}, found)
    yield Figure("searches_without_hits_today", {}, without_hits)
    # A release built by a former version may lack a column: its other figures are told.
    with suppress(psycopg.errors.UndefinedColumn), conn.transaction():
        yield from list(_of_products(conn, release))


def _of_products(conn: psycopg.Connection[Any], release: str) -> Iterator[Figure]:
    parts = {
        "products": sql.Identifier(release, "products"),
        "sample": sql.Literal(SAMPLE),
        "unit": sql.Literal(UNIT),
    }
    for attribute, mean in conn.execute(sql.SQL(_CONFIDENCE).format(**parts)):
        yield Figure("extraction_confidence", {"attribute": attribute}, mean)
    ((spaces,),) = conn.execute(_SPACES, {"release": release}).fetchall()
    ((looked_at, sound),) = conn.execute(sql.SQL(_VECTORS).format(**parts), {"spaces": spaces}).fetchall()
    if looked_at:
        yield Figure("embedding_consistent_ratio", {}, sound / looked_at)
