"""What readers use: the views of the serving schema, and making them lead to another release.

What belongs here: the views, the rights of readers, and re-pointing the views without a reader that fails or sets the
time it takes. What does not: which release that is, and what the register says of it (`swap`).

Two ways, because a view can only be changed under a lock that keeps its readers out:

- *In place*, the rule: all views are locked at once and replaced. Everything hung on them stays: grants, comments, views
  of others. Readers that arrive meanwhile wait, so a try is given up after a few hundredths of a second, and the next one
  takes the locks in another order, as readers do.
- *Beside them*, where somebody keeps a view locked (an open transaction is enough) or where the columns differ: new views
  are made in a schema of their own, with the rights and comments of the old ones, and the two schemas change names. That
  waits for nobody. Whoever holds an old view goes on with it; it is dropped when nobody does. Not possible where something of
  others depends on the views or lives in their schema, as it would stay behind: then it is said who holds them.

A statement reads one release in either way: it either has all views' locks before the change, or finds the new ones. In
the second way, views that somebody else keeps cannot be locked; a statement that uses one of those and another view, and is
between finding the one and the other at the instant of the change, is the exception.
"""

import random
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_tables, writer
from fashion_assets.warehouse.locks import Holder, holders, lock_swaps, named
from fashion_assets.warehouse.releases import SERVING_SCHEMA, Release
from fashion_assets.warehouse.serving import SERVED, TABLES

SERVED_TABLES = tuple(TABLES)
"""Tables every release has. Others are those sources declare, and views over them (`served_by`)."""

READERS_WAIT_MS = 15
"""How long one try waits for the readers of one view, in which others wait behind it."""

PATIENCE_SECONDS = 0.8
"""How long the views are tried to be locked all together, in tries with pauses between them."""

FORCED_SECONDS = 5.0
"""How long a forced swap keeps ending the sessions that hold it up."""

LASTING_IDLE_SECONDS = 0.2
LASTING_SECONDS = 1.0
"""Idle for so long in a transaction, or in one for so long, a session is not waited for."""

_NEXT = f"{SERVING_SCHEMA}_next"
_FORMER = f"{SERVING_SCHEMA}_former_"


class HeldUp(WarehouseError):
    """Somebody keeps the serving views locked, and they cannot be replaced beside. The message says who."""


def point_views_at(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    register: Callable[[], None],
    force: bool = False,
) -> None:
    """Make the serving views lead to a release, within the caller's transaction, which is to end at once.

    `register` notes it under the lock of swaps, and raises where it must not be. `force` ends the sessions that hold the
    views where they cannot be replaced beside them. Raises `HeldUp`, `Busy`, and what `register` raises; then nothing has
    changed.
    """
    began = time.monotonic()
    while True:
        names = [view.name for view in _views(conn)] or list(SERVED_TABLES)
        views = [sql.Identifier(SERVING_SCHEMA, name) for name in names]
        obstacles, held = _obstacles(conn), holders(conn, views)
        lasting = [each for each in held if _is_lasting(each)]
        waited = time.monotonic() - began
        keeping = held if waited > PATIENCE_SECONDS else lasting
        if keeping and obstacles:
            if force:
                _end(conn, keeping)
            if waited > (FORCED_SECONDS if force else PATIENCE_SECONDS):
                raise HeldUp(
                    f"The serving views are held by {named(keeping)}. They cannot be replaced beside it, as these depend "
                    f"on them: {', '.join(obstacles)}. Wait until it ends, or add --force to end it."
                )
            keeping = []
        try:
            with conn.transaction():
                lock_swaps(conn)
                register()
                # The server may run with synchronous_commit off; which release is live must survive a power cut.
                conn.execute("SET LOCAL synchronous_commit = on")
                # By its own name too: a search that began with it ends with it, whatever is live then.
                release_tables.let_read(conn, release.release, settings.reader_role)
                _point(conn, settings, release, {each.table for each in keeping}, obstacles)
            return
        # A server may be told to look for deadlocks sooner than a try is given up.
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            time.sleep(random.uniform(0.01, 0.06))


def _is_lasting(holder: Holder) -> bool:
    return holder.idle_seconds > LASTING_IDLE_SECONDS or holder.transaction_seconds > LASTING_SECONDS


