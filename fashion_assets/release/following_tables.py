"""Rows of declared tables in a live release follow their sources: users, favourites, whatever there is.

What belongs here: making the batches of rows that changed, and bringing the release's tables in step with all of them, in one transaction. What
does not: a row's own judgement (`batches.rows`), how rows refer to each other and to products (`declared`), products (`applying`).

Whether a row dangles hangs on other rows and on products, so all of them are settled anew, aside, as when a release is loaded; then the tables
are compared with that, and only rows that differ are written. What people wrote into the release itself stays.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields

import psycopg
from psycopg import sql

from fashion_assets.batches.plan import BatchPlan
from fashion_assets.batches.rows import ROW_STAGES, RowsWork, keep_what_is_held
from fashion_assets.batches.some import Refused
from fashion_assets.release import carrying, declared
from fashion_assets.settings import Settings
from fashion_assets.warehouse import changes
from fashion_assets.warehouse.declared import Declared
from fashion_assets.warehouse.locks import lock_changes
from fashion_assets.warehouse.parquet import ParquetStore
from fashion_assets.warehouse.register import Batch
from fashion_assets.warehouse.releases import Release

TRIES = 5
"""How often it is begun anew where a row that it takes out is changed by somebody at the same time."""


def make(
    settings: Settings,
    connect: Callable[[], AbstractContextManager[psycopg.Connection]],
    batches: Sequence[Batch],
) -> None:
    """Make these batches of rows anew, files and all. Raises `Refused` where a criterion fails, and what the source raises."""
    store = ParquetStore(settings.assets_url)
    for batch in batches:
        work = RowsWork(batch.name, settings, store, connect)
        tables = {}
        for stage in ROW_STAGES:
            made = stage.make(work, tables).tables
            tables.update(made)
            for name, table in made.items():
                store.write(table, name, batch.name)
            for _, verdict in stage.verdicts(work, tables):
                if not verdict.passed:
                    raise Refused(batch.source, verdict)
        keep_what_is_held(work)


@dataclass(frozen=True)
class _Aside(Release):
    """A release of which some tables are made aside."""

    aside: frozenset[str] = frozenset()

    def table(self, name: str) -> sql.Identifier:
        return sql.Identifier("pg_temp", f"wanted_{name}") if name in self.aside else super().table(name)


def settle(
    conn: psycopg.Connection,
    settings: Settings,
    release: Release,
    tables: Sequence[Declared],
    batches: BatchPlan,
    version: str,
) -> int:
    """Bring the declared tables of the live release in step with their batches' files and with its products; returns how many rows were
    written or taken out. One transaction, again where somebody changed a row meanwhile. Raises `Damaged` for a file that is not what it was
    said to be."""
    for _ in range(TRIES):
        try:
            return _settle(conn, settings, release, tables, batches, version)
        except psycopg.errors.SerializationFailure:
            continue
    return _settle(conn, settings, release, tables, batches, version)


def _settle(
    conn: psycopg.Connection,
    settings: Settings,
    release: Release,
    tables: Sequence[Declared],
    batches: BatchPlan,
    version: str,
) -> int:
    shapes = declared.shapes(tables)
    aside = _Aside(
        **{each.name: getattr(release, each.name) for each in fields(Release)},
        aside=frozenset(shape.name for shape in shapes),
    )
    done = 0
    with conn.transaction():
        # As it is at one instant: what people write into a table meanwhile is in no wanted one, and must not be taken for gone.
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        lock_changes(conn)
        changes.originating(conn, f"{changes.SYNC} tables")
        for shape in shapes:
            conn.execute(
                sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP").format(
                    sql.Identifier(f"wanted_{shape.name}"), release.table(shape.name)
                )
            )
        conn.execute("DELETE FROM fashion_ops.release_tables WHERE release = %s", (release.release,))
        declared.load(conn, ParquetStore(settings.assets_url), aside, tables, batches)
        for shape in shapes:
            carrying.replay_written(conn, aside, shape.name)
            done += _bring_in_step(conn, release.table(shape.name), aside.table(shape.name))
        conn.execute(
            "UPDATE fashion_ops.releases SET tables_version = %s WHERE release = %s",
            (version, release.release),
        )
        if done:
            changes.revise(conn, release)
    return done


def _bring_in_step(conn: psycopg.Connection, own: sql.Composable, wanted: sql.Composable) -> int:
    """Have a table hold the rows of another of its shape, as often as they are there; what is in both is not touched."""
    counted = sql.SQL("(SELECT x::text AS said, count(*) AS times FROM {} x GROUP BY 1)")
    gone = conn.execute(
        sql.SQL(
            "DELETE FROM {own} o USING (SELECT ctid, x::text AS said, row_number() OVER (PARTITION BY x::text) AS nth FROM {own} x) h "
            "LEFT JOIN {counted} w USING (said) WHERE o.ctid = h.ctid AND h.nth > coalesce(w.times, 0)"
        ).format(own=own, counted=counted.format(wanted))
    ).rowcount
    come = conn.execute(
        sql.SQL(
            "INSERT INTO {own} SELECT (h.x).* FROM (SELECT x, x::text AS said, row_number() OVER (PARTITION BY x::text) AS nth FROM {wanted} x) h "
            "LEFT JOIN {counted} w USING (said) WHERE h.nth > coalesce(w.times, 0)"
        ).format(own=own, wanted=wanted, counted=counted.format(own))
    ).rowcount
    return gone + come
