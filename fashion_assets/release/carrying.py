"""What changed in releases while they were live, carried over to another one, so that nothing is lost by going live, or back.

What belongs here: which changes a release lacks, and writing them into it. What does not: the log (`warehouse.changes`), when it is done
(`swap`, `fashion_assets.sync`).

A release says before which transaction it has everything (`has_changes_before`). Products it lacks are read from the live release, as they are
there now; rows of other tables are taken from the log, in their order. A candidate is made of the sources, so it has whatever came from them before
it was begun. What an application wrote into a release itself is in no source, and is carried over to every candidate.

Releases may differ in shape: what both have is carried. A vector of a space that the other one lacks stays behind. There the product keeps its own
vector where picture and title are the same. Else it has none until the next run, and is found by words.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from fashion_assets.postgres.connections import waiting_at_most
from fashion_assets.release import styles
from fashion_assets.release.counting import Counted, count_vectors, counted
from fashion_assets.warehouse import changes, releases
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import (
    EMBEDDINGS,
    PRODUCTS,
)

CARRIED = sql.Identifier("pg_temp", "carried")
"""Temporary table of the products that are carried."""


AT_ONCE = 1_000
"""Rows of the log written by one statement, where so many of a kind follow each other: one by one, two busy writers write more than is carried."""

AHEAD_WAIT_MS = 500
"""How long `carry_ahead` waits for a lock: less than after what PostgreSQL looks whether two wait for each other (`deadlock_timeout`, a second), so that a
swap that has the tables and wants the lock of changes gets it."""

EVER = 2**62
"""No transaction: nothing is of it or of a later one."""

COMPARED = frozenset(
    {
        "text",
        "uuid",
        "integer",
        "bigint",
        "smallint",
        "boolean",
        "date",
        "timestamp with time zone",
        "numeric",
    }
)
"""Types whose values an index finds."""


@dataclass(frozen=True)
class Carried:
    """What was brought to a release."""

    products: int = 0
    rows: int = 0
    without_vector: int = 0
    """Products of these that have no vector there, and have one in the live release."""

    def __bool__(self) -> bool:
        return bool(self.products or self.rows)

    def __add__(self, later: "Carried") -> "Carried":
        return Carried(
            self.products + later.products,
            self.rows + later.rows,
            self.without_vector + later.without_vector,
        )

    def __str__(self) -> str:
        said = f"{self.products:,} products and {self.rows:,} other rows that changed since are in it, too"
        if self.without_vector:
            said += f"; {self.without_vector:,} of these products have no vector of its model and are found by words until the next run"
        return said


def carry(conn: psycopg.Connection, live: Release | None, to: Release) -> Carried:
    """Bring what changed in live releases to one that is not live, in the caller's transaction, under the lock of swaps or of changes."""
    if live is None or live.release == to.release or to.has_changes_before is None:
        return Carried()
    now, since = changes.position(conn), changes.since(conn, to.has_changes_before)
    with changes.carrying(conn):
        products, bare = _products(conn, live, to, since)
        rows = _rows(conn, to, since, written=to.state == "candidate")
    done = Carried(products, rows, bare)
    if done:
        changes.revise(conn, to)
    _has(conn, to, now)
    return done


def carry_ahead(conn: psycopg.Connection, live: Release | None, to: Release) -> Carried:
    """As `carry`, before it must be; nothing where somebody keeps the tables from being written to for a while: who does puts the release live, and
    brings along what changed, or whoever comes next."""
    with (
        suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected),
        waiting_at_most(conn, AHEAD_WAIT_MS),
        conn.transaction(),
    ):
        return carry(conn, live, to)
    return Carried()


def carry_late(conn: psycopg.Connection, live: Release) -> int:
    """Bring to the live release what was written into others while it took their place, by whoever had begun before: rows of tables that are
    not of products. In the caller's transaction, under the lock of changes; returns how many. What such a writer has not yet committed the next
    one finds."""
    if live.has_changes_before is None:
        return 0
    now, since = changes.position(conn), changes.since(conn, live.has_changes_before)
    with changes.carrying(conn):
        done = _rows(conn, live, since, written=False, but=live.release)
    if done:
        changes.revise(conn, live)
    _has(conn, live, now)
    return done