def _point(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    kept: Collection[str],
    obstacles: Sequence[str],
) -> None:
    """Point the views at the release, but for locking those that somebody keeps (`kept`, quoted names). Raises
    `LockNotAvailable` where another try may do. All that takes time comes before the last statement, which locks readers
    out; what follows it is the end of the transaction."""
    there = _views(conn)
    if not there:
        _make_views(conn, settings, SERVING_SCHEMA, release)
        return
    release_tables.let_read(conn, SERVING_SCHEMA, settings.reader_role)
    served = served_by(conn, release)
    fits = {view.name for view in there} == set(served) and _columns_fit(conn, release, served)
    if fits and not kept:
        _at_once(
            conn,
            [_definition(SERVING_SCHEMA, view.name, release, view.options) for view in there],
            release_tables.for_new_columns(conn, SERVING_SCHEMA, release.release, settings.reader_role)
            + release_tables.let_read_declared(
                SERVING_SCHEMA, _readable(conn, release), settings.reader_role
            ),
        )
        return
    if obstacles:
        raise WarehouseError(
            f"{release.release} has other columns than the serving views, and these depend on them: "
            f"{', '.join(obstacles)}. Drop them, put {release.release} live, and make them again."
        )
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(_NEXT)))
    _make_views(conn, settings, _NEXT, release)
    _take_over(conn, _NEXT, served)
    # What was open before may be closed now.
    for statement in release_tables.let_read_declared(_NEXT, _readable(conn, release), settings.reader_role):
        conn.execute(statement)
    names = [view.name for view in there]
    _at_once(
        conn,
        [
            # LOCK TABLE would keep readers out of the release's tables as well. To be given to its owner needs a view's own
            # lock, and changes nothing.
            sql.SQL("ALTER VIEW {} OWNER TO {}").format(name, _trusted(view.owner))
            for view in there
            if (name := sql.Identifier(SERVING_SCHEMA, view.name)).as_string(conn) not in kept
        ],
        [*([_nobody_is_in_between(kept, names)] if kept else []), *_renames(conn)],
    )


def _at_once(
    conn: psycopg.Connection[Any],
    locking: Sequence[sql.Composable],
    following: Sequence[sql.Composable] = (),
) -> None:
    """Run statements that lock a view each, and what is to follow, as one statement: all, or none after a moment.

    Readers lock in whatever order they name the views. Whichever one is taken first, some reader may hold what is wanted
    next and want what is held: in another order the next try may meet none.
    """
    shuffled = random.sample(locking, len(locking))
    body = sql.SQL("BEGIN {}; END").format(sql.SQL("; ").join([*shuffled, *following, sql.SQL("NULL")]))
    conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(READERS_WAIT_MS)))
    conn.execute(sql.SQL("DO {}").format(sql.Literal(body.as_string(conn))))


def _nobody_is_in_between(kept: Collection[str], views: Sequence[str]) -> sql.Composed:
    """In PL/pgSQL: that nobody who holds a view that could not be locked waits for one that was. The two may be of one
    statement, which would then be of two releases."""
    return sql.SQL(
        """
        IF EXISTS (
            SELECT FROM pg_locks held JOIN pg_locks wanted ON wanted.pid = held.pid AND NOT wanted.granted
            WHERE held.granted AND held.locktype = 'relation' AND wanted.locktype = 'relation'
              AND held.relation IN (SELECT to_regclass(view) FROM unnest({kept}::text[]) view)
              AND wanted.relation IN (SELECT to_regclass(view) FROM unnest({views}::text[]) view)
        ) THEN
            RAISE EXCEPTION USING ERRCODE = 'lock_not_available';
        END IF
        """
    ).format(
        kept=sql.Literal(list(kept)),
        views=sql.Literal([f"{SERVING_SCHEMA}.{view}" for view in views]),
    )


def _renames(conn: psycopg.Connection[Any]) -> list[sql.Composed]:
    row = conn.execute("SELECT to_regnamespace(%s)::oid::bigint", (SERVING_SCHEMA,)).fetchone()
    assert row is not None
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    # By its number: no name is taken twice.
    return [
        rename.format(sql.Identifier(SERVING_SCHEMA), sql.Identifier(f"{_FORMER}{row[0]}")),
        rename.format(sql.Identifier(_NEXT), sql.Identifier(SERVING_SCHEMA)),
    ]


def _make_views(conn: psycopg.Connection[Any], settings: Settings, schema: str, release: Release) -> None:
    conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    served, readable = served_by(conn, release), _readable(conn, release)
    for table in served:
        conn.execute(_definition(schema, table, release))
    release_tables.let_read(conn, schema, settings.reader_role)
    writer.let_write(conn, schema, settings.writer_role)
    release_tables.describe(conn, schema)
    for statement in [
        *release_tables.describe_declared(conn, schema, release.release, set(served) - set(SERVED)),
        *release_tables.let_read_declared(schema, readable, settings.reader_role),
    ]:
        conn.execute(statement)


