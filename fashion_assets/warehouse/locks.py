"""One run at a time, one swap at a time: the locks of an installation and of its database, and who holds them.

What belongs here: taking these locks, waiting for them, naming their holders. What does not: what is done under them.

The database's locks are locks of tables nobody writes to: only who owns the product's tables can take them, while an
advisory lock is anyone's. They end with their holder's connection, so that none is ever left behind. A lock of the
installation's folder stands beside the run's: two runs may share a folder and not a database.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from fashion_assets.file_locks import holder, open_lock
from fashion_assets.postgres.connections import connect, waiting_at_most
from fashion_assets.postgres.errors import Busy, ServerGone
from fashion_assets.settings import Settings
from fashion_assets.warehouse.releases import Release
from fashion_assets.warehouse.schemas import OPS
from fashion_assets.warehouse.serving import TABLES

RUN_LOCK = sql.Identifier(OPS, "run_lock")
SWAP_LOCK = sql.Identifier(OPS, "swap_lock")

SWAP_WAIT_MS = 5_000
"""How long one swap waits for another: each holds the lock for a fraction of a second."""

STILL_WRITTEN_MS = 10_000
"""How long is waited for somebody who still writes to a release that is to be held still (its indexing, a vacuum)."""

LOOK_AGAIN_SECONDS = 0.25

APPLICATION_NAME_BYTES = 63
"""What PostgreSQL keeps of an application's name."""


@dataclass(frozen=True)
class Holder:
    """A session that holds a lock of a table, or view; times are the server's."""

    table: str
    process: int
    role: str
    application: str
    since: datetime | None
    """Begin of its transaction; None where the role may not see it."""
    transaction_seconds: float
    """How long its transaction is open."""
    idle_seconds: float
    """How long it has waited for its client, the transaction open; 0 where it does not."""

    def __str__(self) -> str:
        what = f"{self.application or 'a session'} (server process {self.process}, role {self.role}"
        if self.idle_seconds:
            what += ", idle in an open transaction"
        return what + (f", since {self.since:%Y-%m-%d %H:%M:%S %Z})" if self.since else ")")


def holders(conn: psycopg.Connection[Any], tables: Sequence[sql.Identifier]) -> list[Holder]:
    """Who else holds a lock on which of the tables, the oldest transaction first."""
    # Sessions are seen as they were when the transaction first asked, unless it says otherwise.
    conn.execute("SELECT pg_stat_clear_snapshot()")
    with conn.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT asked.name AS table, a.pid AS process, a.usename::text AS role,
                   coalesce(a.application_name, '') AS application, a.xact_start AS since,
                   coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS transaction_seconds,
                   CASE WHEN starts_with(a.state, 'idle in transaction')
                        THEN extract(epoch FROM clock_timestamp() - a.state_change) ELSE 0 END::float8 AS idle_seconds
            FROM unnest(%s::text[]) AS asked(name)
            JOIN pg_locks l ON l.relation = to_regclass(asked.name) AND l.locktype = 'relation' AND l.granted
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            JOIN pg_stat_activity a ON a.pid = l.pid AND a.pid <> pg_backend_pid()
            ORDER BY since NULLS LAST, process
            """,
            ([table.as_string(conn) for table in tables],),
        ).fetchall()


def named(holding: Iterable[Holder]) -> str:
    """Who that is, each once, in words; empty where it is nobody."""
    return "; ".join({each.process: str(each) for each in holding}.values())


@contextmanager
def once_nobody_writes(conn: psycopg.Connection[Any], release: Release) -> Iterator[None]:
    """Do in here what waits for those who write to a release's tables. Raises `Busy`, which names them, where they do not end."""
    tables = [release.table(table) for table in TABLES]
    try:
        with waiting_at_most(conn, STILL_WRITTEN_MS), conn.transaction():
            yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        who = named(holders(conn, tables)) or "somebody who has just ended"
        raise Busy(
            f"{release.release} is still being written to by {who}. Try again when that has ended."
        ) from None


def keep_from_changing(conn: psycopg.Connection[Any], release: Release) -> None:
    """Let nobody write to the release's tables, nor drop them, until the open transaction ends. Readers read on. Raises `Busy`."""
    tables = sql.SQL(", ").join(release.table(table) for table in TABLES)
    with once_nobody_writes(conn, release):
        conn.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(tables))


def lock_swaps(conn: psycopg.Connection[Any]) -> None:
    """Let no other release change its state until the transaction ends. Raises `Busy` where another swap does not end."""
    _lock_states(conn, "EXCLUSIVE", SWAP_WAIT_MS, "Another promotion, rollback or retirement is at it")


def lock_changes(conn: psycopg.Connection[Any]) -> None:
    """Let no release change its state, and nobody else this way, until the transaction ends. Raises `Busy`."""
    _lock_states(conn, "SHARE UPDATE EXCLUSIVE", STILL_WRITTEN_MS, _CHANGED)


def lock_batches(conn: psycopg.Connection[Any], release: Release, batches: Iterable[str]) -> None:
    """Let no release change its state, and nobody else write the rows of these batches into this one, until the transaction ends. Others may
    write those of other batches meanwhile. Raises `Busy`."""
    _lock_states(conn, "ROW EXCLUSIVE", STILL_WRITTEN_MS, _CHANGED)
    # A batch the release has nothing of yet is held by its row all the same. In one order, so that two wait for each other in a row.
    conn.execute(
        "INSERT INTO fashion_ops.release_batches AS known (release, batch, content_version, products, quarantined, listings) "
        "SELECT %s, batch, '', 0, 0, 0 FROM unnest(%s::text[]) AS batch ORDER BY batch "
        "ON CONFLICT (release, batch) DO UPDATE SET release = known.release",
        (release.release, list(batches)),
    )


