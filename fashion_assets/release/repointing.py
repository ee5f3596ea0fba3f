"""Leading the serving views to another release, without a reader that fails or sets the time it takes.

What belongs here: locks, tries, and the two ways there are. What does not: what the views are (`views`), what hangs on them (`attached`),
which release is live, and what the register says of it (`swap`).

Two ways, because a view can only be changed under a lock that keeps its readers out:

- *In place*, the rule: all views are locked at once and replaced. Everything hung on them stays: grants, comments, views
  of others. Readers that arrive meanwhile wait, so a try is given up after a few hundredths of a second, and the next one
  takes the locks in another order, as readers do.
- *Beside them*, where somebody keeps a view locked (an open transaction is enough), or where the views are those of a former version of
  the program, with other columns: new views are made in a schema of their own, with the rights and comments of the old ones, and the two
  schemas change names. That waits for nobody. Whoever holds an old view goes on with it; it is dropped when nobody does. Not possible where
  something of others depends on the views or lives in their schema, as it would stay behind: then it is said who holds them.

All contracts that are served change at the same instant, each in its own of the two ways.

A statement reads one release in either way: it either has all views' locks before the change, or finds the new ones. In
the second way, views that somebody else keeps cannot be locked; a statement that uses one of those and another view, and is
between finding the one and the other at the instant of the change, is the exception.
"""

import functools
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.release import attached, row_security, snapshots
from fashion_assets.release.dependents import Dependent, dependents
from fashion_assets.release.views import (
    Definitions,
    View,
    added,
    fit,
    readable,
    relations,
    trusted,
    views,
    wanted,
)
from fashion_assets.settings import Settings
from fashion_assets.warehouse import release_tables, releases, writer
from fashion_assets.warehouse.contract import SCHEMA, Columns
from fashion_assets.warehouse.locks import Holder, holders, lock_swaps, named
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import SERVED, TABLES

READERS_WAIT_MS = 15
"""How long one try waits for the readers of one view, in which others wait behind it."""

PATIENCE_SECONDS = 0.8
"""How long the views are tried to be locked all together, in tries with pauses between them."""

TRYING_SECONDS = 30.0
"""How long is tried in all: what is not free by then is not the views, beside which there is a way, but tables that somebody reads for long."""

FORCED_SECONDS = 5.0
"""How long a forced swap keeps ending the sessions that hold it up."""

LASTING_IDLE_SECONDS = 0.2
LASTING_SECONDS = 1.0
"""Idle for so long in a transaction, or in one for so long, a session is not waited for."""

_FORMER = rf"^{SCHEMA}_former_[0-9]+$"


class HeldUp(WarehouseError):
    """Somebody keeps the serving views locked, and they cannot be replaced beside. The message says who."""


