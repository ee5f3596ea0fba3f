"""Readers whose snapshot is older than a release. If the views led them there, they would find no rows, and no error.

What belongs here: finding them, and waiting for them as the setting `old_snapshots` says. What does not: locks (`repointing`).

A REPEATABLE READ transaction, a cursor, or a long statement sees the database as it was when its snapshot was taken. The views lead everybody to
the new release at the same instant, and a snapshot from before its load does not see its rows. Which readers these are is told by the oldest
transaction that a snapshot takes for running (`backend_xmin`), held against the load's.

Counted are readers of this database whose role may use a serving schema, and standbys that tell what their readers need
(`hot_standby_feedback`). Not counted are:

- transactions that begin after the swap: their snapshots are new;
- prepared transactions: they read nothing any more;
- `pg_dump`: it reads tables alone, and those it locked as it began;
- replication slots nobody is connected to.

On the way back nobody is waited for: the live release was loaded after the one that is gone to, so whoever cannot see the one cannot see the other
either.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from fashion_assets.postgres.errors import WarehouseError
from fashion_assets.settings import Settings
from fashion_assets.warehouse import contract
from fashion_assets.warehouse.releases import Release

LOOK_AGAIN_SECONDS = 0.2

FORCED_SECONDS = 5.0
"""How long a forced swap keeps ending the sessions whose snapshots are older."""


class OldSnapshots(WarehouseError):
    """Somebody's snapshot is older than the release, so that its rows would be none to it. The message says whose."""


class Snapshot(NamedTuple):
    """Somebody whose snapshot may be older than the release."""

    process: int
    """Server process: of a session, or of the sender a standby is connected to."""
    is_standby: bool
    role: str | None
    application: str
    since: datetime | None
    """Begin of its transaction; None where the role may not see it, and of a standby."""
    seconds: float | None

    def __str__(self) -> str:
        if self.is_standby:
            return (
                f"readers of the standby {self.application} (server process {self.process}), or of a transaction open or prepared "
                "since before it was loaded, which looks the same from there"
            )
        said = f"{self.application or 'a session'} (server process {self.process}, role {self.role}"
        if self.since is not None and self.seconds is not None:
            said += f", for {self.seconds:,.0f} s, since {self.since:%Y-%m-%d %H:%M:%S %Z}"
        return f"{said})"


def older_than(conn: psycopg.Connection[Any], release: Release, since: datetime) -> list[Snapshot]:
    """Whose snapshots may be older than the release's load, of transactions that began before `since`; the oldest first."""
    # Sessions are seen as they were when the transaction first asked, unless it says otherwise.
    conn.execute("SELECT pg_stat_clear_snapshot()")
    rows = conn.execute(
        _OLDER, {"release": release.release, "since": since, "schemas": f"^{contract.SCHEMA}$"}
    ).fetchall()
    return [Snapshot(*row) for row in rows]  # pyright: ignore[reportCallIssue]


# A row keeps the transaction that wrote it: those of `release_batches` are written by the load, and by what changes a release later.
_LOADED = """
SELECT max(age(xmin)) FILTER (WHERE age(xmin) >= 0) FROM fashion_ops.release_batches WHERE release = %(release)s
"""

_OLDER = f"""
WITH loaded AS ({_LOADED}),
reading AS (SELECT acl.grantee FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
            WHERE n.nspname ~ %(schemas)s AND acl.privilege_type = 'USAGE')
SELECT a.pid, false, a.usename::text, coalesce(a.application_name, ''), a.xact_start,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_stat_activity a, loaded
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND age(a.backend_xmin) >= loaded.max
  AND coalesce(a.xact_start < %(since)s, true)
  AND coalesce(a.backend_type NOT IN ('autovacuum worker', 'walsender', 'parallel worker'), true)
  AND coalesce(a.application_name <> 'pg_dump', true)
  AND EXISTS (SELECT FROM reading WHERE grantee = 0 OR pg_has_role(a.usesysid, grantee, 'MEMBER'))
UNION ALL
SELECT r.pid, true, NULL, coalesce(nullif(r.application_name, 'walreceiver'), s.slot_name, host(r.client_addr), 'without a name'), NULL, NULL
FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid AND s.slot_type = 'physical', loaded
WHERE greatest(age(r.backend_xmin), age(s.xmin)) >= loaded.max
ORDER BY 5 NULLS LAST, 1
"""


def let_older_ones_end(
    conn: psycopg.Connection[Any],
    settings: Settings,
    release: Release,
    live: Release | None,
    end: Callable[[Iterable[int]], None] | None = None,
) -> None:
    """Return when nobody's snapshot is older than the release that takes the place of `live`: at once, or after some time, as the setting
    `old_snapshots` says. `end` ends server processes: of those that do not end by themselves. Raises `OldSnapshots`.
    """
    if settings.old_snapshots == "ignore" or live is None or _was_loaded_before(conn, release, live):
        return
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    patience = settings.old_snapshot_seconds if settings.old_snapshots == "wait" else 0
    if end is not None:
        patience = FORCED_SECONDS
    until = time.monotonic() + patience
    while older := older_than(conn, release, row[0]):
        if end is not None:
            end([each.process for each in older if not each.is_standby])
            older = [each for each in older if not each.is_standby]
            if not older:
                return
        if time.monotonic() >= until:
            raise _refused(release, older, settings)
        time.sleep(LOOK_AGAIN_SECONDS)


def _was_loaded_before(conn: psycopg.Connection[Any], release: Release, other: Release) -> bool:
    def age(of: Release) -> int | None:
        row = conn.execute(_LOADED, {"release": of.release}).fetchone()
        return row and row[0]

    own, others = age(release), age(other)
    return own is None or (others is not None and own >= others)


def _refused(release: Release, older: Sequence[Snapshot], settings: Settings) -> OldSnapshots:
    waited = (
        f" They were waited for {settings.old_snapshot_seconds:g} s."
        if settings.old_snapshots == "wait"
        else ""
    )
    return OldSnapshots(
        f"{release.release} is newer than the snapshots of {'; '.join(map(str, older))}: reading on, they would find no rows.{waited} "
        "Try again when they have ended, add --force to end them, or have them ignored: FASHION_ASSETS_OLD_SNAPSHOTS=ignore."
    )
