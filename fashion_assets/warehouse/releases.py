"""The register of releases: which serving schemas exist, in which state, and what went into each.

What belongs here: naming, reading and advancing rows of `fashion_ops.releases` and `release_batches`. What
does not: building a schema's tables (`release.build`), judging them (`criteria`), the swap (`release.swap`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.rows import class_row

SERVING_SCHEMA = "fashion_sota"
"""The schema readers use: views onto the live release."""

_COLUMNS = sql.SQL(
    "release, number, state, content_version, space, products, quarantined, listings, criteria, report, "
    "created_at, promoted_at, retired_at, run_id"
)


class ReleaseError(Exception):
    """A release that is not there, or not in the state an operation needs; the message says what to do."""


@dataclass(frozen=True)
class Release:
    """One complete build of the serving schema. `release` is also the schema's name."""

    release: str
    number: int
    state: str
    content_version: str
    space: str | None
    products: int | None
    quarantined: int | None
    listings: int | None
    criteria: list[dict[str, Any]] | None
    report: str | None
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    run_id: str | None

    def table(self, name: str) -> sql.Identifier:
        """A table of this release."""
        return sql.Identifier(self.release, name)

    @classmethod
    def _select(cls, conn: psycopg.Connection, condition: sql.SQL, parameters: tuple = ()) -> list[Self]:
        query = sql.SQL("SELECT {} FROM fashion_ops.releases {}").format(_COLUMNS, condition)
        with conn.cursor(row_factory=class_row(cls)) as cursor:
            return cursor.execute(query, parameters).fetchall()


def releases(conn: psycopg.Connection) -> list[Release]:
    """All releases, newest first."""
    return Release._select(conn, sql.SQL("ORDER BY number DESC"))


def get(conn: psycopg.Connection, name: str) -> Release:
    """One release by name. Raises `ReleaseError` naming those there are."""
    found = Release._select(conn, sql.SQL("WHERE release = %s"), (name,))
    if not found:
        known = ", ".join(release.release for release in releases(conn)) or "none yet"
        raise ReleaseError(f"there is no release {name!r}; known releases: {known}")
    return found[0]


def live(conn: psycopg.Connection) -> Release | None:
    """The release readers see now."""
    found = Release._select(conn, sql.SQL("WHERE state = 'live'"))
    return found[0] if found else None


def candidate(conn: psycopg.Connection, run_id: str | None = None) -> Release:
    """The candidate a run built, or the newest one. Raises `ReleaseError` when there is none."""
    found = Release._select(
        conn,
        sql.SQL(
            "WHERE state IN ('building', 'candidate') ORDER BY (run_id IS NOT DISTINCT FROM %s) DESC, number DESC"
        ),
        (run_id,),
    )
    if not found:
        raise ReleaseError(
            "there is no candidate: build one first (fashion-assets run, or materialise `products`)"
        )
    return found[0]


def with_content(conn: psycopg.Connection, content_version: str) -> Release | None:
    """The newest complete release of exactly this content that still exists."""
    found = Release._select(
        conn,
        sql.SQL(
            "WHERE content_version = %s AND state IN ('live', 'candidate', 'retired') "
            "ORDER BY (state = 'live') DESC, number DESC LIMIT 1"
        ),
        (content_version,),
    )
    return found[0] if found else None


def begin(conn: psycopg.Connection, content_version: str, space: str | None, run_id: str | None) -> Release:
    """Register a new candidate under the next number; candidates left behind by earlier runs are dropped.

    Must run in a transaction that holds the release lock (`lock`).
    """
    for stale in Release._select(conn, sql.SQL("WHERE state IN ('building', 'candidate', 'failed')")):
        drop(conn, stale)
    row = conn.execute("SELECT coalesce(max(number), 0) + 1 FROM fashion_ops.releases").fetchone()
    assert row is not None
    name = f"{SERVING_SCHEMA}_r{row[0]:04d}"
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
    conn.execute(
        "INSERT INTO fashion_ops.releases (release, number, state, content_version, space, run_id) "
        "VALUES (%s, %s, 'building', %s, %s, %s)",
        (name, row[0], content_version, space, run_id),
    )
    return get(conn, name)


def drop(conn: psycopg.Connection, release: Release) -> None:
    """Drop a release's schema; its row stays as history. Refuses the live one with `ReleaseError`."""
    if release.state == "live":
        raise ReleaseError(
            f"{release.release} is live; promote or roll back to another release before dropping it"
        )
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(release.release)))
    conn.execute("UPDATE fashion_ops.releases SET state = 'dropped' WHERE release = %s", (release.release,))


def lock(conn: psycopg.Connection) -> None:
    """Let one transaction at a time build or swap; released when the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtext('fashion_assets.release'))")
