"""How far a backfill is, and what it parked: kept in the database of the documents, in a schema of its own.

What belongs here: the three tables of `fashion_backfill` and their rows. What does not: the documents (`table`).

They lie beside the documents, not in the installation's own database: a batch and the place behind it are one transaction, and
whoever comes next, from any machine, continues there.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg import sql

from fashion_assets.backfill.errors import AtWork
from fashion_assets.postgres.connections import Connection, wait_for

SCHEMA = "fashion_backfill"
BACKFILLS, PARKED, BEFORE = (sql.Identifier(SCHEMA, name) for name in ("backfills", "parked", "before"))

_MAKING = 7_051_922_311
"""Advisory lock of `make`: any number, the same everywhere."""

_AT_WORK = 705_192_231
"""First half of the advisory lock of who goes through a target's documents; the second is a hash of the target."""

ENDING_SECONDS = 12
"""After a process was killed, its session ends with the statement it was at; that takes as long as a batch may."""

Way = Literal["run", "rollback"]
State = Literal["running", "paused", "stopped", "done"]

_TABLES = (
    sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)),
    sql.SQL(
        """
        CREATE TABLE IF NOT EXISTS {} (
            target text PRIMARY KEY, way text NOT NULL, state text NOT NULL, version text NOT NULL, key text[], round int NOT NULL,
            counts jsonb NOT NULL, latest jsonb NOT NULL, size int NOT NULL, rate float8, total bigint NOT NULL,
            pause_asked boolean NOT NULL DEFAULT false, said text, began_at timestamptz NOT NULL DEFAULT now(),
            seen_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz)
        """
    ).format(BACKFILLS),
    sql.SQL(
        """
        CREATE TABLE IF NOT EXISTS {} (
            target text, key text[], reason text NOT NULL, tries int NOT NULL DEFAULT 1, at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (target, key))
        """
    ).format(PARKED),
    sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} (target text, key text[], value jsonb NOT NULL, PRIMARY KEY (target, key))"
    ).format(BEFORE),
    sql.SQL("COMMENT ON SCHEMA {} IS {}").format(
        sql.Identifier(SCHEMA),
        sql.Literal(
            "fashion-assets backfill: how far each is, documents it could not write, and what other systems had written."
        ),
    ),
)


@dataclass
class Progress:
    """One target's backfill, or its rollback."""

    target: str
    way: Way
    version: str
    total: int
    size: int
    state: State = "running"
    key: tuple[str, ...] | None = None
    """The last document that is through."""
    round: int = 1
    """From 2 on: documents that came or changed behind its back."""
    counts: dict[str, Any] = field(default_factory=dict)
    latest: list[list[str]] = field(default_factory=list)
    """Keys of the documents that were written last."""
    rate: float | None = None
    pause_asked: bool = False
    said: str | None = None
    began_at: datetime | None = None
    seen_at: datetime | None = None
    ended_at: datetime | None = None


def make(conn: Connection) -> None:
    """Make the schema where it is not there."""
    if exists(conn):
        return
    with conn.transaction():
        wait_for(conn, _MAKING, "makes the tables of a backfill")
        for statement in _TABLES:
            conn.execute(statement)


def exists(conn: Connection) -> bool:
    """Whether a backfill ever began in this database."""
    return conn.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.before",)).fetchone() == (True,)


def hold(conn: Connection, target: str) -> None:
    """Be the only one who goes through the target's documents, as long as the session lasts. Raises `AtWork`."""
    lock, deadline = (_AT_WORK, target), time.monotonic() + ENDING_SECONDS
    while conn.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock).fetchone() != (True,):
        if time.monotonic() >= deadline:
            raise AtWork(_at_work(conn, lock))
        time.sleep(0.1)


def _at_work(conn: Connection, lock: tuple[int, str]) -> str:
    row = conn.execute(
        "SELECT a.pid, a.usename FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid::int8 = hashtext(%s)::int8 & 4294967295",
        lock,
    ).fetchone()
    who = f" (server process {row[0]}, role {row[1]})" if row else ""
    return (
        f"Another process goes through {lock[1]}{who}. Let it, pause it (fashion-assets backfill pause), or end it; then run the same "
        "command again."
    )


def is_held(conn: Connection, target: str) -> bool:
    """Whether a process goes through the target's documents now."""
    return conn.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s "
        "AND objid::int8 = hashtext(%s)::int8 & 4294967295 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        (_AT_WORK, target),
    ).fetchone() == (True,)


_COLUMNS = (
    *(
        "target",
        "way",
        "version",
        "total",
        "size",
        "state",
        "key",
        "round",
        "counts",
        "latest",
        "rate",
        "pause_asked",
    ),
    *("said", "began_at", "seen_at", "ended_at"),
)
_NAMES = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))


def read(conn: Connection, target: str) -> Progress | None:
    """How far the target's backfill is; None where there never was one."""
    if not exists(conn):
        return None
    row = conn.execute(
        sql.SQL("SELECT {} FROM {} WHERE target = %s").format(_NAMES, BACKFILLS), (target,)
    ).fetchone()
    if row is None:
        return None
    progress = Progress(**dict(zip(_COLUMNS, row, strict=True)))
    progress.key = None if progress.key is None else tuple(progress.key)
    return progress


