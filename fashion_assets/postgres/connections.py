"""Connections to the server in use, and how long they wait for others' locks.

What belongs here: `connect`, `waiting_at_most`, `wait_for`, `ask_for`. What does not: which server (`server`), how a session looks (`session`), what is in the
database (`warehouse.database`).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from fashion_assets.postgres import server, session
from fashion_assets.postgres.errors import Busy, explained
from fashion_assets.settings import Settings

Connection = psycopg.Connection[tuple[Any, ...]]

LOCK_SECONDS = 60
"""How long one process waits for another that prepares the same database."""


def connect(
    settings: Settings,
    *,
    autocommit: bool = False,
    application_name: str = "fashion-assets",
    vectors: bool = True,
) -> Connection:
    """A new connection to the server in use, which is started if it is the embedded one. The caller closes
    it.

    Its session is settled (`session`). Finds and knows pgvector's types where the extension is installed; `vectors=False`
    saves that look (about 3 ms). On the embedded server the session stands back as far as this process does (`nice`). Does not retry. Raises a `WarehouseError` that says what is wrong.
    """
    with explained(server.describe(settings)):
        connection = psycopg.connect(
            **({"application_name": application_name} | server.parameters(settings)),  # type: ignore[arg-type]
            autocommit=True,
        )
        try:
            session.settle(connection, None if vectors else "public")
            if vectors:
                register_vectors(connection)
            if settings.database_url is None:
                _stand_back(connection.info.backend_pid)
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
    return connection


def _stand_back(process: int) -> None:
    """Have the server's process that works for this one stand back from others as far as this one does: most of what a sync takes of the cores it
    takes there."""
    with suppress(OSError):  # of another user, or gone
        here = os.getpriority(os.PRIO_PROCESS, 0)
        if here > os.getpriority(os.PRIO_PROCESS, process):
            os.setpriority(os.PRIO_PROCESS, process, here)


def register_vectors(connection: Connection) -> bool:
    """Teach the connection pgvector's types; returns whether the extension is installed in the database."""
    from pgvector.psycopg import register_vector

    try:
        register_vector(connection)
    except psycopg.ProgrammingError:  # its way of saying that the type does not exist
        return False
    return True


@contextmanager
def waiting_at_most(connection: Connection, milliseconds: int) -> Iterator[None]:
    """In here, within a transaction, each lock is waited for no longer than so; afterwards as long as before."""
    row = connection.execute(
        "WITH before AS MATERIALIZED (SELECT current_setting('lock_timeout') AS said) "
        "SELECT said, set_config('lock_timeout', %s, true) FROM before",
        (f"{milliseconds}ms",),
    ).fetchone()
    assert row is not None
    try:
        yield
    finally:
        # One that failed is rolled back, which has the same effect.
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (row[0],))


def wait_for(connection: Connection, lock: int, what: str, *, for_transaction: bool = True) -> None:
    """Take an advisory lock, for the rest of the transaction or of the session. `what` says what its holder does.

    Anyone can take such a lock, a reader too, so the wait has an end. Raises `Busy`, which names the holder.
    """
    take = sql.SQL("pg_advisory_xact_lock" if for_transaction else "pg_advisory_lock")
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_SECONDS}s",))
    try:
        connection.execute(sql.SQL("SELECT {}({})").format(take, sql.Literal(lock)))
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        raise Busy(
            f"Another session {what}, and has not ended after {LOCK_SECONDS} seconds: {holding(connection, lock)}. Wait for "
            "it, or have it ended (pg_terminate_backend), then run the same command again."
        ) from None
    connection.execute("SET lock_timeout = 0")


def ask_for(
    connection: Connection, lock: int, seconds: float, what: str, *, for_transaction: bool = True
) -> None:
    """As `wait_for`, but asks again and again: who waits within a statement has a snapshot, for which an index that is built beside its readers
    waits in turn. `what` says what is done by whom, up to the name. Raises `Busy` after so many seconds."""
    take = sql.SQL("SELECT {}({})").format(
        sql.SQL("pg_try_advisory_xact_lock" if for_transaction else "pg_try_advisory_lock"), sql.Literal(lock)
    )
    until = time.monotonic() + seconds
    while connection.execute(take).fetchone() != (True,):
        if time.monotonic() >= until:
            raise Busy(f"{what} {holding(connection, lock)}. Try again when that has ended.")
        time.sleep(0.1)


def holding(connection: Connection, lock: int) -> str:
    """Who holds an advisory lock, in words."""
    rows = connection.execute(
        """
        SELECT format('%%s (server process %%s, role %%s)', coalesce(nullif(a.application_name, ''), 'a program'), a.pid,
                      a.usename)
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint << 32 | l.objid::bigint = %s AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY a.pid
        """,
        (lock,),
    ).fetchall()
    return ", ".join(said for (said,) in rows) or "it has just ended"
