"""The log of what changes in a release after it was built: its triggers, its positions, what it says.

What belongs here: having a release's tables log what is written to them, and reading the log. What does not: what changes and why
(`release.following`), bringing it to other releases (`release.carrying`).

A statement's rows go into `fashion_ops.changes` in the statement's own transaction, whoever wrote it: sync, an application that adds a
favourite through the serving views, a person with psql. Of products only their ids are kept, as what they are by now can be read; of
other tables, which have no key, the rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from fashion_assets.warehouse import value_counts
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.serving import EMBEDDINGS, LATER_TABLES, PRODUCTS, REVISION

SYNC = "sync"
"""What the origin of changes begins with that come from the sources; the source's name follows."""

KEPT = "30 days"
"""How long the log says what came from sources, at the least."""

_OF_PRODUCTS = (PRODUCTS.name, EMBEDDINGS.name)

_EVENTS: dict[str, LiteralString] = {
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS changed",
    "update": "AFTER UPDATE ON {} REFERENCING NEW TABLE AS changed",
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS changed",
}
_ROW_EVENTS: dict[str, LiteralString] = {
    "insert": "AFTER INSERT ON {} REFERENCING NEW TABLE AS changed",
    "update": "AFTER UPDATE ON {} REFERENCING OLD TABLE AS gone NEW TABLE AS changed",
    "delete": "AFTER DELETE ON {} REFERENCING OLD TABLE AS gone",
}


TRIGGERS = tuple(f"log_{event}" for event in _EVENTS)
"""Names of the triggers."""


def begin(conn: psycopg.Connection[Any], release: Release) -> None:
    """Have what is written to a release be logged from now on, in the caller's transaction. Where it is not, yet, its tables are locked against
    writers until that ends; where it is, as of every release that was live once, nobody waits."""
    there = _triggers(conn, release)
    for name in _tables(conn, release):
        events, function = (_EVENTS, "log_products") if name in _OF_PRODUCTS else (_ROW_EVENTS, "log_rows")
        for event, when in events.items():
            if (name, f"log_{event}", function) in there:
                continue
            conn.execute(
                sql.SQL(
                    "CREATE OR REPLACE TRIGGER {} " + when + " FOR EACH STATEMENT EXECUTE FUNCTION {}()"
                ).format(
                    sql.Identifier(f"log_{event}"),
                    release.table(name),
                    sql.Identifier("fashion_ops", function),
                )
            )
            # Also of sessions that replay others' writes (session_replication_role), or whose role has that set.
            conn.execute(
                sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(
                    release.table(name), sql.Identifier(f"log_{event}")
                )
            )


def end(conn: psycopg.Connection[Any], release: Release) -> None:
    """Have what is written to a release be logged no longer, in the caller's transaction."""
    for name in _tables(conn, release):
        for trigger in TRIGGERS:
            conn.execute(
                sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                    sql.Identifier(trigger), release.table(name)
                )
            )


def _triggers(conn: psycopg.Connection[Any], release: Release) -> set[tuple[str, str, str]]:
    """Those that log what is written to a release: table, name, function."""
    rows = conn.execute(
        "SELECT c.relname::text, t.tgname::text, p.proname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE c.relnamespace = to_regnamespace(%s) AND p.pronamespace = to_regnamespace('fashion_ops') "
        "AND t.tgenabled = 'A'",
        (release.release,),
    ).fetchall()
    return {*rows}  # pyright: ignore[reportReturnType]


def _tables(conn: psycopg.Connection[Any], release: Release) -> list[str]:
    """Tables whose changes are logged: not those that follow from products."""
    rows = conn.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname <> ALL (%s) "
        "ORDER BY 1",
        (release.release, [*LATER_TABLES, value_counts.TABLE]),
    ).fetchall()
    return [name for (name,) in rows]


def position(conn: psycopg.Connection[Any]) -> int:
    """The transaction before which every one has ended: what those changed can be seen now."""
    row = conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return row[0]


def since(conn: psycopg.Connection[Any], kept: int) -> int:
    """A kept position, to go on from. One that is of the future is another server's, from where the database came: then all there is may be
    lacking."""
    return kept if kept <= position(conn) else 0


def originating(conn: psycopg.Connection[Any], origin: str) -> None:
    """Say who makes the changes of the caller's transaction."""
    conn.execute("SELECT set_config('fashion_assets.origin', %s, true)", (origin,))


@contextmanager
def carrying(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """What is written in here is in the log already."""
    conn.execute("SELECT set_config('fashion_assets.carrying', 'on', true)")
    yield
    conn.execute("SELECT set_config('fashion_assets.carrying', '', true)")


def prune(conn: psycopg.Connection[Any]) -> int:
    """Let go of what came from sources a while ago and every release has; returns how many rows. What people wrote stays: it is in no source,
    and comes to each new release."""
    return conn.execute(
        """
        DELETE FROM fashion_ops.changes WHERE starts_with(origin, %s) AND at < now() - %s::interval AND transaction < least(
            (SELECT min(has_changes_before) FROM fashion_ops.releases
             WHERE state IN ('building', 'candidate', 'live', 'retired')),
            (SELECT min(coalesce(has_changes_before, 0)) FROM fashion_ops.sources WHERE active))
        """,
        (SYNC, KEPT),
    ).rowcount


def revise(conn: psycopg.Connection[Any], release: Release) -> None:
    """Give a release its next revision, for its readers and in the register. One of a former version tells its readers nothing of it."""
    row = conn.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{release.release}.{REVISION.name}",)
    ).fetchone()
    if row == (True,):
        conn.execute(
            sql.SQL("UPDATE {} SET revision = revision + 1, changed_at = now()").format(
                release.table(REVISION.name)
            )
        )
    conn.execute(
        "UPDATE fashion_ops.releases SET revision = revision + 1 WHERE release = %s", (release.release,)
    )


def products_since(conn: psycopg.Connection[Any], transaction: int, *, only_from_sources: bool) -> int:
    """Put the ids of the products that this transaction or a later one changed into a temporary table `carried`, which ends with the transaction.
    Returns how many."""
    conn.execute("CREATE TEMPORARY TABLE carried (product_id uuid PRIMARY KEY) ON COMMIT DROP")
    return conn.execute(
        "INSERT INTO pg_temp.carried SELECT DISTINCT product_id FROM fashion_ops.changes "
        "WHERE transaction >= %s AND product_id IS NOT NULL AND (NOT %s OR starts_with(origin, %s))",
        (transaction, only_from_sources, SYNC),
    ).rowcount