def point_views_at(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    register: Callable[[], None],
    force: bool = False,
    longer: Mapping[tuple[str, str], Columns] = {},
) -> None:
    """Make the serving views lead to a release, within the caller's transaction, which is to end at once.

    `register` notes it under the lock of swaps, and raises where it must not be. `force` ends the sessions that hold the
    views where they cannot be replaced beside them, and those whose snapshots are older than the release. `longer`: columns that
    views of declared tables are to have, more than they do, by schema and name. Raises `HeldUp`, `OldSnapshots`, `Busy`, and what `register` raises; then nothing has changed.
    """
    snapshots.let_older_ones_end(
        conn, settings, release, releases.live(conn), functools.partial(_end, conn) if force else None
    )
    began = time.monotonic()
    cannot: attached.CannotGoAlong | None = None
    while True:
        there = views(conn)
        held = holders(conn, [view.identifier for view in there])
        fixed = dependents(conn, {view.schema for view in there})
        lasting = [each for each in held if _is_lasting(each)]
        waited = time.monotonic() - began
        keeping = held if waited > PATIENCE_SECONDS else lasting
        # Only what is free of others can be replaced beside who keeps it.
        bound = {
            view.identifier.as_string(conn) for view in there if view.schema in {d.schema for d in fixed}
        }
        stuck = [each for each in keeping if cannot is not None or each.table in bound]
        if stuck:
            if force:
                _end(conn, {each.process for each in stuck})
            if waited > (FORCED_SECONDS if force else PATIENCE_SECONDS):
                raise _held_up(stuck, fixed, cannot)
            keeping = [each for each in keeping if each not in stuck]
        try:
            with conn.transaction():
                lock_swaps(conn)
                before, as_it_was = releases.live(conn), releases.get(conn, release.release)
                register()
                # The server may run with synchronous_commit off; which release is live must survive a power cut.
                conn.execute("SET LOCAL synchronous_commit = on")
                # By its own name too: a search that began with it ends with it, whatever is live then.
                release_tables.let_read(conn, release.release, settings.reader_role)
                if before is not None and before.release != release.release:
                    conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(READERS_WAIT_MS)))
                    row_security.carry_over(conn, before, as_it_was, there)
                _point(conn, settings, release, {each.table for each in keeping}, fixed, longer)
            return
        except attached.CannotGoAlong as error:
            if not keeping:
                raise
            cannot = error
        # A server may be told to look for deadlocks sooner than a try is given up.
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if waited > TRYING_SECONDS:
                raise _kept(conn, release, error) from None
            time.sleep(random.uniform(0.01, 0.06))


def _kept(conn: psycopg.Connection[Any], release: Release, error: psycopg.Error) -> HeldUp:
    """What is said where it is not the views that somebody keeps."""
    who = named(holders(conn, [release.table(each) for each in TABLES])) or "somebody who has just ended"
    return HeldUp(
        f"{release.release} cannot be served: for {TRYING_SECONDS:g} s there was no moment in which what must be changed of it was free "
        f"({str(error).splitlines()[0]}). Its tables are held by {who}. Try again when that has ended."
    )


def _held_up(
    stuck: Sequence[Holder], fixed: Sequence[Dependent], cannot: attached.CannotGoAlong | None
) -> HeldUp:
    why = str(cannot) if cannot else f"As these depend on them: {', '.join(map(str, fixed))}."
    return HeldUp(
        f"The serving views are held by {named(stuck)}. They cannot be replaced beside it. {why} Wait until it ends, or add --force to "
        "end it."
    )


def _is_lasting(holder: Holder) -> bool:
    return holder.idle_seconds > LASTING_IDLE_SECONDS or holder.transaction_seconds > LASTING_SECONDS


def _point(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    kept: Collection[str],
    fixed: Sequence[Dependent],
    longer: Mapping[tuple[str, str], Columns],
) -> None:
    """Point the views at the release, but for locking those that somebody keeps (`kept`, quoted names). Raises
    `LockNotAvailable` where another try may do. All that takes time comes before the last statement, which locks readers
    out; what follows it is the end of the transaction."""
    there = views(conn)
    shall = wanted(conn, release, there, longer)
    new = added(there, shall)
    making = _Making(conn, settings, release)
    locking: list[sql.Composable] = []
    following: list[sql.Composable] = []
    for schema, columns in shall.items():
        own = [view for view in there if view.schema == schema]
        held = [view for view in own if view.identifier.as_string(conn) in kept]
        if not held and all(fit(view, columns[view.name]) for view in own):
            making.views(schema, {name: those for name, those in columns.items() if name in new[schema]})
            locking += [making.replaced(view, columns[view.name]) for view in own]
            following += release_tables.for_new_columns(
                schema, {view.name: new[schema].get(view.name, []) for view in own}, settings.reader_role
            )
            continue
        if others := [str(each) for each in fixed if each.schema == schema]:
            raise WarehouseError(
                f"The views of {schema} are those of a former version, with other columns, and must be made anew, and these depend on "
                f"them: {', '.join(others)}. Drop them, put {release.release} live, and make them again."
            )
        making.beside(schema, columns)
        locking += [
            # LOCK TABLE would keep readers out of the release's tables as well. To be given to its owner needs a view's own
            # lock, and changes nothing.
            sql.SQL("ALTER VIEW {} OWNER TO {}").format(view.identifier, trusted(view.owner))
            for view in own
            if view not in held
        ]
        following += _renames(conn, schema)
    between = [_nobody_is_in_between(kept, there)] if kept else []
    _at_once(conn, locking, [*between, *following])