def served_by(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """What of a release has a view: the tables every release has, those its sources declare, and its own views, which releases
    of former versions lack."""
    rows = conn.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v') ORDER BY 1",
        (release.release,),
    ).fetchall()
    return [*SERVED_TABLES, *(name for (name,) in rows if name not in SERVED_TABLES)]


def _readable(conn: psycopg.Connection[Any], release: Release) -> dict[str, set[str]]:
    """Columns of declared tables of a release that its sources let readers read, all of those that have the table."""
    rows = conn.execute(
        "SELECT name, readable FROM fashion_ops.release_tables WHERE release = %s AND name <> ALL (%s)",
        (release.release, list(SERVED)),
    ).fetchall()
    served = served_by(conn, release)
    found: dict[str, set[str]] = {}
    for name, columns in rows:
        if name not in served:
            continue
        found[name] = found.get(name, set(columns)) & set(columns)
    return found


def _definition(schema: str, table: str, release: Release, options: Sequence[str] = ()) -> sql.Composed:
    stated = sql.SQL(", ").join(map(_trusted, options))
    return sql.SQL("CREATE OR REPLACE VIEW {} {} AS SELECT * FROM {}").format(
        sql.Identifier(schema, table),
        sql.SQL("WITH ({})").format(stated) if options else sql.SQL(""),
        release.table(table),
    )


# What hangs on the views


class _View(NamedTuple):
    name: str
    owner: str
    """Quoted."""
    options: list[str]
    """As in `CREATE VIEW … WITH`, which without them takes them away."""


_OURS = """
    relnamespace = to_regnamespace(%(schema)s) AND relkind = 'v'
    AND (relname = ANY(%(views)s) OR relname IN (SELECT name FROM fashion_ops.release_tables))
"""
"""Condition on `pg_class`: a serving view of ours, and none that somebody else made beside them."""


def _views(conn: psycopg.Connection[Any]) -> list[_View]:
    """The views there are."""
    rows = conn.execute(
        sql.SQL(
            "SELECT relname, relowner::regrole::text, coalesce(reloptions, '{{}}') FROM pg_class WHERE {}"
        ).format(sql.SQL(_OURS)),
        {"schema": SERVING_SCHEMA, "views": list(SERVED)},
    ).fetchall()
    return [_View(*row) for row in rows]


def _columns_fit(conn: psycopg.Connection[Any], release: Release, served: Sequence[str]) -> bool:
    """Whether the views can be replaced in place: the release's tables begin with their columns, in their order."""
    row = conn.execute(
        """
        SELECT bool_and(own.columns[:cardinality(served.columns)] = served.columns) FROM unnest(%s::text[]) AS name,
        LATERAL (SELECT array_agg(row(attname, atttypid, atttypmod, attcollation)::text ORDER BY attnum) AS columns
                 FROM pg_attribute WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, name))
                   AND attnum > 0 AND NOT attisdropped) AS served,
        LATERAL (SELECT array_agg(row(attname, atttypid, atttypmod, attcollation)::text ORDER BY attnum) AS columns
                 FROM pg_attribute WHERE attrelid = to_regclass(format('%%I.%%I', %s::text, name))
                   AND attnum > 0 AND NOT attisdropped) AS own
        """,
        (list(served), SERVING_SCHEMA, release.release),
    ).fetchone()
    return row == (True,)


def _obstacles(conn: psycopg.Connection[Any]) -> list[str]:
    """What of others would stay behind if the views were replaced by others of their names: what depends on them, and what
    else is in, or hangs on, their schema; in words."""
    rows = conn.execute(
        """
        WITH schema AS (SELECT to_regnamespace(%(schema)s)::oid AS oid),
        views AS (
            SELECT c.oid FROM pg_class c, schema
            WHERE c.relnamespace = schema.oid AND c.relkind = 'v'
              AND (c.relname = ANY(%(views)s) OR c.relname IN (SELECT name FROM fashion_ops.release_tables))
        )
        SELECT DISTINCT pg_describe_object(dependent.classid, dependent.objid, 0) FROM (
            SELECT CASE WHEN r.ev_class IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid,
                   coalesce(r.ev_class, d.objid) AS objid
            FROM pg_depend d
            LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM views)
              AND d.deptype IN ('n', 'a') AND (r.ev_class IN (SELECT oid FROM views)) IS NOT TRUE
            UNION
            SELECT d.classid, d.objid FROM pg_depend d, schema
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = schema.oid
              AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM views))
        ) AS dependent
        ORDER BY 1
        """,
        {"schema": SERVING_SCHEMA, "views": list(SERVED)},
    ).fetchall()
    return [described for (described,) in rows]


