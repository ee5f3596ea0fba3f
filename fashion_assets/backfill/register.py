"""How far a backfill is, and what it parked: kept in the database of the documents, in a schema of its own.

What belongs here: the three tables of `fashion_backfill` and their rows. What does not: the documents (`table`).

They lie beside the documents, not in the installation's own database: a batch and the place behind it are one transaction, and
whoever comes next, from any machine, continues there.

Where several workers go through one table, each range has a row of its own with its own place, so that none waits for another's. What it
is a range of, and where it ends, stands in `latest`, together with the keys. Once all are through, they become one row again.
"""

import json
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import zip_longest
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

_WORKER = 705_192_232
"""Likewise, of each of its workers: shared among them."""

LATEST = 10
"""Documents written last, which a monitor shows."""

_NAMES = 500
"""Different words that are counted."""

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
    """One target's backfill, or its rollback; or that of one range of its keys."""

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
    whole: str | None = None
    """The target that it is a range of."""
    upto: tuple[str, ...] | None = None
    """The last key of a range; None: no end."""
    ranges: list["Progress"] = field(default_factory=list)
    """That are gone through each for itself, by their keys. What is told here is then what was done before."""

    def together(self) -> "Progress":
        """With what was done in all ranges."""
        if not self.ranges:
            return self
        counts = self.counts
        for each in self.ranges:
            counts = added(counts, each.counts)
        ranks = zip_longest(*(each.latest for each in self.ranges))
        rates = [each.rate for each in self.ranges if each.state != "done" and each.rate]
        return replace(
            self,
            counts=counts,
            latest=([key for rank in ranks for key in rank if key] + self.latest)[:LATEST],
            size=max(each.size for each in self.ranges),
            rate=sum(rates) if rates else self.rate,
            said=self.said or next((each.said for each in self.ranges if each.said), None),
            pause_asked=any(each.pause_asked for each in (self, *self.ranges)),
            seen_at=max((each.seen_at for each in (self, *self.ranges) if each.seen_at), default=None),
            ranges=[],
        )


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Counts and counts of counts, added; of words no more than are worth reading."""
    total = dict(one)
    for name, value in other.items():
        if isinstance(value, dict):
            total[name] = added(total.get(name, {}), value)
        elif name in total or len(total) < _NAMES:
            total[name] = total.get(name, 0) + value
    return total


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
    deadline = time.monotonic() + ENDING_SECONDS
    _take(conn, "pg_try_advisory_lock", (_AT_WORK, target), deadline)
    # Workers of a process that was killed end with the statement they are at.
    _take(conn, "pg_try_advisory_lock", (_WORKER, target), deadline)
    conn.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_WORKER, target))


def hold_as_worker(conn: Connection, target: str) -> None:
    """Let nobody begin before this session ends. Raises `AtWork`."""
    _take(conn, "pg_try_advisory_lock_shared", (_WORKER, target), time.monotonic() + ENDING_SECONDS)


def _take(conn: Connection, how: str, lock: tuple[int, str], deadline: float) -> None:
    take = sql.SQL("SELECT {}(%s, hashtext(%s))").format(sql.Identifier(how))
    while conn.execute(take, lock).fetchone() != (True,):
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
_NAMED = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))


def read(conn: Connection, target: str) -> Progress | None:
    """How far the target's backfill is, with its ranges; None where there never was one."""
    if not exists(conn):
        return None
    found = conn.execute(
        sql.SQL("SELECT {} FROM {} WHERE target = %s OR latest->>'whole' = %s").format(_NAMED, BACKFILLS),
        (target, target),
    )
    progresses = [_progress(row) for row in found]
    whole = next((each for each in progresses if each.target == target), None)
    if whole is not None:
        whole.ranges = sorted(
            (each for each in progresses if each.whole == target), key=lambda each: _number(each.target)
        )
    return whole


def _progress(row: tuple[Any, ...]) -> Progress:
    given: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    given["key"] = _key(given["key"])
    if isinstance(kept := given["latest"], dict):
        given |= {"whole": kept["whole"], "upto": _key(kept["upto"]), "latest": kept["keys"]}
    return Progress(**given)


def _key(kept: list[str] | None) -> tuple[str, ...] | None:
    return None if kept is None else tuple(kept)


def range_name(target: str, number: int) -> str:
    """What a range's row is called."""
    return f"{target} range {number}"


def _number(name: str) -> int:
    return int(name.rpartition(" ")[2])


def _forget_ranges(conn: Connection, target: str) -> None:
    conn.execute(sql.SQL("DELETE FROM {} WHERE latest->>'whole' = %s").format(BACKFILLS), (target,))


def cut(conn: Connection, progress: Progress, ranges: list[Progress]) -> None:
    """Go on in ranges."""
    with conn.transaction():
        _forget_ranges(conn, progress.target)
        for each in (progress, *ranges):
            save(conn, each)
    progress.ranges = ranges


def join(conn: Connection, progress: Progress) -> None:
    """All ranges are through: they are one again, at the end of the last."""
    whole = progress.together()
    progress.counts, progress.latest, progress.rate = whole.counts, whole.latest, whole.rate
    progress.key, progress.ranges = progress.ranges[-1].key, []
    with conn.transaction():
        _forget_ranges(conn, progress.target)
        save(conn, progress)


def begin(conn: Connection, progress: Progress) -> None:
    """Put a backfill at its beginning, whatever was there."""
    _forget_ranges(conn, progress.target)
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
            RETURNING pause_asked OR EXISTS (SELECT FROM {} w WHERE w.target = %(whole)s::text AND w.pause_asked)
            """
        ).format(BACKFILLS, BACKFILLS),
        {
            **{
                name: getattr(progress, name)
                for name in ("target", "way", "version", "total", "size", "state", "round", "whole")
            },
            "key": None if progress.key is None else list(progress.key),
            "counts": json.dumps(progress.counts),
            "latest": json.dumps(
                progress.latest
                if progress.whole is None
                else {"whole": progress.whole, "upto": progress.upto, "keys": progress.latest}
            ),
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