class _Making:
    """Makes views of a release, with comments and the reader's rights."""

    def __init__(self, conn: psycopg.Connection[Any], settings: Settings, release: Release):
        self._conn, self._release = conn, release
        self._reader, self._writer = settings.reader_role, settings.writer_role
        self._definitions = Definitions(conn, release)
        self._readable = readable(conn, release)

    def replaced(self, view: View, columns: Columns) -> sql.Composed:
        """The statement that leads a view to the release."""
        return self._definitions.statement(view.schema, view.name, columns, view.options)

    def views(self, schema: str, made: Mapping[str, Columns]) -> None:
        """Make these views, which are not there yet, in a schema, and let all of the schema be read."""
        self._conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for name, columns in made.items():
            self._conn.execute(self._definitions.statement(schema, name, columns))
        self._let_read(schema, made)

    def beside(self, schema: str, columns: Mapping[str, Columns]) -> None:
        """Make the views of a schema once more in another one, with what hangs on the first. Raises `CannotGoAlong`."""
        conn, following = self._conn, _next(schema)
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(following)))
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(following)))
        hangs = attached.of_schema(conn, schema)
        assert hangs is not None
        # Who gave rights to others must find the views.
        attached.grant(conn, sql.SQL("SCHEMA {}").format(sql.Identifier(following)), hangs)
        for name, those in columns.items():
            view = sql.Identifier(following, name)
            conn.execute(self._definitions.statement(following, name, those))
            if (on_view := attached.of_view(conn, sql.Identifier(schema, name))) is not None:
                attached.give_to_view(conn, on_view, view, those)
        attached.give_to_schema(conn, hangs, following)
        self._let_read(following, columns)

    def _let_read(self, schema: str, made: Mapping[str, Columns]) -> None:
        conn = self._conn
        release_tables.let_read(conn, schema, self._reader)
        if made:
            writer.let_write(conn, schema, self._writer)
            release_tables.describe(conn, schema)
        own = {name: columns for name, columns in made.items() if name not in SERVED}
        there = relations(conn, schema)
        opened = {name: those & set(there[name]) for name, those in self._readable.items() if name in there}
        for statement in [
            *release_tables.describe_declared(conn, schema, self._release.release, own),
            *release_tables.let_read_declared(schema, opened, self._reader),
        ]:
            conn.execute(statement)


def _next(schema: str) -> str:
    return f"{schema}_next"


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


def _nobody_is_in_between(kept: Collection[str], there: Sequence[View]) -> sql.Composed:
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
        views=sql.Literal([f"{view.schema}.{view.name}" for view in there]),
    )


def _renames(conn: psycopg.Connection[Any], schema: str) -> list[sql.Composed]:
    row = conn.execute("SELECT to_regnamespace(%s)::oid::bigint", (schema,)).fetchone()
    assert row is not None
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    # By its number: no name is taken twice.
    return [
        rename.format(sql.Identifier(schema), sql.Identifier(f"{schema}_former_{row[0]}")),
        rename.format(sql.Identifier(_next(schema)), sql.Identifier(schema)),
    ]


def _end(conn: psycopg.Connection[Any], processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("SELECT pg_terminate_backend(%s)", (process,))


def drop_former_views(conn: psycopg.Connection[Any], wait_ms: int) -> list[str]:
    """Drop serving schemas that were replaced and that nobody holds any more; names of those somebody does. Not within a
    transaction."""
    rows = conn.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ %s ORDER BY nspname", (_FORMER,)
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