def _take_over(conn: psycopg.Connection[Any], schema: str, served: Sequence[str]) -> None:
    """Give the views of `schema`, and `schema` itself, what the serving ones have: rights, comments, options, owners."""
    for table in (None, *served):
        for statement in conn.execute(
            _HUNG_ON_A_SCHEMA if table is None else _HUNG_ON_A_VIEW,
            {"from": SERVING_SCHEMA, "to": schema, "view": table},
        ).fetchall():
            conn.execute(_trusted(statement[0]))


_HUNG_ON_A_SCHEMA = """
WITH target AS (SELECT format('%%I', %(to)s::text) AS name),
     source AS (SELECT * FROM pg_namespace WHERE nspname = %(from)s)
SELECT format('GRANT %%s ON SCHEMA %%s TO %%s%%s', g.privilege_type, target.name,
              CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM target, source, aclexplode(source.nspacl) g WHERE g.grantee <> source.nspowner
UNION ALL
SELECT format('COMMENT ON SCHEMA %%s IS %%L', target.name, obj_description(source.oid, 'pg_namespace'))
FROM target, source WHERE obj_description(source.oid, 'pg_namespace') IS NOT NULL
UNION ALL
SELECT format('ALTER SCHEMA %%s OWNER TO %%s', target.name, source.nspowner::regrole)
FROM target, source WHERE source.nspowner <> current_user::regrole
"""

_HUNG_ON_A_VIEW = """
WITH target AS (SELECT format('%%I.%%I', %(to)s::text, %(view)s::text) AS name,
                       to_regclass(format('%%I.%%I', %(to)s::text, %(view)s::text)) AS oid),
     source AS (SELECT * FROM pg_class WHERE oid = to_regclass(format('%%I.%%I', %(from)s::text, %(view)s::text))),
     columns AS (
         SELECT a.attname, a.attacl, col_description(a.attrelid, a.attnum) AS said
         FROM source, target, pg_attribute a
         WHERE a.attrelid = source.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = target.oid AND b.attname = a.attname)
     )
SELECT format('GRANT %%s ON %%s TO %%s%%s', g.privilege_type, target.name,
              CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM target, source, aclexplode(source.relacl) g WHERE g.grantee <> source.relowner
UNION ALL
SELECT format('GRANT %%s (%%I) ON %%s TO %%s%%s', g.privilege_type, columns.attname, target.name,
              CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM target, columns, aclexplode(columns.attacl) g
UNION ALL
SELECT format('COMMENT ON VIEW %%s IS %%L', target.name, obj_description(source.oid, 'pg_class'))
FROM target, source WHERE obj_description(source.oid, 'pg_class') IS NOT NULL
UNION ALL
SELECT format('COMMENT ON COLUMN %%s.%%I IS %%L', target.name, columns.attname, columns.said)
FROM target, columns WHERE columns.said IS NOT NULL
UNION ALL
SELECT format('ALTER VIEW %%s SET (%%s)', target.name, option) FROM target, source, unnest(source.reloptions) AS option
UNION ALL
SELECT format('ALTER VIEW %%s OWNER TO %%s', target.name, source.relowner::regrole)
FROM target, source WHERE source.relowner <> current_user::regrole
"""


def _trusted(statement: str) -> sql.SQL:
    """SQL that PostgreSQL itself wrote, names and values quoted (`format`)."""
    return sql.SQL(cast(LiteralString, statement))


def _end(conn: psycopg.Connection[Any], holding: Sequence[Holder]) -> None:
    for process in {each.process for each in holding}:
        with suppress(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("SELECT pg_terminate_backend(%s)", (process,))


def drop_former_views(conn: psycopg.Connection[Any], wait_ms: int) -> list[str]:
    """Drop serving schemas that were replaced and that nobody holds any more; names of those somebody does. Not within a
    transaction."""
    rows = conn.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) ORDER BY nspname", (_FORMER,)
    ).fetchall()
    conn.commit()
    left = []
    for (name,) in rows:
        try:
            with conn.transaction():
                conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(wait_ms)))
                conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            left.append(name)
    return left