def _has(conn: psycopg.Connection, release: Release, position: int) -> None:
    conn.execute(
        "UPDATE fashion_ops.releases SET has_changes_before = %s WHERE release = %s",
        (position, release.release),
    )


# --- products


def _products(conn: psycopg.Connection, live: Release, to: Release, since: int) -> tuple[int, int]:
    # What a person wrote into a release is no more than that release's, where a new one is made of the sources.
    count = changes.products_since(conn, since, only_from_sources=to.state == "candidate")
    if not count:
        conn.execute(sql.SQL("DROP TABLE {}").format(CARRIED))
        return 0, 0
    before = counted(conn, to, CARRIED)
    kept = _vectors_kept(conn, live, to)
    own, source = to.table(PRODUCTS.name), live.table(PRODUCTS.name)
    replaced = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM {carried} c JOIN {own} p USING (product_id) LEFT JOIN {source} s USING (product_id) "
            "LEFT JOIN {kept} k USING (product_id) WHERE p.embedding IS NOT NULL AND k.of IS DISTINCT FROM 'own' "
            "AND (k.of IS DISTINCT FROM 'live' OR s.embedding IS DISTINCT FROM p.embedding)"
        ).format(carried=CARRIED, own=own, source=source, kept=kept)
    ).fetchone()
    assert replaced is not None
    releases.count_replaced(conn, to, replaced[0])
    shared = _shared(conn, live, to, PRODUCTS.name)
    conn.execute(
        sql.SQL(
            "DELETE FROM {own} p USING {carried} c WHERE p.product_id = c.product_id AND NOT EXISTS "
            "(SELECT FROM {source} s WHERE s.product_id = c.product_id)"
        ).format(own=own, carried=CARRIED, source=source)
    )
    plain = [name for name in shared if name not in ("embedding", "embedding_space")]
    values = sql.SQL(", ").join(sql.Identifier("s", name) for name in plain)
    given = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in (*plain, "embedding", "embedding_space")
        if name != "product_id"
    )
    conn.execute(
        sql.SQL(
            """
            INSERT INTO {own} ({columns}, embedding, embedding_space)
            SELECT {values}, CASE WHEN k.of = 'own' THEN p.embedding WHEN k.of = 'live' THEN s.embedding END,
                   CASE WHEN k.of = 'own' THEN p.embedding_space WHEN k.of = 'live' THEN s.embedding_space END
            FROM {carried} c JOIN {source} s USING (product_id) JOIN {kept} k USING (product_id)
            LEFT JOIN {own} p USING (product_id)
            ON CONFLICT (product_id) DO UPDATE SET {given}
            """
        ).format(
            own=own,
            columns=sql.SQL(", ").join(map(sql.Identifier, plain)),
            values=values,
            carried=CARRIED,
            source=source,
            kept=kept,
            given=given,
        )
    )
    _embeddings(conn, live, to, kept)
    _affinity(conn, to)
    _count(conn, to, before, live)
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM {carried} c JOIN {source} s USING (product_id) JOIN {own} p USING (product_id) "
            "WHERE s.embedding IS NOT NULL AND p.embedding IS NULL"
        ).format(carried=CARRIED, source=source, own=own)
    ).fetchone()
    conn.execute(sql.SQL("DROP TABLE {}, {}").format(CARRIED, kept))
    assert row is not None
    return count, row[0]