def lock_figures(conn: psycopg.Connection[Any], release: Release) -> None:
    """Let nobody else change what a release says of all its rows, until the transaction ends."""
    conn.execute("SELECT FROM fashion_ops.releases WHERE release = %s FOR NO KEY UPDATE", (release.release,))


_CHANGED = "A promotion, rollback or another sync is at it"


def _lock_states(conn: psycopg.Connection[Any], mode: LiteralString, wait_ms: int, said: str) -> None:
    try:
        with waiting_at_most(conn, wait_ms), conn.transaction():
            conn.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(SWAP_LOCK, sql.SQL(mode)))
    # Two that wait for each other go on waiting, however often one of them asks again: what it holds already it keeps.
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        at_it = named(holders(conn, [SWAP_LOCK])) or "it has just ended"
        raise Busy(f"{said}: {at_it}. Try again.") from None


@dataclass
class RunLock:
    """The right to run, as long as its `with` lasts (`run_lock`)."""

    conn: psycopg.Connection[Any]

    def check(self) -> None:
        """Raise `ServerGone` where the lock was lost: the server ended the connection that held it."""
        try:
            # Never prepared: in an open transaction the answer to a prepared statement keeps its snapshot, for which vacuum, and a swap,
            # would wait.
            self.conn.execute("SELECT 1", prepare=False)
        except psycopg.OperationalError as error:
            raise ServerGone(
                "The database server ended the connection that kept other runs away, so another may have begun. Run the "
                "same command again: finished work is kept."
            ) from error


@contextmanager
def run_lock(
    settings: Settings,
    what: str,
    *,
    shared: bool = False,
    wait: float | None = None,
    told: Callable[[str], None] = lambda said: None,
) -> Iterator[RunLock]:
    """The right to run on this installation and its database, which must be prepared. `what` names the run to others.

    A `shared` one goes beside other shared ones: batches do. Waits so many seconds for who is at it (None: as long as it
    takes) and tells whom it waits for. Raises `Busy` where the wait is over.
    """
    waiting = _Waiting(wait, told)
    own = f"{what}, process {os.getpid()} on {os.uname().nodename}"
    with _folder_lock(settings, own, shared, waiting), connect(settings, vectors=False) as conn:
        while True:
            try:
                _lock_runs(conn, own, shared)
                break
            except psycopg.errors.LockNotAvailable:
                conn.rollback()
                at_it = named(holders(conn, [RUN_LOCK]))
                conn.rollback()
                waiting.on(at_it)
        yield RunLock(conn)
        with suppress(psycopg.Error):
            conn.rollback()


def _lock_runs(conn: psycopg.Connection[Any], own: str, shared: bool) -> None:
    # The lock lasts as long as the transaction, which does nothing: it holds no snapshot, and keeps no vacuum from its
    # work. Set for it alone, since behind a pooler the session is not this process's.
    conn.execute(
        """
        SELECT set_config(name, given.value, true) FROM pg_settings JOIN (VALUES
            ('application_name', %s), ('statement_timeout', '0'), ('lock_timeout', '0'),
            ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
            ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')
        ) AS given (name, value) USING (name)
        """,
        (_short(f"fashion-assets {own}"),),
    )
    mode = sql.SQL("SHARE" if shared else "EXCLUSIVE")
    conn.execute(sql.SQL("LOCK TABLE {} IN {} MODE NOWAIT").format(RUN_LOCK, mode))


def _short(name: str) -> str:
    return name.encode()[:APPLICATION_NAME_BYTES].decode("utf-8", "ignore")


class _Waiting:
    def __init__(self, seconds: float | None, told: Callable[[str], None]):
        self._until = None if seconds is None else time.monotonic() + seconds
        self._told = told
        self._said = ""

    def on(self, who: str) -> None:
        """Somebody is at it: wait a moment, or raise `Busy`."""
        who = who or self._said or "somebody who does not say who"
        if self._until is not None and time.monotonic() >= self._until:
            raise Busy(f"Another run is at it: {who}. Run again when it has ended.")
        if who != self._said:
            self._said = who
            self._told(f"another run is at it: {who}; waiting for it to end")
        time.sleep(LOOK_AGAIN_SECONDS)


def _is_alive(said: str) -> bool:
    """Whether the process that wrote what a lock's file says may still be there."""
    found = re.search(rf"process (\d+) on {re.escape(os.uname().nodename)},", said)
    return found is None or not Path("/proc").is_dir() or Path(f"/proc/{found[1]}").exists()


@contextmanager
def _folder_lock(settings: Settings, own: str, shared: bool, waiting: _Waiting) -> Iterator[None]:
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.home / "run.lock"
    file = open_lock(path)
    try:
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                said = os.pread(file, 1_000, 0).decode("utf-8", "replace")
                waiting.on(said if said and _is_alive(said) else holder(path) or said)
        # It only says who is at it, which a full disk must not keep anybody from.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{own}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S %Z}".encode(), 0)
        yield
    finally:
        os.close(file)