def begin(conn: Connection, progress: Progress) -> None:
    """Put a backfill at its beginning, whatever was there."""
    conn.execute(sql.SQL("DELETE FROM {} WHERE target = %s").format(BACKFILLS), (progress.target,))
    save(conn, progress)


def save(conn: Connection, progress: Progress) -> None:
    """Keep how far it is; tells `progress` whether somebody asked it to pause."""
    row = conn.execute(
        sql.SQL(
            """
            INSERT INTO {} AS b (target, way, version, total, size, state, key, round, counts, latest, rate, said, ended_at)
            VALUES (%(target)s, %(way)s, %(version)s, %(total)s, %(size)s, %(state)s, %(key)s, %(round)s, %(counts)s, %(latest)s,
                    %(rate)s, %(said)s, CASE WHEN %(state)s IN ('done', 'stopped', 'paused') THEN now() END)
            ON CONFLICT (target) DO UPDATE SET (way, version, total, size, state, key, round, counts, latest, rate, said, ended_at,
                                                seen_at)
                = (excluded.way, excluded.version, excluded.total, excluded.size, excluded.state, excluded.key, excluded.round,
                   excluded.counts, excluded.latest, excluded.rate, excluded.said, excluded.ended_at, now())
            RETURNING pause_asked
            """
        ).format(BACKFILLS),
        {
            **{
                name: getattr(progress, name)
                for name in ("target", "way", "version", "total", "size", "state", "round")
            },
            "key": None if progress.key is None else list(progress.key),
            "counts": json.dumps(progress.counts),
            "latest": json.dumps(progress.latest),
            "rate": progress.rate,
            "said": progress.said,
        },
    ).fetchone()
    assert row is not None
    progress.pause_asked = row[0]


def ask_to_pause(conn: Connection, target: str, asked: bool) -> Progress | None:
    """Ask whoever goes through the target's documents to pause, or no longer; how far it is, None where there is none."""
    if read(conn, target) is None:
        return None
    conn.execute(
        sql.SQL("UPDATE {} SET pause_asked = %s WHERE target = %s").format(BACKFILLS), (asked, target)
    )
    return read(conn, target)


def park(conn: Connection, target: str, key: tuple[str, ...], reason: str) -> None:
    """Set a document aside with what is wrong with it."""
    conn.execute(
        sql.SQL(
            "INSERT INTO {} AS p (target, key, reason) VALUES (%s, %s, %s) "
            "ON CONFLICT (target, key) DO UPDATE SET reason = excluded.reason, tries = p.tries + 1, at = now()"
        ).format(PARKED),
        (target, list(key), reason),
    )


def unpark(conn: Connection, target: str, keys: list[tuple[str, ...]]) -> None:
    """Documents that are through after all."""
    conn.execute(
        sql.SQL(
            "DELETE FROM {} WHERE target = %s AND key IN (SELECT array(SELECT jsonb_array_elements_text(k)) FROM "
            "jsonb_array_elements(%s::jsonb) k)"
        ).format(PARKED),
        (target, json.dumps(keys)),
    )


def unpark_all(conn: Connection, target: str) -> None:
    """Forget what was parked."""
    conn.execute(sql.SQL("DELETE FROM {} WHERE target = %s").format(PARKED), (target,))


def forget_before(conn: Connection, target: str) -> None:
    """Forget what other systems had written: it is where it was, but for documents that are parked."""
    conn.execute(
        sql.SQL(
            "DELETE FROM {} b WHERE target = %s AND NOT EXISTS (SELECT FROM {} p WHERE p.target = b.target AND p.key = b.key)"
        ).format(BEFORE, PARKED),
        (target,),
    )


def parked_count(conn: Connection, target: str) -> int:
    """Documents that are parked."""
    if not exists(conn):
        return 0
    row = conn.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE target = %s").format(PARKED), (target,)
    ).fetchone()
    assert row is not None
    return row[0]


def parked(
    conn: Connection, target: str, limit: int, after: tuple[str, ...] | None = None
) -> list[tuple[tuple[str, ...], str, int, datetime]]:
    """Parked documents by key: reason, how often it was tried, when last."""
    if not exists(conn):
        return []
    found = conn.execute(
        sql.SQL(
            "SELECT key, reason, tries, at FROM {} WHERE target = %s AND (%s::text[] IS NULL OR key > %s::text[]) ORDER BY key LIMIT %s"
        ).format(PARKED),
        (target, None if after is None else list(after), None if after is None else list(after), limit),
    )
    return [(tuple(key), reason, tries, at) for key, reason, tries, at in found]


def reasons(conn: Connection, target: str, limit: int = 5) -> list[tuple[str, int]]:
    """What parked documents are parked for, most often first."""
    return conn.execute(
        sql.SQL(
            "SELECT reason, count(*) FROM {} WHERE target = %s GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s"
        ).format(PARKED),
        (target, limit),
    ).fetchall()