def _vectors_kept(conn: psycopg.Connection, live: Release, to: Release) -> sql.Identifier:
    """Which vectors each carried product is to have: those of the live release, where the other one has their space; else its own, where it shows
    the same; else none."""
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE kept ON COMMIT DROP AS
            SELECT c.product_id, CASE
                WHEN s.embedding_space IS NULL THEN 'none'
                WHEN EXISTS (SELECT FROM fashion_ops.release_spaces r WHERE r.release = {release} AND r.space = s.embedding_space)
                    THEN 'live'
                WHEN (p.image_sha256, p.title) IS NOT DISTINCT FROM (s.image_sha256, s.title) THEN 'own'
                ELSE 'none' END AS of
            FROM {carried} c JOIN {source} s USING (product_id) LEFT JOIN {own} p USING (product_id)
            """
        ).format(
            release=sql.Literal(to.release),
            carried=CARRIED,
            source=live.table(PRODUCTS.name),
            own=to.table(PRODUCTS.name),
        )
    )
    return sql.Identifier("pg_temp", "kept")


def _embeddings(conn: psycopg.Connection, live: Release, to: Release, kept: sql.Identifier) -> None:
    own, source = to.table(EMBEDDINGS.name), live.table(EMBEDDINGS.name)
    listed = sql.SQL(", ").join(map(sql.Identifier, _shared(conn, live, to, EMBEDDINGS.name)))
    conn.execute(
        sql.SQL(
            "DELETE FROM {own} e USING {carried} c LEFT JOIN {kept} k USING (product_id) "
            "WHERE e.product_id = c.product_id AND k.of IS DISTINCT FROM 'own'"
        ).format(own=own, carried=CARRIED, kept=kept)
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO {own} ({listed}) SELECT {listed} FROM {source} e JOIN {kept} k USING (product_id) WHERE k.of = 'live' "
            "AND EXISTS (SELECT FROM fashion_ops.release_spaces r WHERE r.release = {release} AND r.space = e.embedding_space)"
        ).format(own=own, listed=listed, source=source, kept=kept, release=sql.Literal(to.release))
    )


def _affinity(conn: psycopg.Connection, to: Release) -> None:
    if styles.kept(conn, to):
        styles.count(conn, to, styles.reassign(conn, to, styles.read(conn, to), CARRIED))


def _count(conn: psycopg.Connection, to: Release, before: Counted, live: Release) -> None:
    """Have the register's figures of the release follow its rows. A batch that has as many products as in the live release by now has as many
    rejections; of another one what came or went was listed, and is."""
    after = counted(conn, to, CARRIED)
    batches = {*before.batches, *after.batches}
    for batch in batches:
        more = after.of(batch).products - before.of(batch).products
        if more:
            conn.execute(
                """
                INSERT INTO fashion_ops.release_batches AS known (release, batch, content_version, products, quarantined, listings)
                SELECT %(to)s, batch, '', %(more)s, 0, %(more)s FROM fashion_ops.release_batches
                WHERE release = %(live)s AND batch = %(batch)s
                ON CONFLICT (release, batch) DO UPDATE
                SET products = known.products + excluded.products, listings = known.listings + excluded.listings
                """,
                {"to": to.release, "live": live.release, "batch": batch, "more": more},
            )
    conn.execute(
        """
        UPDATE fashion_ops.release_batches t SET quarantined = l.quarantined, listings = l.listings FROM fashion_ops.release_batches l
        WHERE t.release = %s AND l.release = %s AND l.batch = t.batch AND l.products = t.products AND t.batch = ANY (%s)
        """,
        (to.release, live.release, list(batches)),
    )
    count_vectors(conn, to, before, after)
    releases.count(conn, to)
    _is_of_no_content(conn, to, list(batches))


def _is_of_no_content(conn: psycopg.Connection, to: Release, batches: list[str]) -> None:
    """Have nobody take a release, or batches of it, for what they were built of: with some products of another catalogue they are behind
    whatever the register says, until a sync has compared them or a run has built another release."""
    conn.execute(
        "UPDATE fashion_ops.release_batches SET content_version = '' WHERE release = %s AND batch = ANY (%s)",
        (to.release, batches),
    )
    conn.execute("UPDATE fashion_ops.releases SET content_version = '' WHERE release = %s", (to.release,))


def _shared(conn: psycopg.Connection, live: Release, to: Release, table: str) -> Sequence[str]:
    """Columns both releases have in a table and somebody writes, in order."""
    rows = conn.execute(
        """
        SELECT a.attname::text FROM pg_attribute a JOIN pg_attribute b ON b.attname = a.attname AND b.atttypid = a.atttypid
        WHERE a.attrelid = to_regclass(%s) AND b.attrelid = to_regclass(%s) AND a.attnum > 0 AND b.attnum > 0
          AND NOT a.attisdropped AND NOT b.attisdropped AND a.attgenerated = '' AND b.attgenerated = '' ORDER BY a.attnum
        """,
        (f"{live.release}.{table}", f"{to.release}.{table}"),
    ).fetchall()
    return [name for (name,) in rows]


# --- other tables


def _rows(conn: psycopg.Connection, to: Release, since: int, *, written: bool, but: str = "") -> int:
    """Write the rows of the log that a release lacks into its tables, in their order: what this transaction and later ones changed, and with
    `written` all that are of no source; not those of the release `but`. A table, or a column, it does not have is left out."""
    tables = conn.execute(
        "SELECT DISTINCT name FROM fashion_ops.changes WHERE product_id IS NULL AND release <> %s "
        "AND (transaction >= %s OR (%s AND NOT starts_with(origin, %s)))",
        (but, since, written, changes.SYNC),
    ).fetchall()
    done = 0
    for (name,) in tables:
        if columns := _columns(conn, to, name):
            done += _replay(conn, to, name, columns, since, written, but)
    return done


def replay_written(conn: psycopg.Connection, to: Release, name: str) -> None:
    """Write into a table of a release, which is made of the sources alone, what people wrote into releases of it, in the caller's
    transaction."""
    with changes.carrying(conn):
        _replay(conn, to, name, _columns(conn, to, name), EVER, written=True)


def _columns(conn: psycopg.Connection, release: Release, table: str) -> dict[str, str]:
    """The columns of a release's table that somebody writes, and their types."""
    return dict(
        conn.execute(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            (f"{release.release}.{table}",),
        ).fetchall()
    )


def _replay(
    conn: psycopg.Connection,
    to: Release,
    name: str,
    columns: Mapping[str, str],
    since: int,
    written: bool,
    but: str = "",
) -> int:
    """As `_rows`, into one table."""
    own = to.table(name)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    done = 0
    with conn.cursor("log") as log, conn.cursor() as writing:
        log.itersize = AT_ONCE
        log.execute(
            "SELECT operation, row FROM fashion_ops.changes WHERE name = %s AND product_id IS NULL AND release <> %s "
            "AND (transaction >= %s OR (%s AND NOT starts_with(origin, %s))) ORDER BY change",
            (name, but, since, written, changes.SYNC),
        )
        for operation, rows in _runs(log, columns):
            same = _same(columns, rows[0])
            if operation == "insert":
                statement = sql.SQL(
                    "INSERT INTO {own} ({listed}) SELECT {listed} FROM unnest(%s::jsonb[]) AS e(entry) "
                    "CROSS JOIN LATERAL jsonb_populate_record(NULL::{own}, e.entry) r WHERE NOT EXISTS (SELECT FROM {own} t WHERE {same})"
                ).format(own=own, listed=listed, same=same)
                once = {json.dumps(row, sort_keys=True): Jsonb(row) for row in rows}
                # Not prepared: how it is best done hangs on how many they are.
                done += writing.execute(statement, (list(once.values()),), prepare=False).rowcount
                continue
            statement = sql.SQL(
                "DELETE FROM {own} WHERE ctid = (SELECT t.ctid FROM {own} t, jsonb_populate_record(NULL::{own}, %s) r WHERE {same} LIMIT 1)"
            ).format(own=own, same=same)
            for row in rows:
                done += writing.execute(statement, (Jsonb(row),)).rowcount
    return done


def _runs(
    log: Iterable[tuple[str, Mapping[str, object]]], columns: Mapping[str, str]
) -> Iterator[tuple[str, list[Mapping[str, object]]]]:
    """Entries of the log that follow each other and are compared alike (`_same`): what was done, and with which rows, some at a time."""

    def alike(entry: tuple[str, Mapping[str, object]]) -> tuple[str, tuple[bool, ...]]:
        return entry[0], tuple(entry[1].get(name) is None for name in columns)

    for (operation, _), entries in groupby(log, key=alike):
        while rows := [row for _, row in islice(entries, AT_ONCE)]:
            yield operation, rows


def _same(columns: Mapping[str, str], row: Mapping[str, object]) -> sql.Composed:
    """That a row `t` is the row `r`, whose values these are; so that an index over either's columns may serve."""
    parts: list[sql.Composable] = []
    for name, kind in columns.items():
        column = sql.Identifier(name)
        if row.get(name) is None:
            parts.append(sql.SQL("t.{} IS NULL").format(column))
        elif kind in COMPARED:
            parts.append(sql.SQL("t.{0} = r.{0}").format(column))
        else:
            # What has no equality of its own has one as text, but for JSON that was written in another way.
            as_text = sql.SQL(
                "t.{0}::jsonb = r.{0}::jsonb" if kind == "json" else "t.{0}::text = r.{0}::text"
            )
            parts.append(as_text.format(column))
    return sql.SQL(" AND ").join(parts)  # type: ignore[return-value]
